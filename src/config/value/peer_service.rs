//! What an operator calls the services that guests call: `https://orders.internal=orders`.

use std::fmt;
use std::str::FromStr;

use super::{Invalid, OutboundRule};

/// Longest name, in bytes.
const LONGEST: usize = 256;

/// One entry of `otel.peer-service`: a host, and the service behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerService {
    /// The destinations that are meant, as in `guest.allow-outbound`.
    pub host: OutboundRule,
    /// The service's name, `peer.service` of spans.
    pub name: String,
}

const HINT: &str = "write HOST=NAME, such as https://orders.internal=orders or *.example.com:443=example";

impl FromStr for PeerService {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // The first one: a host has none.
        let (host, name) = text.split_once('=').ok_or_else(|| Invalid::new("has no `=`", HINT))?;
        let host = host
            .parse()
            .map_err(|flaw: Invalid| Invalid::new(format!("has a host that {}", flaw.what), flaw.hint))?;
        let name = name.trim();
        if name.is_empty() {
            return Err(Invalid::new("has no name after the `=`", HINT));
        }
        if name.len() > LONGEST || name.contains(char::is_control) {
            let hint = "write the name of the service as its own spans have it (service.name)";
            return Err(Invalid::new("has a name that is too long or has control characters", hint));
        }
        Ok(Self { host, name: name.to_owned() })
    }
}

impl fmt::Display for PeerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.host, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PeerService, Invalid> {
        text.parse()
    }

    #[test]
    fn an_entry_has_a_host_and_a_name() {
        let entry = read("https://Orders.internal:8443 = orders = v2 ").unwrap();
        assert_eq!(entry.host, "https://orders.internal:8443".parse().unwrap());
        assert_eq!(entry.name, "orders = v2");
        assert_eq!(entry.to_string(), "https://orders.internal:8443=orders = v2");
        assert_eq!(read("[::1]:80=local").unwrap().name, "local");
        assert_eq!(read("*=others").unwrap().to_string(), "*:*=others");
    }

    #[test]
    fn what_names_no_host_or_no_service_is_refused() {
        let long = format!("a={}", "n".repeat(LONGEST + 1));
        for (text, what) in [
            ("", "has no `=`"),
            ("orders.internal", "has no `=`"),
            ("orders.internal= ", "has no name"),
            ("=orders", "has a host that names no valid host"),
            ("http://a/b=orders", "has a host that has a path"),
            ("a:0=orders", "has a host that has no valid port"),
            ("a=b\u{7}", "control characters"),
            (&long, "too long"),
        ] {
            let flaw = read(text).unwrap_err().to_string();
            assert!(flaw.starts_with(what) || flaw.contains(what), "{text:?}: {flaw}");
        }
    }
}
