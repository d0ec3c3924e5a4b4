//! What guests may do by `wasi:sockets`: look up the names that `guest.allow-lookup` lists, and nothing else.
//!
//! Names are looked up so that a guest can tell whether a host exists, or where: whatever it then sends goes through
//! wasi:http, where it is checked and traced. As in `policy`, a wildcard gives public addresses only: what is behind it
//! is not for the guest to map.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::address::{self, Special};
use super::ledger::Ledger;
use super::policy::Allowance;
use super::refusals::RefusalLog;
use super::resolve::Resolver;
use crate::config::{HostPattern, LookupRule};

/// Addresses of one name that a guest gets.
pub(crate) const MOST_ADDRESSES: usize = 64;
/// Longest host name that DNS can carry.
const LONGEST_NAME: usize = 253;

/// The rules of one component, for all of its stores.
pub(crate) struct Sockets {
    rules: Vec<HostPattern>,
    /// Where it is noted what is looked up; with it, everything may be.
    ledger: Option<Arc<Ledger>>,
    resolver: Resolver,
    /// By name.
    lookups: RefusalLog,
    /// By kind of socket.
    raw: RefusalLog,
}

/// Why a name has no addresses for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// The rules do not allow it.
    Denied,
    /// It is no host name.
    Invalid,
    /// The system's resolver knows no address of it.
    Unknown,
}

/// What of `wasi:sockets` is never there for guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    Tcp,
    Udp,
}

/// What the operator is told.
#[derive(Debug, PartialEq, Eq)]
enum Refused<'a> {
    /// No rule allows this name.
    NotAllowed(&'a str),
    /// Only a wildcard does, and the name is at this address.
    NotPublic(&'a str, IpAddr, Special),
    /// A socket of the guest's own.
    Raw(Raw),
}

impl Sockets {
    pub(crate) fn new(component: &str, rules: &[LookupRule]) -> Self {
        Self {
            rules: rules.iter().map(|LookupRule(pattern)| pattern.clone()).collect(),
            ledger: None,
            resolver: Resolver::system(),
            lookups: RefusalLog::new(component.into(), "look-ups of more than"),
            raw: RefusalLog::new(component.into(), "sockets of more than"),
        }
    }

    /// Look-ups of a component that may look everything up, with a ledger of what it does.
    pub(crate) fn open(component: &str, ledger: Arc<Ledger>) -> Self {
        Self { ledger: Some(ledger), ..Self::new(component, &[]) }
    }

    /// Addresses of `name`, in the order in which the system's resolver prefers them, [`MOST_ADDRESSES`] at most. An
    /// address is its own, without being looked up.
    ///
    /// # Errors
    /// There are none for the guest.
    pub(crate) async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
        let name = match read(name)? {
            Name::Address(address) => return Ok(vec![address]),
            Name::Host(name) => name,
        };
        let Some(allowance) = self.allows(&name) else {
            self.lookups.note(&name, &Refused::NotAllowed(&name));
            return Err(Unresolved::Denied);
        };
        let found = self.resolver.lookup(&name, 0).await.map_err(|_| Unresolved::Unknown)?;
        let mut addresses = Vec::new();
        let mut not_public = None;
        for address in found.into_iter().map(|address| address.ip().to_canonical()) {
            match address::special(address) {
                Some(special) if !allowance.covers(special) => {
                    not_public.get_or_insert((address, special));
                }
                _ if addresses.len() < MOST_ADDRESSES && !addresses.contains(&address) => {
                    addresses.push(address);
                }
                _ => {}
            }
        }
        match not_public {
            Some((address, special)) if addresses.is_empty() => {
                self.lookups.note(&name, &Refused::NotPublic(&name, address, special));
                Err(Unresolved::Denied)
            }
            _ if addresses.is_empty() => Err(Unresolved::Unknown),
            _ => {
                if let Some(ledger) = &self.ledger {
                    ledger.look_up(&name);
                }
                Ok(addresses)
            }
        }
    }

    /// Tells the operator that a guest asked for a socket of its own, which it does not get.
    pub(crate) fn refuse_raw(&self, raw: Raw) {
        self.raw.note(&raw.to_string(), &Refused::Raw(raw));
    }

    /// Which addresses of a name are told; none where no rule allows it.
    fn allows(&self, name: &str) -> Option<Allowance> {
        let is_open = self.ledger.is_some();
        if self.rules.iter().any(|rule| matches!(rule, HostPattern::Exact(exact) if exact == name)) {
            return Some(Allowance { named: true, nearby: true });
        }
        let allowed = is_open || self.rules.iter().any(|rule| rule.covers(name));
        allowed.then_some(Allowance { named: false, nearby: is_open })
    }
}

/// What a guest asks for, in the one form that rules are compared with.
enum Name {
    Address(IpAddr),
    /// In lower case and in ASCII, without the root's dot.
    Host(String),
}

/// Reads what a guest wants looked up, as `wasi:sockets` has it: a name in Unicode is converted to ASCII.
fn read(text: &str) -> Result<Name, Unresolved> {
    // Brackets are for URIs.
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok(Name::Address(address.into()));
    }
    // Also reads what the system's resolver would read as an address, such as `0x7f.1`.
    match url::Host::parse(text).map_err(|_| Unresolved::Invalid)? {
        url::Host::Ipv4(address) => Ok(Name::Address(address.into())),
        url::Host::Ipv6(address) => Ok(Name::Address(address.into())),
        url::Host::Domain(mut name) => {
            if name.ends_with('.') {
                name.pop();
            }
            let is_valid = !name.is_empty() && name.len() <= LONGEST_NAME;
            is_valid.then_some(Name::Host(name)).ok_or(Unresolved::Invalid)
        }
    }
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed(name) => {
                write!(f, "look-up of `{name}` refused: not in guest.allow-lookup; add --allow-lookup {name}")
            }
            Self::NotPublic(name, address, special) => write!(
                f,
                "look-up of `{name}` refused: {address} is {special}, which a wildcard never gives; name the host: \
                 --allow-lookup {name}"
            ),
            Self::Raw(raw) => write!(
                f,
                "a {raw} socket was refused: guests have none of their own; call by wasi:http, where requests are \
                 checked and traced (--allow-outbound)"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    /// Everything is at these addresses, but `gone.*` is nowhere.
    fn sockets(rules: &[&str], addresses: &'static [&'static str]) -> Sockets {
        let rules: Vec<LookupRule> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let mut sockets = Sockets::new("test", &rules);
        sockets.resolver = Resolver::Scripted(Arc::new(move |name: &str| {
            if name.starts_with("gone.") {
                return Err(io::Error::other("no such name"));
            }
            Ok(addresses.iter().map(|address| address.parse().unwrap()).collect())
        }));
        sockets
    }

    async fn found(sockets: &Sockets, name: &str) -> Result<Vec<String>, Unresolved> {
        let addresses = sockets.lookup(name).await?;
        Ok(addresses.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn names_are_looked_up_that_a_rule_allows() {
        let sockets = sockets(&["db.example.com", "*.example.org"], &["1.1.1.1"]);
        for name in ["db.example.com", "DB.Example.COM.", "a.example.org", "a.b.example.org"] {
            assert_eq!(found(&sockets, name).await, Ok(vec!["1.1.1.1".to_owned()]), "{name}");
        }
        for name in ["example.com", "a.db.example.com", "example.org", "anexample.org", "localhost"] {
            assert_eq!(found(&sockets, name).await, Err(Unresolved::Denied), "{name}");
        }
        assert_eq!(sockets.lookups.total(), 5);
        assert_eq!(found(&sockets, "gone.example.org").await, Err(Unresolved::Unknown));
    }

    #[tokio::test]
    async fn a_wildcard_gives_public_addresses_only() {
        let mixed = &["10.0.0.1", "1.1.1.1", "::1", "2606:4700:4700::1111"];
        let public = ["1.1.1.1", "2606:4700:4700::1111"];
        assert_eq!(found(&sockets(&["*"], mixed), "a.test").await.unwrap(), public);
        assert_eq!(found(&sockets(&["*.test"], mixed), "a.test").await.unwrap(), public);
        assert_eq!(found(&sockets(&["*", "a.test"], mixed), "a.test").await.unwrap(), *mixed);
        let inside = sockets(&["*"], &["169.254.169.254"]);
        assert_eq!(found(&inside, "a.test").await, Err(Unresolved::Denied));
        assert_eq!(inside.lookups.total(), 1);
    }

    #[tokio::test]
    async fn addresses_are_their_own_and_what_is_no_name_is_not_looked_up() {
        let sockets = sockets(&[], &["1.1.1.1"]);
        for (text, address) in
            [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1"), ("0x7f.1", "127.0.0.1")]
        {
            assert_eq!(found(&sockets, text).await, Ok(vec![address.to_owned()]), "{text}");
        }
        let long = format!("{}.com", ["a"; 130].join("."));
        for text in ["", ".", "a b", "a\0b", "https://a.test", "a:80", &long] {
            assert_eq!(found(&sockets, text).await, Err(Unresolved::Invalid), "{text:?}");
        }
        assert_eq!(sockets.lookups.total(), 0);
        // The name of the rule, in Unicode.
        assert!(matches!(read("BÜCHER.de"), Ok(Name::Host(name)) if name == "xn--bcher-kva.de"));
    }

    #[tokio::test]
    async fn a_name_has_so_many_addresses_at_most() {
        static MANY: std::sync::LazyLock<Vec<&'static str>> = std::sync::LazyLock::new(|| {
            (0..200).map(|n| &*Box::leak(format!("1.1.1.{n}").into_boxed_str())).collect()
        });
        let sockets = sockets(&["*"], &MANY);
        assert_eq!(found(&sockets, "a.test").await.unwrap().len(), MOST_ADDRESSES);
    }
}
