//! By which names browsers may reach the admin listener.

use std::fmt;
use std::str::FromStr;

use super::outbound::read_host;
use super::{HostPattern, Invalid};

/// One entry of `admin.hosts`: a host name, or `*.` and a name for all names below it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AdminHost(HostPattern);

const HINT: &str = "write a host name, such as pounce.shop.svc or *.example.com";

impl AdminHost {
    /// Whether it is, or covers, the host `name`, which is in lower case and has no dot at its end.
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.0.covers(name)
    }
}

impl FromStr for AdminHost {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_ascii_lowercase();
        if text.contains("://") || text.contains(['/', '?', '#', '@']) {
            return Err(Invalid::new("is more than a host name", HINT));
        }
        if text.contains([':', '[', ']']) {
            return Err(Invalid::new(
                "has a port or is an address",
                "leave it out: every port and address counts",
            ));
        }
        match read_host(&text)? {
            HostPattern::Any => Err(Invalid::new("stands for every name, which anybody can choose", HINT)),
            pattern => Ok(Self(pattern)),
        }
    }
}

impl fmt::Display for AdminHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_covers_itself_or_the_names_below_it() {
        let covers = |host: &str, name: &str| host.parse::<AdminHost>().unwrap().covers(name);
        assert!(covers("Pounce.Shop.svc.", "pounce.shop.svc") && covers("*.example.com", "a.b.example.com"));
        assert!(!covers("pounce.shop.svc", "a.pounce.shop.svc") && !covers("*.example.com", "example.com"));
        assert!(!covers("*.example.com", "evilexample.com"));
        for text in ["pounce.shop.svc", "*.example.com"] {
            assert_eq!(text.parse::<AdminHost>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        let what = |text: &str| text.parse::<AdminHost>().unwrap_err().what;
        for (text, expected) in [
            ("http://pounce.svc", "more than a host name"),
            ("pounce.svc/x", "more than a host name"),
            ("pounce.svc:8081", "a port"),
            ("[::1]", "an address"),
            ("*", "every name"),
            ("a*.example", "a * inside"),
            ("", "no valid host"),
        ] {
            assert!(what(text).contains(expected), "{text}: {}", what(text));
        }
    }
}
