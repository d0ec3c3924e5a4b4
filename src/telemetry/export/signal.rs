//! The three signals: what each is called, and which variables are about it.

use crate::config::Endpoint;

/// A kind of telemetry, exported by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::telemetry) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// Each of them.
    pub(super) const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// Its name in one word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }

    /// What is sent, as people call it.
    pub(super) fn items(self) -> &'static str {
        match self {
            Signal::Traces => "spans",
            Signal::Metrics => "metrics",
            Signal::Logs => "log records",
        }
    }

    /// What is counted of it.
    pub(super) fn counted(self) -> &'static str {
        match self {
            Signal::Metrics => "points of metrics",
            Signal::Traces | Signal::Logs => self.items(),
        }
    }

    /// The last part of its endpoint's path.
    pub(super) fn path(self) -> &'static str {
        match self {
            Signal::Traces => Endpoint::TRACES,
            Signal::Metrics => Endpoint::METRICS,
            Signal::Logs => Endpoint::LOGS,
        }
    }

    /// How to stop sending it alone; none for traces, without which there is no telemetry.
    pub(super) fn off(self) -> Option<&'static str> {
        match self {
            Signal::Traces => None,
            Signal::Metrics => Some("OTEL_METRICS_EXPORTER=none"),
            Signal::Logs => Some("OTEL_LOGS_EXPORTER=none"),
        }
    }

    /// What to do when more comes than the endpoint takes; metrics do not queue.
    pub(super) fn relief(self) -> &'static str {
        match self {
            Signal::Traces => "raise OTEL_BSP_MAX_QUEUE_SIZE, or record fewer (`otel.sample`)",
            Signal::Metrics => "lengthen OTEL_METRIC_EXPORT_INTERVAL",
            Signal::Logs => "raise OTEL_BLRP_MAX_QUEUE_SIZE, or have guests emit fewer",
        }
    }

    /// How to make requests smaller.
    pub(super) fn smaller(self) -> &'static str {
        match self {
            Signal::Traces => "lower OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            Signal::Metrics => "use fewer attributes of metrics",
            Signal::Logs => "lower OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
        }
    }
}
