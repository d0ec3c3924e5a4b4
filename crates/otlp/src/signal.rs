//! The three signals of OpenTelemetry: what each is called, and where it is sent.

use crate::settings::Names;

/// Kind of telemetry, exported by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Data points of metrics.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// Name of the signal in one word: `traces`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }

    /// What is sent, as people call it: `spans`.
    #[must_use]
    pub const fn items(self) -> &'static str {
        match self {
            Signal::Traces => "spans",
            Signal::Metrics => "metrics",
            Signal::Logs => "log records",
        }
    }

    /// What is counted of the signal: `spans`, `points of metrics`.
    #[must_use]
    pub const fn counted(self) -> &'static str {
        match self {
            Signal::Metrics => "points of metrics",
            Signal::Traces | Signal::Logs => self.items(),
        }
    }

    /// Path of the signal below an endpoint of OTLP over HTTP: `/v1/traces`.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Signal::Traces => "/v1/traces",
            Signal::Metrics => "/v1/metrics",
            Signal::Logs => "/v1/logs",
        }
    }

    /// Path of the signal's only call over gRPC.
    #[must_use]
    pub const fn grpc_path(self) -> &'static str {
        match self {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }

    /// How to stop sending the signal alone; none for traces, without which there is no telemetry.
    pub(crate) fn off(self) -> Option<&'static str> {
        match self {
            Signal::Traces => None,
            Signal::Metrics => Some("OTEL_METRICS_EXPORTER=none"),
            Signal::Logs => Some("OTEL_LOGS_EXPORTER=none"),
        }
    }

    /// What to do when more comes than the endpoint takes; metrics do not queue.
    pub(crate) fn relief(self, names: &Names) -> String {
        match self {
            Signal::Traces => format!("raise OTEL_BSP_MAX_QUEUE_SIZE, or record fewer (`{}`)", names.sampler),
            Signal::Metrics => "lengthen OTEL_METRIC_EXPORT_INTERVAL".to_owned(),
            Signal::Logs => format!("raise OTEL_BLRP_MAX_QUEUE_SIZE, or {}", names.fewer_logs),
        }
    }

    /// How to make requests smaller.
    pub(crate) fn smaller(self) -> &'static str {
        match self {
            Signal::Traces => "lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            Signal::Metrics => "use fewer attributes of metrics",
            Signal::Logs => "lower OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
        }
    }
}
