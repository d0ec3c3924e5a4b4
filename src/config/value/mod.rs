//! The typed values of settings: each is read from one text and written back as it would be typed.
//!
//! Readers never panic and never repeat the text they were given: some texts hold secrets, so it is
//! the caller who quotes them, through [`Value::quote`].

mod admin_host;
mod cache;
mod certificate;
mod endpoint;
mod guest;
mod header;
mod limit;
mod listen;
mod lookup;
mod outbound;
mod peer_service;
mod peers;
mod pem;
mod propagation;
#[cfg(test)]
mod proptests;
mod rate;
mod sample_route;
mod sampler;
mod time;
mod words;

use std::path::{Path, PathBuf};

pub use admin_host::AdminHost;
pub use cache::CacheDir;
pub(crate) use certificate::{Certified, Described, Unusable};
pub use endpoint::Endpoint;
pub use guest::{Arg, DirMount, EnvVar, WasiConfigEntry};
pub(crate) use header::{Header, HeaderToRecord};
pub use limit::{ByteLimit, ByteSize};
pub use listen::ListenAddr;
pub(crate) use listen::overlap;
pub use lookup::LookupRule;
pub use outbound::{HostPattern, OutboundRule, PortPattern};
pub use peer_service::PeerService;
pub use peers::{Cidr, TrustParent, TrustedProxy};
pub use pem::{ArtifactKey, Certificates, PrivateKey};
pub use pounce_otlp::{Compression, Protocol};
pub use pounce_telemetry::settings::{
    ExceptionSignal, ExemplarFilter, GuestParents, HeaderFormat, HistogramAggregation, LogFormat, LogLevel,
    Propagators, Semconv, Temporality,
};
pub use propagation::PropagateTo;
pub(crate) use propagation::is_none;
pub use rate::{Rate, RateLimit};
pub use sample_route::SampleRoute;
pub(crate) use sample_route::conflict as sample_route_conflict;
pub use sampler::Sampler;
pub use time::Timeout;
pub(crate) use time::{read_duration, show_duration};
pub use words::{ClientAuth, Exporter, ForwardedHeader, Harden, Isolation, ProxyProtocol, RetryNeighbours};

use super::vars::Vars;

/// Why a text is not a value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {hint}")]
pub struct Invalid {
    /// Continues a sentence that starts with the text: "is not a duration".
    pub(crate) what: String,
    /// What to write instead.
    pub(crate) hint: String,
}

impl Invalid {
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }
}

/// Where a text stood: what `KEY`, `@FILE` and relative paths mean depends on it.
pub(crate) struct Place<'a> {
    /// The folder of the file the text is from; empty for the working directory.
    pub(crate) base: &'a Path,
    pub(crate) vars: &'a Vars,
}

impl Place<'_> {
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }
}

/// One value as an option takes it.
pub(crate) trait Value: Sized {
    /// Whether the flag alone means `on`.
    const SWITCH: bool = false;

    fn read(text: &str, place: &Place<'_>) -> Result<Self, Invalid>;

    /// The text as an error message may repeat it: with secrets left out.
    fn quote(text: &str) -> String {
        format!("`{text}`")
    }

    /// The value as `pounce check` may show it: with secrets left out.
    fn show(&self) -> String;

    /// Whether it stands for nothing at all.
    fn is_nothing(&self) -> bool {
        false
    }
}

/// Types whose text means the same everywhere and holds no secret.
macro_rules! plain_values {
    ($($ty:ty),+ $(,)?) => { $(
        impl Value for $ty {
            fn read(text: &str, _: &Place<'_>) -> Result<Self, Invalid> {
                text.parse()
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}

plain_values!(
    AdminHost,
    ByteLimit,
    ByteSize,
    LookupRule,
    OutboundRule,
    PeerService,
    SampleRoute,
    Sampler,
    HeaderToRecord,
    Timeout,
    TrustedProxy
);

/// A directory, which need not be there yet.
impl Value for PathBuf {
    fn read(text: &str, place: &Place<'_>) -> Result<Self, Invalid> {
        if text.is_empty() || text.contains('\0') {
            return Err(Invalid::new("is not a path", "write the path of a directory"));
        }
        let path = place.path(Path::new(text));
        if path.exists() && !path.is_dir() {
            return Err(Invalid::new("is not a directory", "name a directory, or one that can be made"));
        }
        Ok(path)
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for usize {
    fn read(text: &str, _: &Place<'_>) -> Result<Self, Invalid> {
        text.trim()
            .parse()
            .map_err(|_| Invalid::new("is not a whole number", "write digits only, such as 1024"))
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    const SWITCH: bool = true;

    fn read(text: &str, _: &Place<'_>) -> Result<Self, Invalid> {
        match text.trim().to_ascii_lowercase().as_str() {
            "on" | "true" => Ok(true),
            "off" | "false" => Ok(false),
            _ => Err(Invalid::new("is neither on nor off", "write on or off")),
        }
    }
    fn show(&self) -> String {
        if *self { "on" } else { "off" }.to_owned()
    }
}

impl Value for String {
    fn read(text: &str, _: &Place<'_>) -> Result<Self, Invalid> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for std::time::Duration {
    fn read(text: &str, _: &Place<'_>) -> Result<Self, Invalid> {
        read_duration(text)
    }
    fn show(&self) -> String {
        show_duration(*self)
    }
}

/// What an option holds: one value, perhaps one, or a list.
pub(crate) trait Setting: Sized {
    /// Whether the option may be given more than once.
    const LIST: bool = false;
    /// Whether the flag alone, without a value, means `on`.
    const SWITCH: bool = false;

    /// Every flaw, each with the text it is about (quoted, secrets left out).
    fn read_all(texts: &[String], place: &Place<'_>) -> Result<Self, Vec<(String, Invalid)>>;

    fn show_all(&self) -> String;

    /// Whether it stands for nothing at all.
    fn is_nothing(&self) -> bool {
        false
    }
}

fn read_one<T: Value>(text: &str, place: &Place<'_>) -> Result<T, (String, Invalid)> {
    T::read(text, place).map_err(|flaw| (T::quote(text), flaw))
}

impl<T: Value> Setting for T {
    const SWITCH: bool = T::SWITCH;

    fn read_all(texts: &[String], place: &Place<'_>) -> Result<Self, Vec<(String, Invalid)>> {
        let text = texts.last().map_or("", String::as_str);
        read_one(text, place).map_err(|flaw| vec![flaw])
    }
    fn show_all(&self) -> String {
        self.show()
    }
    fn is_nothing(&self) -> bool {
        Value::is_nothing(self)
    }
}

impl<T: Value> Setting for Option<T> {
    fn read_all(texts: &[String], place: &Place<'_>) -> Result<Self, Vec<(String, Invalid)>> {
        T::read_all(texts, place).map(Some)
    }
    fn show_all(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), T::show)
    }
    fn is_nothing(&self) -> bool {
        self.is_none()
    }
}

impl<T: Value> Setting for Vec<T> {
    const LIST: bool = true;

    fn read_all(texts: &[String], place: &Place<'_>) -> Result<Self, Vec<(String, Invalid)>> {
        let (mut values, mut flaws) = (Vec::new(), Vec::new());
        for text in texts {
            match read_one(text, place) {
                Ok(value) => values.push(value),
                Err(flaw) => flaws.push(flaw),
            }
        }
        if flaws.is_empty() { Ok(values) } else { Err(flaws) }
    }
    fn show_all(&self) -> String {
        if self.is_empty() {
            return "none".to_owned();
        }
        self.iter().map(T::show).collect::<Vec<_>>().join(", ")
    }
    fn is_nothing(&self) -> bool {
        self.is_empty()
    }
}
