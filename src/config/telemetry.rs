//! The settings of `pounce-telemetry`, and of `pounce-otlp` in them, filled from those of `[otel]` and `[log]`.

use std::sync::Arc;

use http::HeaderValue;
use pounce_otlp::{Batching, Endpoint, Identity, Names, Protocol, Signal};
use pounce_telemetry::logs::LogSettings;
use pounce_telemetry::settings::{
    ConsoleForm, MetricsSettings, Queue, RouteRatio, Sampling, Settings, SpoolSettings, Trust,
};

use super::Config;
use super::otel::{Batch, Otel, Transport};
use super::value::{Exporter, Sampler, Temporality};

/// Our name, and the version of the OpenTelemetry crates whose messages these are, in the form by which backends know
/// exporters.
const AGENT: &str = concat!("Pounce/", env!("CARGO_PKG_VERSION"), " OTel-OTLP-Exporter-Rust/0.33.1");

/// The names of our settings, for advice.
static NAMES: Names = Names {
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
    diagnosis: "`pounce doctor` with the same settings tries the way there step by step, and says what to do",
};

/// The names where the settings ask for deltas.
static NAMES_WITH_DELTAS: Names = Names {
    cumulative: "unset OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: it takes cumulative only",
    ..NAMES
};

impl Config {
    /// What is written to standard error, and how.
    pub(crate) fn log_settings(&self) -> LogSettings {
        LogSettings {
            format: self.log.format,
            level: self.log.level,
            telemetry_level: self.otel.log_level,
            // A tree tells more of a request than a line.
            access: self.log.access && !(self.is_dev && self.otel.exporter == Exporter::Console),
            is_dev: self.is_dev,
        }
    }
}

impl Otel {
    /// What telemetry records and where it goes.
    pub(crate) fn telemetry(&self) -> Settings {
        let trust = self.trust_parent.clone();
        let endpoint = |signal| Some((signal, self.otlp(signal)?));
        let spool = |directory: &std::path::PathBuf| SpoolSettings {
            directory: directory.clone(),
            max_bytes: self.spool_max.0,
            names: &NAMES,
        };
        Settings {
            service_name: self.service_name.clone(),
            resource_attributes: self.resource_attributes.clone(),
            endpoints: Signal::ALL.into_iter().filter_map(endpoint).collect(),
            proxies: self.proxies.clone(),
            spool: self.spool.as_ref().map(spool),
            console: self.console(),
            spans: self.batch.queue(),
            span_export_timeout: self.batch.export_timeout.0,
            log_records: self.logs.batch.queue(),
            metrics: MetricsSettings {
                interval: self.metrics.interval,
                temporality: self.metrics.temporality,
                exemplars: self.metrics.exemplars,
                histograms: self.metrics.histograms,
            },
            sampling: self.sampling(),
            keep_errors: self.keep_errors,
            keep_slow: self.keep_slow.0,
            propagators: self.propagators.clone(),
            trust: Trust::of(move |peer| trust.believes(peer)),
            semconv: self.semconv,
            known_methods: self.known_methods.clone(),
            request_headers: self.request_headers.clone(),
            response_headers: self.response_headers.clone(),
            exceptions: self.exceptions,
            limits: self.limits.clone(),
        }
    }

    fn console(&self) -> Option<ConsoleForm> {
        let form = if self.has_bars { ConsoleForm::Bars } else { ConsoleForm::Whole };
        (self.is_on() && self.exporter == Exporter::Console).then_some(form)
    }

    fn sampling(&self) -> Sampling {
        let route = |route: &super::SampleRoute| RouteRatio {
            method: route.method.clone(),
            path: route.path.clone(),
            ratio: route.sampler.ratio(),
        };
        Sampling {
            ratio: self.sampler.ratio(),
            parent_based: matches!(self.sampler, Sampler::ParentBased(_)),
            routes: self.sample_routes.iter().map(route).collect(),
            random_flag: self.random_flag,
        }
    }

    /// Where a signal is sent as OTLP; none where it is not.
    fn otlp(&self, signal: Signal) -> Option<Endpoint> {
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
    /// How items wait.
    fn queue(&self) -> Queue {
        let batching = Batching { delay: self.schedule_delay, max_items: self.max_export_batch_size };
        Queue { max_items: self.max_queue_size, batching }
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
    fn what_is_disabled_goes_nowhere() {
        let on = Otel { endpoint: Some("http://c:4318".parse().unwrap()), ..Otel::default() };
        let signals = |otel: &Otel| {
            let settings = otel.telemetry();
            (
                settings.endpoints.iter().map(|(signal, _)| *signal).collect::<Vec<_>>(),
                settings.console.is_some(),
            )
        };
        assert_eq!(signals(&on), (Signal::ALL.to_vec(), false));
        assert_eq!(signals(&Otel { disabled: true, ..on.clone() }), (Vec::new(), false));
        let console = Otel { exporter: Exporter::Console, ..Otel::default() };
        assert_eq!(signals(&console), (Vec::new(), true));
        assert_eq!(signals(&Otel { disabled: true, ..console }), (Vec::new(), false));
        // The other signals go where they go without spans.
        let others = vec![Signal::Metrics, Signal::Logs];
        assert_eq!(signals(&Otel { exporter: Exporter::None, ..on.clone() }), (others, false));
        let agent = on.telemetry().endpoints.remove(0).1.user_agent;
        assert!(agent.to_str().unwrap().starts_with("Pounce/"), "{agent:?}");
    }

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
