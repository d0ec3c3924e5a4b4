//! From words to values: every option once, its sources and its checks.
//!
//! TEMP stand-in: only what `host::outbound` reads, until the config branch is merged.

/// One rule of `guest.allow-outbound`: `[scheme://]host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutboundRule {
    pub(crate) scheme: Option<String>,
    pub(crate) host: HostPattern,
    pub(crate) port: PortPattern,
}

/// The host of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostPattern {
    Exact(String),
    Suffix(String),
    Any,
}

/// The port of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortPattern {
    Default,
    Exact(u16),
    Any,
}
