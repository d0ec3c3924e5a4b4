//! Which host names a guest may look up.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::Invalid;
use super::outbound::{HostPattern, read_host};

/// One entry of `guest.allow-lookup`: a host name, `*.` and a name, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LookupRule(pub HostPattern);

const HINT: &str = "write a host name, such as db.example.com, *.example.com or *";

impl FromStr for LookupRule {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_ascii_lowercase();
        if text.contains("://") || text.contains(['/', '?', '#', '@']) {
            return Err(Invalid::new("is more than a host name", HINT));
        }
        let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
        let address = || Invalid::new("is an address", "leave it out: guests need not look addresses up");
        if text.contains(['[', ']']) || is_address(&text) {
            return Err(address());
        }
        if text.contains(':') {
            return Err(Invalid::new("has a port", "leave it out: names are looked up without"));
        }
        match read_host(&text)? {
            HostPattern::Exact(name) if is_address(&name) => Err(address()),
            pattern => Ok(Self(pattern)),
        }
    }
}

impl fmt::Display for LookupRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_every_shape_are_read() {
        let rule = |text: &str| text.parse::<LookupRule>().map(|rule| rule.0);
        assert_eq!(rule("DB.Example.com."), Ok(HostPattern::Exact("db.example.com".into())));
        assert_eq!(rule("*.example.com"), Ok(HostPattern::Suffix("example.com".into())));
        assert_eq!(rule("*"), Ok(HostPattern::Any));
        for text in ["db.example.com", "*.example.com", "*"] {
            assert_eq!(text.parse::<LookupRule>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        let what = |text: &str| text.parse::<LookupRule>().unwrap_err().what;
        for (text, expected) in [
            ("https://db.example.com", "more than a host name"),
            ("db.example.com/x", "more than a host name"),
            ("db.example.com:5432", "a port"),
            ("127.0.0.1", "an address"),
            ("127.0.0.1.", "an address"),
            ("::1", "an address"),
            ("[::1]", "an address"),
            ("*x.com", "a * inside"),
            ("bücher.de", "not ASCII"),
            ("a..b", "no valid host"),
            ("", "no valid host"),
        ] {
            assert!(what(text).contains(expected), "{text}: {}", what(text));
        }
    }
}
