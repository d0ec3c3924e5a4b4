//! Where telemetry is sent.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{PathAndQuery, Scheme};

use super::{Invalid, Place, Value};

/// The URL that one signal is posted to; for `otel.endpoint`, spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `http` or `https`, a host, and the whole path, which gRPC does without.
    pub url: Uri,
    /// The text had no scheme, which only gRPC does without.
    bare: bool,
}

const HINT: &str = "write http://HOST:PORT or https://HOST, such as http://localhost:4318";

impl Endpoint {
    /// Where OTLP receivers take traces, below the endpoint that serves all signals.
    pub(crate) const TRACES: &str = "/v1/traces";
    /// Where they take metrics.
    pub(crate) const METRICS: &str = "/v1/metrics";
    /// Where they take log records.
    pub(crate) const LOGS: &str = "/v1/logs";

    /// Where another signal goes when this is where traces go; none if the path does not say so.
    pub(crate) fn of_signal(&self, signal: &str) -> Option<Self> {
        let base = self.url.path().trim_end_matches('/').strip_suffix(Self::TRACES)?;
        let query = self.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut parts = self.url.clone().into_parts();
        parts.path_and_query = Some(format!("{base}{signal}{query}").parse().ok()?);
        Uri::from_parts(parts).ok().map(|url| Self { url, ..*self })
    }

    /// Whether a scheme has to be put in front, as [`Self::with_scheme`] does.
    pub(crate) fn is_bare(&self) -> bool {
        self.bare
    }

    /// The endpoint with this scheme in place of its own.
    pub(crate) fn with_scheme(self, scheme: Scheme) -> Self {
        Self { url: with_scheme(&self.url, scheme).unwrap_or(self.url), bare: false }
    }

    /// What is wrong with an endpoint that is bare.
    pub(crate) fn no_scheme() -> Invalid {
        let hint = HINT.trim_start_matches("write ");
        Invalid::new("has no scheme", format!("put http:// or https:// in front: {hint}"))
    }

    /// Where the call of gRPC with this path goes: nothing stands before it.
    pub(crate) fn of_call(&self, path: &'static str) -> Uri {
        let mut parts = self.url.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static(path));
        Uri::from_parts(parts).unwrap_or_else(|_| self.url.clone())
    }

    /// As it counts for gRPC: without a path.
    pub(crate) fn show_for_grpc(&self) -> String {
        let host = self.url.authority().map_or("", |authority| authority.as_str());
        format!("{}://{host}", self.url.scheme_str().unwrap_or_default())
    }

    /// Reads the URL of the endpoint of one signal: nothing is appended to it.
    pub(crate) fn of_one_signal(text: &str) -> Result<Self, Invalid> {
        let mut url: Uri =
            text.trim().parse().map_err(|error| Invalid::new(format!("is not a URL: {error}"), HINT))?;
        let bare = url.scheme().is_none();
        match url.scheme_str() {
            Some("http" | "https") => {}
            Some(_) => return Err(Invalid::new("has another scheme than http or https", HINT)),
            // As gRPC takes it where nothing says otherwise; a path alone is no host.
            None => url = with_scheme(&url, Scheme::HTTPS).ok_or_else(Self::no_scheme)?,
        }
        let authority = url.authority().ok_or_else(|| Invalid::new("names no host", HINT))?;
        if authority.as_str().contains('@') {
            let hint =
                "leave them out and send them as a header: otel.headers, or OTEL_EXPORTER_OTLP_HEADERS";
            return Err(Invalid::new("has a user name or password", hint));
        }
        if authority.host().is_empty() {
            return Err(Invalid::new("names no host", HINT));
        }
        let after_host = &authority.as_str()[authority.host().len()..];
        if !after_host.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(Invalid::new("has no valid port", "write a port from 1 to 65535 after the colon"));
        }
        // The URL type drops fragments; one here is a URL copied from a browser's address bar.
        if text.contains('#') {
            return Err(Invalid::new("has a fragment", "leave out the # and what follows"));
        }
        Ok(Self { url, bare })
    }
}

fn with_scheme(url: &Uri, scheme: Scheme) -> Option<Uri> {
    let mut parts = url.clone().into_parts();
    parts.authority.as_ref()?;
    parts.scheme = Some(scheme);
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).ok()
}

impl FromStr for Endpoint {
    type Err = Invalid;

    /// Reads the URL of an endpoint for all signals: `/v1/traces` is appended unless it is there.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Self { url: given, bare } = Self::of_one_signal(text)?;
        let path = given.path().trim_end_matches('/');
        if path.ends_with(Self::TRACES) {
            return Ok(Self { url: given, bare });
        }
        let query = given.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut parts = given.clone().into_parts();
        let whole = format!("{path}{}{query}", Self::TRACES);
        parts.path_and_query = Some(whole.parse().map_err(|_| Invalid::new("is not a URL", HINT))?);
        Uri::from_parts(parts).map(|url| Self { url, bare }).map_err(|_| Invalid::new("is not a URL", HINT))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.url.authority().filter(|_| self.bare) {
            Some(host) => host.fmt(f),
            None => self.url.fmt(f),
        }
    }
}

impl Value for Endpoint {
    fn read(text: &str, _: &Place<'_>) -> Result<Self, Invalid> {
        text.parse()
    }

    /// Passwords stand before an `@`, keys of some vendors in the query.
    fn quote(text: &str) -> String {
        let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
        let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("…@", rest));
        let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?…"));
        let separator = if scheme.is_empty() { "" } else { "://" };
        format!("`{scheme}{separator}{user}{rest}{query}`")
    }

    fn show(&self) -> String {
        Self::quote(&self.to_string()).trim_matches('`').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> String {
        text.parse::<Endpoint>().unwrap().to_string()
    }

    #[test]
    fn the_traces_path_is_appended_once() {
        assert_eq!(url("http://localhost:4318"), "http://localhost:4318/v1/traces");
        assert_eq!(url("http://localhost:4318/"), "http://localhost:4318/v1/traces");
        assert_eq!(url("https://x.example/otlp/"), "https://x.example/otlp/v1/traces");
        assert_eq!(url("https://x.example/v1/traces"), "https://x.example/v1/traces");
        assert_eq!(url("https://x.example/v1/traces/"), "https://x.example/v1/traces/");
        assert_eq!(url("https://x.example/a?key=1"), "https://x.example/a/v1/traces?key=1");
        assert_eq!(url("http://[::1]:4318"), "http://[::1]:4318/v1/traces");
        assert_eq!(Endpoint::of_one_signal("http://x/otlp").unwrap().to_string(), "http://x/otlp");
    }

    #[test]
    fn other_signals_stand_beside_traces() {
        let beside = |text: &str| {
            let endpoint = text.parse::<Endpoint>().unwrap();
            endpoint.of_signal(Endpoint::METRICS).unwrap().to_string()
        };
        assert_eq!(beside("http://localhost:4318"), "http://localhost:4318/v1/metrics");
        assert_eq!(beside("https://x.example/otlp/v1/traces/?k=1"), "https://x.example/otlp/v1/metrics?k=1");
        let elsewhere = Endpoint::of_one_signal("http://x/spans").unwrap();
        assert_eq!(elsewhere.of_signal(Endpoint::LOGS), None);
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_a_reason() {
        let what = |text: &str| text.parse::<Endpoint>().unwrap_err().what;
        assert!(what("/v1/traces").contains("no scheme"));
        assert!(what("grpc://x:4317").contains("scheme"));
        assert!(what("http://user:pw@x").contains("user name"));
        assert!(what("http://x:99999").contains("port"));
        assert!(what("http://x:").contains("port"));
        assert!(what("http://x/#a").contains("fragment"));
        for text in ["", " ", "http://", "http:///x", "http://a b", "http://:4318", "://", "http//x"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_scheme_may_be_missing_for_grpc() {
        let call = |text: &str, scheme| {
            let endpoint = text.parse::<Endpoint>().unwrap();
            assert!(endpoint.is_bare());
            let endpoint = endpoint.with_scheme(scheme);
            assert!(!endpoint.is_bare());
            endpoint.of_call("/a.B/C").to_string()
        };
        assert_eq!(call("localhost:4317", Scheme::HTTP), "http://localhost:4317/a.B/C");
        assert_eq!(call("c.example", Scheme::HTTPS), "https://c.example/a.B/C");
        assert_eq!(call("[::1]:4317", Scheme::HTTP), "http://[::1]:4317/a.B/C");
        let full = "http://c:4317/x?key=1".parse::<Endpoint>().unwrap();
        assert!(!full.is_bare());
        assert_eq!(full.of_call("/a.B/C").to_string(), "http://c:4317/a.B/C");
        assert_eq!(full.show_for_grpc(), "http://c:4317");
    }

    #[test]
    fn passwords_and_queries_are_not_repeated() {
        assert_eq!(Endpoint::quote("http://user:pw@x/y?key=1"), "`http://…@x/y?…`");
        assert_eq!(Endpoint::quote("localhost:4318"), "`localhost:4318`");
    }
}
