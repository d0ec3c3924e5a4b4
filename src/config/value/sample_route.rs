//! Shares of traces by route: `GET /users/{id}=0.1`.

use std::fmt;
use std::str::FromStr;

use http::Method;

use super::{Invalid, Sampler};

/// Which share of the requests for some paths is kept, where no caller has decided.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRoute {
    /// Requests with this method only; with any when absent.
    pub method: Option<Method>,
    /// The paths: `{name}` stands for a segment or a part of one, `{*name}` at the end for all that is left.
    pub path: String,
    /// What decides for them: a share, and so never parent-based.
    pub sampler: Sampler,
}

const HINT: &str = "write [METHOD ]PATH=RATIO, such as /health=0 or `GET /users/{id}=0.1`";

impl FromStr for SampleRoute {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // The last one: a path may have others.
        let (pattern, ratio) = text.rsplit_once('=').ok_or_else(|| Invalid::new("has no `=`", HINT))?;
        let sampler = Sampler::read_ratio(ratio)
            .map_err(|flaw| Invalid::new(format!("has a ratio that {}", flaw.what), flaw.hint))?;
        let pattern = pattern.trim();
        let (method, path) = match pattern.split_once(char::is_whitespace) {
            Some((method, path)) => (Some(method), path.trim_start()),
            None => (None, pattern),
        };
        let method = method
            .map(|method| method.parse::<Method>())
            .transpose()
            .map_err(|_| Invalid::new("has a method that HTTP does not allow", HINT))?;
        check_path(path)?;
        Ok(Self { method, path: path.to_owned(), sampler })
    }
}

/// What no request's path could ever be, and what the router refuses.
fn check_path(path: &str) -> Result<(), Invalid> {
    if !path.starts_with('/') {
        return Err(Invalid::new("has a path that does not begin with `/`", HINT));
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#')) {
        let hint = "write the path as it stands in requests, percent-encoded and without a query";
        return Err(Invalid::new("has a path that no request can have", hint));
    }
    matchit::Router::new().insert(path, ()).map_err(|flaw| {
        Invalid::new(
            format!("has a path that is no pattern ({})", flaw.to_string().trim_end_matches('.')),
            "write {name} for a part of a path, {*name} at its end for the rest, {{ and }} for braces",
        )
    })
}

impl fmt::Display for SampleRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = &self.method {
            write!(f, "{method} ")?;
        }
        write!(f, "{}={:?}", self.path, self.sampler.ratio())
    }
}

/// The first pattern that is for the same requests as one before it, and what is wrong with that.
pub(crate) fn conflict(routes: &[SampleRoute]) -> Option<(String, Invalid)> {
    let mut routers: Vec<(Option<&Method>, matchit::Router<()>)> = Vec::new();
    for route in routes {
        let method = route.method.as_ref();
        let at = routers.iter().position(|(known, _)| *known == method).unwrap_or_else(|| {
            routers.push((method, matchit::Router::new()));
            routers.len() - 1
        });
        if routers[at].1.insert(&*route.path, ()).is_err() {
            let flaw = Invalid::new("is for the same requests as one before it", "leave one of them out");
            return Some((format!("`{route}`"), flaw));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SampleRoute, Invalid> {
        text.parse()
    }

    #[test]
    fn a_pattern_has_a_path_and_perhaps_a_method() {
        let route = read("/health=0").unwrap();
        assert_eq!((route.method, &*route.path, route.sampler), (None, "/health", Sampler::AlwaysOff));
        let route = read(" GET  /users/{id}=0.25 ").unwrap();
        assert_eq!(route.method, Some(Method::GET));
        assert_eq!((&*route.path, route.sampler), ("/users/{id}", Sampler::Ratio(0.25)));
        assert_eq!(read("/a=b/{*rest}=1").unwrap().path, "/a=b/{*rest}");
        assert_eq!(read("GET /x=0.5").unwrap().to_string(), "GET /x=0.5");
    }

    #[test]
    fn what_no_request_can_match_is_refused() {
        for text in [
            "",
            "/health",
            "/health=",
            "/health=10%",
            "/health=nan",
            "/health=2",
            "health=1",
            "=1",
            "GET=1",
            "G@T /x=1",
            "/a b=1",
            "/x?q=1",
            "/ü=1",
            "/{=1",
            "/{}=1",
            "/{*rest}/x=1",
            "/{a}{b}=1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        // What is wrong with a ratio is said as of otel.sample.
        assert!(read("/x=10%").unwrap_err().to_string().contains("a ratio that is not a number"));
    }

    #[test]
    fn two_patterns_for_the_same_requests_are_told() {
        let find = |texts: &[&str]| {
            let routes: Vec<_> = texts.iter().map(|text| read(text).unwrap()).collect();
            conflict(&routes).map(|(quoted, _)| quoted)
        };
        assert_eq!(find(&["/a=0", "GET /a=1", "POST /a=1", "/a/{id}=1", "/{*rest}=0.5"]), None);
        assert_eq!(find(&["/a=0", "/b=0", "/a=1"]), Some("`/a=1.0`".into()));
        assert_eq!(find(&["GET /a/{id}=0", "GET /a/{name}=1"]), Some("`GET /a/{name}=1.0`".into()));
    }
}
