//! What a guest may call: the rules of `guest.allow-outbound`, asked before DNS.
//!
//! A rule *names* a host when it writes it out: a literal address or a whole host
//! name. Only a named host may be at an address that isn't public, whether it is
//! that address or resolves to it; the operator who wrote `http://db.internal:5432`
//! meant the private address behind it. A wildcard (`*`, `*.example.com`) never
//! opens such addresses: whoever can add a record to the zone, or register any
//! domain, would choose which of our neighbours the guest talks to (rebinding).
//! The price: the owner of a *named* host's zone is trusted with that choice.

use std::fmt;

use http::{Method, Uri};
use wasmtime_wasi_http::Error;

use super::address::{self, Special};
use super::target::{Host, Scheme, Target};
use crate::config::{HostPattern, OutboundRule, PortPattern};

/// The rules of one component.
#[derive(Debug)]
pub(crate) struct Policy {
    rules: Vec<Rule>,
    /// Whether hosts that no rule names may be called as well, as a developer wants it.
    is_open: bool,
}

/// One rule, ready to be compared with targets.
#[derive(Debug)]
pub(super) struct Rule {
    scheme: Option<Scheme>,
    host: Pattern,
    port: PortPattern,
}

#[derive(Debug)]
enum Pattern {
    Exact(Host<'static>),
    /// `.example.com`
    Suffix(String),
    Any,
}

/// A request that the rules allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// An exact rule names the host, so its addresses need not be public.
    pub(crate) named: bool,
    /// Its addresses may be of this machine and of its networks.
    pub(crate) nearby: bool,
}

impl Allowance {
    /// Whether a host may be called that is at an address of this kind.
    pub(super) fn covers(self, special: Special) -> bool {
        self.named || self.nearby && matches!(special, Special::Loopback | Special::Private | Special::Shared)
    }
}

/// A request that was refused; `Display` is the message for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Where it was going: `https://api.example.com`, or the URI if that can't be read.
    pub(crate) target: String,
    /// Why it may not.
    pub(crate) reason: Reason,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No rule allows the target.
    NotAllowed,
    /// Only a wildcard allows it, and it is (or resolves to) an address that isn't public.
    NotPublic(std::net::IpAddr, Special),
    /// It leads back to this server, which only an exact rule allows.
    Loop(std::net::SocketAddr),
    /// It is the admin listener, which no guest may call.
    Admin(std::net::SocketAddr),
    /// CONNECT and TRACE have no use for a guest and turn servers against their networks.
    Method(Method),
    /// The URI is not one that can be judged.
    Uri(&'static str),
}

impl Policy {
    /// Takes the rules as configured. A rule whose scheme or host can't be read
    /// allows nothing; telling the user is up to `config`.
    pub(crate) fn new(rules: &[OutboundRule]) -> Self {
        Self { rules: rules.iter().filter_map(Rule::new).collect(), is_open: false }
    }

    /// Everybody may be called, on this machine and its networks as well; not this server, nor what is at link-local and
    /// metadata addresses.
    pub(crate) fn open() -> Self {
        Self { rules: Vec::new(), is_open: true }
    }

    /// Whether a request with this method may go to this URI.
    pub(crate) fn check(&self, method: &Method, uri: &Uri) -> Result<Allowance, Refused> {
        if ["CONNECT", "TRACE"].iter().any(|m| method.as_str().eq_ignore_ascii_case(m)) {
            return Err(Refused { target: origin(uri), reason: Reason::Method(method.clone()) });
        }
        self.allows(uri)
    }

    /// Whether the rules allow this URI's scheme, host and port.
    pub(crate) fn allows(&self, uri: &Uri) -> Result<Allowance, Refused> {
        let target =
            Target::of(uri).map_err(|why| Refused { target: origin(uri), reason: Reason::Uri(why) })?;
        self.allows_target(&target)
    }

    pub(super) fn allows_target(&self, target: &Target<'_>) -> Result<Allowance, Refused> {
        let mut allowed = self.is_open;
        for rule in self.rules.iter().filter(|rule| rule.matches(target)) {
            if let Pattern::Exact(_) = rule.host {
                return Ok(Allowance { named: true, nearby: true });
            }
            allowed = true;
        }
        let refused = |reason| Refused { target: target.to_string(), reason };
        if !allowed {
            return Err(refused(Reason::NotAllowed));
        }
        let allowance = Allowance { named: false, nearby: self.is_open };
        if let Host::Address(ip) = target.host
            && let Some(special) = address::special(ip).filter(|special| !allowance.covers(*special))
        {
            return Err(refused(Reason::NotPublic(ip, special)));
        }
        Ok(allowance)
    }
}

impl Rule {
    /// None for a rule that can't be read.
    pub(super) fn new(rule: &OutboundRule) -> Option<Self> {
        let scheme = match rule.scheme.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None => None,
            Some("http") => Some(Scheme::Http),
            Some("https") => Some(Scheme::Https),
            Some(_) => return None,
        };
        let host = match &rule.host {
            HostPattern::Any => Pattern::Any,
            // With or without the brackets that a URI needs around IPv6.
            HostPattern::Exact(host) => Pattern::Exact(match host.parse() {
                Ok(ip) => Host::Address(ip),
                Err(_) => Host::parse(host).ok()?.into_owned(),
            }),
            HostPattern::Suffix(suffix) => {
                let name = suffix.trim_start_matches('*').trim_start_matches('.');
                let name = name.strip_suffix('.').unwrap_or(name);
                if name.is_empty() {
                    return None;
                }
                Pattern::Suffix(format!(".{}", name.to_ascii_lowercase()))
            }
        };
        Some(Self { scheme, host, port: rule.port })
    }

    pub(super) fn matches(&self, target: &Target<'_>) -> bool {
        let host = match (&self.host, &target.host) {
            (Pattern::Any, _) => true,
            (Pattern::Exact(Host::Address(rule)), Host::Address(ip)) => {
                rule.to_canonical() == ip.to_canonical()
            }
            (Pattern::Exact(rule), host) => rule == host,
            // `*.example.com` is what is below example.com, not example.com itself.
            (Pattern::Suffix(suffix), Host::Name(name)) => {
                name.len() > suffix.len() && name.ends_with(suffix)
            }
            (Pattern::Suffix(_), Host::Address(_)) => false,
        };
        host && self.scheme.is_none_or(|scheme| scheme == target.scheme)
            && match self.port {
                PortPattern::Any => true,
                PortPattern::Exact(port) => port == target.port,
                PortPattern::Default => target.port == target.scheme.default_port(),
            }
    }
}

/// Scheme and authority for a message about a URI that can't be judged, less its
/// user name and password.
fn origin(uri: &Uri) -> String {
    let host: String = uri.host().unwrap_or("?").chars().take(253).collect();
    match uri.scheme_str() {
        Some(scheme) => format!("{scheme}://{host}"),
        None => host,
    }
}

impl Refused {
    /// What the guest is told.
    pub(crate) fn error(&self) -> Error {
        match self.reason {
            Reason::NotAllowed => Error::HttpRequestDenied,
            Reason::NotPublic(..) => Error::DestinationIpProhibited,
            Reason::Loop(_) | Reason::Admin(_) => Error::LoopDetected,
            Reason::Method(_) => Error::HttpRequestMethodInvalid,
            Reason::Uri(_) => Error::HttpRequestUriInvalid,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, reason } = self;
        write!(f, "outgoing request to `{target}` refused: ")?;
        match reason {
            Reason::NotAllowed => {
                write!(f, "not in guest.allow-outbound; add --allow-outbound {target}")
            }
            Reason::NotPublic(ip, special) => write!(
                f,
                "{ip} is {special}, which a wildcard never allows; \
                 name the host: --allow-outbound {target}"
            ),
            Reason::Loop(listener) => write!(
                f,
                "it leads back to this server at {listener}; \
                 if that is meant, name the host: --allow-outbound {target}"
            ),
            Reason::Admin(listener) => {
                write!(f, "it leads to this server's admin listener at {listener}, which no guest may call")
            }
            Reason::Method(method) => write!(f, "{method} is not for guests; use another method"),
            Reason::Uri(why) => write!(f, "{why}; correct the URI in the guest"),
        }
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests;
