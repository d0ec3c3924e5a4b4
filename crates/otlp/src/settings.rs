//! Settings of a sender: where it sends, in which form, as whom, and how items are gathered.
//!
//! Where settings come from (variables, files, flags) is the program's affair. Advice in messages names settings by
//! [`Names`], so that it speaks of the program's own.

use crate::net::Identity;
use crate::signal::Signal;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri};
use rustls::pki_types::CertificateDer;
use std::time::Duration;

/// Declares an enum whose variants are words, as the variables of OpenTelemetry have them, with `ALL`, `as_str` and
/// [`Display`](std::fmt::Display). One variant is marked as the `#[default]`.
///
/// ```
/// pounce_otlp::words! {
///     /// How fast it goes.
///     Speed {
///         /// Below the limit.
///         #[default]
///         Slow = "slow",
///         /// At the limit.
///         Fast = "fast",
///     }
/// }
/// assert_eq!(Speed::ALL, [Speed::Slow, Speed::Fast]);
/// assert_eq!(Speed::default().to_string(), "slow");
/// ```
#[macro_export]
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $word:literal, )+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub enum $name {
            $( $(#[$variant_meta])* $variant, )+
        }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$( Self::$variant ),+];

            /// The value as it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Form in which OTLP is sent (`OTEL_EXPORTER_OTLP_PROTOCOL`).
    Protocol {
        /// Protobuf over HTTP/1.1.
        #[default]
        HttpProtobuf = "http/protobuf",
        /// JSON over HTTP/1.1.
        HttpJson = "http/json",
        /// Protobuf over HTTP/2, as gRPC.
        Grpc = "grpc",
    }
}

words! {
    /// Compression of requests (`OTEL_EXPORTER_OTLP_COMPRESSION`).
    Compression {
        /// Not at all.
        #[default]
        None = "none",
        /// By gzip, at its fastest level.
        Gzip = "gzip",
    }
}

/// Endpoint of one signal, and how requests are made to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// URL of the requests, used as it is: scheme, host and the whole path.
    pub url: Uri,
    /// Headers of each request; their values are secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `User-Agent` of each request.
    pub user_agent: HeaderValue,
    /// Form of the requests, and who speaks to whom.
    pub transport: Transport,
    /// Longest time of one attempt; `None` for no limit of its own.
    pub timeout: Option<Duration>,
    /// Longest time in which one batch is tried, all attempts together; 5 minutes at most, which `None` means too.
    pub export_timeout: Option<Duration>,
    /// Names of settings in advice.
    pub names: &'static Names,
}

/// Form of requests, and who speaks to whom. Signals with the same transport share connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transport {
    /// Form of OTLP.
    pub protocol: Protocol,
    /// Compression of requests.
    pub compression: Compression,
    /// Authorities that vouch for an `https` endpoint; `None` for those of the system.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// Client certificate, for endpoints that ask who is calling.
    pub identity: Option<Identity>,
}

/// How the items of a buffer are gathered into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Longest time for which an item waits to be sent; 10 ms at least.
    pub delay: Duration,
    /// Most items of one request.
    pub max_items: usize,
}

/// Names of settings as the program's users know them, for advice in messages; [`STANDARD`] has those of OpenTelemetry's
/// variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// The endpoint of all signals.
    pub endpoint: &'static str,
    /// The headers.
    pub headers: &'static str,
    /// The protocol.
    pub protocol: &'static str,
    /// The file of authorities.
    pub certificate: &'static str,
    /// The file of the client's certificate.
    pub client_certificate: &'static str,
    /// The file of the client's key.
    pub client_key: &'static str,
    /// The directory of the spool.
    pub spool: &'static str,
    /// The size of the spool.
    pub spool_max: &'static str,
    /// The share of traces that are recorded.
    pub sampler: &'static str,
    /// How to emit fewer log records.
    pub fewer_logs: &'static str,
    /// What to do about an endpoint that refuses deltas.
    pub cumulative: &'static str,
    /// How to find out why an endpoint cannot be reached.
    pub diagnosis: &'static str,
}

impl Endpoint {
    /// The endpoint of `signal` below `base`, which serves all signals: `http://localhost:4318` for OTLP over HTTP, to
    /// which the signal's path is appended, or `http://localhost:4317` for gRPC, whose path is that of the call. Limits
    /// are those of OpenTelemetry's defaults: 10 s an attempt, 30 s a batch.
    #[must_use]
    pub fn of(signal: Signal, base: &Uri, transport: Transport) -> Self {
        let path = match transport.protocol {
            Protocol::Grpc => signal.grpc_path().to_owned(),
            Protocol::HttpProtobuf | Protocol::HttpJson => {
                format!("{}{}", base.path().trim_end_matches('/'), signal.path())
            }
        };
        let mut parts = base.clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(path).ok();
        Endpoint {
            url: Uri::from_parts(parts).unwrap_or_else(|_| base.clone()),
            headers: Vec::new(),
            user_agent: HeaderValue::from_static(AGENT),
            transport,
            timeout: Some(Duration::from_secs(10)),
            export_timeout: Some(Duration::from_secs(30)),
            names: &STANDARD,
        }
    }
}

/// Our name, and the version of the OpenTelemetry crates whose messages these are, in the form by which backends know
/// exporters.
const AGENT: &str = concat!("pounce-otlp/", env!("CARGO_PKG_VERSION"), " OTel-OTLP-Exporter-Rust/0.33.1");

impl Default for Batching {
    /// OpenTelemetry's defaults for spans: 5 s, 512 items.
    fn default() -> Self {
        Batching { delay: Duration::from_secs(5), max_items: 512 }
    }
}

/// The names of OpenTelemetry's variables.
pub static STANDARD: Names = Names {
    endpoint: "OTEL_EXPORTER_OTLP_ENDPOINT",
    headers: "OTEL_EXPORTER_OTLP_HEADERS",
    protocol: "OTEL_EXPORTER_OTLP_PROTOCOL",
    certificate: "OTEL_EXPORTER_OTLP_CERTIFICATE",
    client_certificate: "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    client_key: "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    spool: "the spool",
    spool_max: "the size of the spool",
    sampler: "OTEL_TRACES_SAMPLER_ARG",
    fewer_logs: "emit fewer",
    cumulative: "it takes cumulative only: unset OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    diagnosis: "check that the endpoint is right, and that something listens there",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_signal_is_appended_or_that_of_the_call_put_in_place() {
        let url = |base: &str, protocol| {
            let transport = Transport { protocol, ..Transport::default() };
            Endpoint::of(Signal::Metrics, &base.parse().unwrap(), transport).url.to_string()
        };
        assert_eq!(url("http://c:4318", Protocol::HttpProtobuf), "http://c:4318/v1/metrics");
        assert_eq!(url("https://c/otlp/", Protocol::HttpJson), "https://c/otlp/v1/metrics");
        let call = "http://c:4317/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
        assert_eq!(url("http://c:4317/x", Protocol::Grpc), call);
    }
}
