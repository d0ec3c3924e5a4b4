//! The settings of `pounce-otlp`, filled from those of `[otel]`.

use http::HeaderValue;
use pounce_otlp::{Batching, Endpoint, Identity, Names, Protocol, Signal};
use std::sync::Arc;

use super::otel::{Batch, Otel};
use super::transport::Transport;
use super::value::{Exporter, Temporality};

/// Our name, and the version of the OpenTelemetry crates whose messages these are, in the form by which backends know
/// exporters.
const AGENT: &str = concat!("Pounce/", env!("CARGO_PKG_VERSION"), " OTel-OTLP-Exporter-Rust/0.33.1");

/// The names of our settings, for advice.
pub(crate) static NAMES: Names = Names {
    endpoint: "otel.endpoint",
    headers: "otel.headers",
    protocol: "otel.protocol",
    certificate: "otel.certificate",
    client_certificate: "otel.client-certificate",
    client_key: "otel.client-key",
    spool: "otel.spool",
    spool_max: "otel.spool-max",
    sampler: "otel.sample",
    fewer_logs: "have guests emit fewer",
    cumulative: "it takes cumulative only, and an OpenTelemetry SDK in a guest hands over deltas: have it record by \
                 pounce:telemetry/metrics",
};

/// The names where the settings ask for deltas.
static NAMES_WITH_DELTAS: Names = Names {
    cumulative: "unset OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: it takes cumulative only",
    ..NAMES
};

impl Otel {
    /// Where a signal is sent as OTLP; none where it is not.
    pub(crate) fn otlp(&self, signal: Signal) -> Option<Endpoint> {
        let (to, export_timeout) = match signal {
            Signal::Traces => return self.otlp_of_traces(),
            Signal::Metrics => (&self.metrics.to, self.metrics.export_timeout),
            Signal::Logs => (&self.logs.to, self.logs.batch.export_timeout),
        };
        let transport = self.transport_of(to);
        let endpoint = self.endpoint_of(to, signal.path())?;
        let is_delta = signal == Signal::Metrics && self.metrics.temporality != Temporality::Cumulative;
        Some(Endpoint {
            url: url(&endpoint, transport, signal),
            headers: to.headers.as_ref().unwrap_or(&self.headers).clone(),
            user_agent: HeaderValue::from_static(AGENT),
            transport: transport.otlp(),
            timeout: to.timeout.0,
            export_timeout: export_timeout.0,
            names: if is_delta { &NAMES_WITH_DELTAS } else { &NAMES },
        })
    }

    fn otlp_of_traces(&self) -> Option<Endpoint> {
        let is_sent = self.is_on() && self.exporter == Exporter::Otlp;
        let endpoint = self.endpoint.as_ref().filter(|_| is_sent)?;
        Some(Endpoint {
            url: url(endpoint, &self.transport, Signal::Traces),
            headers: self.headers.clone(),
            user_agent: HeaderValue::from_static(AGENT),
            transport: self.transport.otlp(),
            timeout: self.timeout.0,
            export_timeout: self.batch.export_timeout.0,
            names: &NAMES,
        })
    }
}

impl Transport {
    fn otlp(&self) -> pounce_otlp::Transport {
        let identity = self.client_certificate.as_ref().zip(self.client_key.as_ref());
        pounce_otlp::Transport {
            protocol: self.protocol,
            compression: self.compression,
            authorities: self.certificate.as_ref().map(|own| own.certificates().to_vec()),
            identity: identity.map(|(certificates, key)| Identity {
                certificates: certificates.certificates().to_vec(),
                key: Arc::new(key.key()),
            }),
        }
    }
}

impl Batch {
    /// How items are gathered.
    pub(crate) fn otlp(&self) -> Batching {
        Batching { delay: self.schedule_delay, max_items: self.max_export_batch_size }
    }
}

/// The endpoint's URL for one signal.
fn url(endpoint: &super::Endpoint, transport: &Transport, signal: Signal) -> http::Uri {
    match transport.protocol {
        Protocol::Grpc => endpoint.of_call(signal.grpc_path()),
        Protocol::HttpProtobuf | Protocol::HttpJson => endpoint.url.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_that_the_settings_do_not_ask_for_are_a_guests() {
        let advice = |temporality| {
            let mut otel = Otel { endpoint: Some("http://c:4318".parse().unwrap()), ..Otel::default() };
            otel.metrics.temporality = temporality;
            otel.otlp(Signal::Metrics).unwrap().names.cumulative
        };
        assert!(advice(Temporality::Delta).starts_with("unset OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY"));
        assert!(advice(Temporality::Cumulative).contains("an OpenTelemetry SDK in a guest"));
    }
}
