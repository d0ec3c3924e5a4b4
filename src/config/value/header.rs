//! Headers sent to the OTLP endpoint, written as `OTEL_EXPORTER_OTLP_HEADERS` has them, and names of headers that are
//! recorded.

use http::{HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::{Invalid, Place, Value};

/// The headers of one text: `NAME=VALUE[,NAME=VALUE…]`, values percent-encoded where needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header(pub(crate) Vec<(HeaderName, HeaderValue)>);

const HINT: &str = "write NAME=VALUE, several with commas between, and %2C for a comma in a value";

impl Header {
    /// Reads one `NAME=VALUE`; the value is marked sensitive, so that no `Debug` prints it.
    pub(crate) fn read_pair(pair: &str) -> Result<(HeaderName, HeaderValue), Invalid> {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| Invalid::new("has a header without `=`", HINT))?;
        let name = HeaderName::try_from(name.trim())
            .map_err(|_| Invalid::new("has a header name that HTTP does not allow", HINT))?;
        let value: Vec<u8> = percent_decode_str(value.trim()).collect();
        let mut value = HeaderValue::try_from(value).map_err(|_| {
            Invalid::new(
                format!("has a value for `{name}` that HTTP does not allow"),
                "take out control characters",
            )
        })?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}

impl Value for Header {
    fn read(text: &str, _: &Place<'_>) -> Result<Self, Invalid> {
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        let headers = pairs.map(Self::read_pair).collect::<Result<Vec<_>, _>>()?;
        if headers.is_empty() {
            return Err(Invalid::new("has no header", HINT));
        }
        Ok(Self(headers))
    }

    fn quote(_: &str) -> String {
        "the value (not shown, it may be secret)".to_owned()
    }

    fn show(&self) -> String {
        let names = self.0.iter().map(|(name, _)| format!("{name}=…"));
        names.collect::<Vec<_>>().join(", ")
    }
}

/// What in a name says that the header's values let their holder in: anywhere in it.
const CREDENTIALS: [&str; 13] = [
    "authorization",
    "authentication",
    "cookie",
    "token",
    "secret",
    "password",
    "api-key",
    "apikey",
    "private-key",
    "signature",
    "session",
    "credential",
    "client-cert",
];
/// What marks a credential as a whole word between dashes only.
const CREDENTIAL_WORDS: [&str; 9] =
    ["auth", "jwt", "dpop", "otp", "pass", "xsrf", "csrf", "assertion", "passwd"];

/// The name of a header whose values are recorded on spans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeaderToRecord(pub(crate) HeaderName);

impl std::str::FromStr for HeaderToRecord {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const HINT: &str = "write a name such as x-request-id";
        let text = text.trim();
        if text.contains(['*', '?']) {
            let hint = "name each header: there are no patterns, so that nothing is recorded unseen";
            return Err(Invalid::new("is a pattern, not the name of a header", hint));
        }
        // HTTP allows more signs than any name has, all of them likely slips: `a|b`, `$NAME`, `~x`.
        let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let name = HeaderName::try_from(text).ok().filter(|_| text.bytes().all(is_usual));
        let name = name.ok_or_else(|| Invalid::new("is not the name of a header", HINT))?;
        let part = CREDENTIALS.iter().find(|part| name.as_str().contains(*part));
        let word =
            || CREDENTIAL_WORDS.iter().find(|word| name.as_str().split('-').any(|part| part == **word));
        match part.or_else(word) {
            Some(part) => Err(Invalid::new(
                format!("carries credentials (`{part}`), which are never recorded"),
                "leave it out; a guest can record what it needs of it by `set-attribute`",
            )),
            None => Ok(Self(name)),
        }
    }
}

impl std::fmt::Display for HeaderToRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_recorded() {
        assert_eq!("X-Request-Id".parse::<HeaderToRecord>().unwrap().0, "x-request-id");
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "set-cookie",
            "X-Api-Key",
            "x-amz-security-token",
            "DPoP",
            "x-jwt",
            "x-goog-iap-jwt-assertion",
        ] {
            assert!(name.parse::<HeaderToRecord>().is_err(), "{name}");
        }
        for name in ["", "no name", "a|b", "$NAME", "`x`", "x-a:", ":path", "~x", "a,b", "ü"] {
            let error = name.parse::<HeaderToRecord>().unwrap_err();
            assert!(error.what.contains("not the name"), "{name}: {error}");
        }
        for pattern in ["*", "x-*", "x-?"] {
            assert!(pattern.parse::<HeaderToRecord>().unwrap_err().hint.contains("no patterns"), "{pattern}");
        }
        for name in ["x_y", "x.y", "sec-ch-ua", "x1"] {
            assert!(name.parse::<HeaderToRecord>().is_ok(), "{name}");
        }
    }

    #[test]
    fn pairs_are_split_at_commas_and_decoded() {
        let (name, value) = Header::read_pair(" Authorization = Bearer%20a%2Cb= ").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("authorization", &b"Bearer a,b="[..]));
        assert!(value.is_sensitive());
    }

    #[test]
    fn what_is_no_header_is_refused_without_its_value() {
        for pair in ["", "secret", "=secret", "a b=secret", "a=%0Asecret"] {
            let flaw = Header::read_pair(pair).unwrap_err();
            assert!(!flaw.to_string().contains("secret"), "{pair}");
        }
    }
}
