//! `/status`: what runs here and how it is, as JSON. Its shape is documented in the README and held by a test: fields are
//! added, never renamed. Nothing in it is secret.

use serde::Serialize;

use super::board::Phase;
use pounce_telemetry::Exports;

/// The whole answer.
#[derive(Debug, Serialize)]
pub(super) struct Status<'a> {
    /// Pounce's own.
    pub(super) version: &'a str,
    pub(super) phase: Phase,
    pub(super) uptime_seconds: f64,
    /// Where this was asked.
    pub(super) admin: &'a str,
    #[serde(flatten)]
    pub(super) facts: Shown,
    pub(super) telemetry: Exports,
}

/// The facts, or their places while there are none.
#[derive(Debug, Default, Serialize)]
pub(super) struct Shown {
    /// The first, where there are several.
    component: Option<Component>,
    components: Vec<Component>,
    listeners: Vec<String>,
    tls: Option<Tls>,
    /// None where it is not restricted.
    hardening: Option<Hardening>,
    reload: Option<Reload>,
    limits: Option<Limits>,
    totals: Option<Totals>,
}

/// What a server says of itself once its component is loaded.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// In the order of the settings, one at least.
    pub(crate) components: Vec<Component>,
    /// What clients connect to.
    pub(crate) listeners: Vec<String>,
    /// How they are encrypted, if they are.
    pub(crate) tls: Option<Tls>,
    pub(crate) hardening: Option<Hardening>,
    pub(crate) reload: Reload,
    pub(crate) limits: Limits,
    pub(crate) totals: Totals,
}

/// What is served.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) path: String,
    /// False for one that is loaded when a request asks for it, until then.
    pub(crate) loaded: bool,
    /// `0.2` or `0.3`.
    pub(crate) wasi_http: Option<String>,
    /// `request` or `instance`.
    pub(crate) isolation: Option<&'static str>,
    /// Slots for its instances, of those that it may have.
    pub(crate) pool_slots: Option<Use>,
    /// Bytes of its instances, of those that they may have.
    pub(crate) guest_memory: Option<Use>,
}

/// How listeners are encrypted.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Tls {
    /// Certificates in force, in the order of the settings.
    pub(crate) certificates: Vec<Certificate>,
    /// Why files that have changed are not in force.
    pub(crate) reload_error: Option<String>,
}

/// A certificate of the listeners.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Certificate {
    pub(crate) file: String,
    pub(crate) names: Vec<String>,
    /// 0 where it has expired.
    pub(crate) expires_in_seconds: u64,
}

/// What the process has given up (`http.harden`).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hardening {
    /// `full`, `partial` or `none`: how much of it the kernel has.
    pub(crate) landlock: &'static str,
    pub(crate) seccomp: bool,
    /// Directories that may be written to.
    pub(crate) writable: Vec<String>,
    /// What this kernel does not restrict.
    pub(crate) missing: Vec<&'static str>,
}

/// Reloads of components and routes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Reload {
    /// Reloads since the start that put another generation in place.
    pub(crate) done: u64,
    /// Reloads since the start that changed nothing, as something was wrong.
    pub(crate) failed: u64,
    pub(crate) last_seconds_ago: Option<f64>,
    /// What was wrong the last time; none where nothing was.
    pub(crate) last_error: Option<String>,
    /// Settings that have changed and are not in force before a restart.
    pub(crate) needs_restart: Vec<String>,
}

/// How much of a limit is used.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Use {
    pub(crate) used: u64,
    pub(crate) limit: u64,
}

/// The limits in force.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Limits {
    /// Requests that guests work on.
    pub(crate) in_flight: Use,
    /// Responses whose guests have finished and whose clients have not taken all of them.
    pub(crate) waiting: Use,
    /// Slots for instances.
    pub(crate) pool_slots: Use,
    /// Linear memory of all instances, in bytes.
    pub(crate) guest_memory: Use,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Totals {
    /// Requests refused with 503 for want of room.
    pub(crate) requests_shed: u64,
    /// Requests among `requests_shed` that were beyond the share of their client's address.
    pub(crate) requests_shed_per_peer: u64,
    /// Requests refused with 429 because their client sends too many.
    pub(crate) requests_rate_limited: u64,
    /// Requests that ran once more, since another's trap had failed them.
    pub(crate) requests_retried: u64,
    /// Requests that did not, because too many did at the same time.
    pub(crate) requests_not_retried: u64,
    /// Requests of guests that no rule allows.
    pub(crate) outgoing_requests_refused: u64,
    /// Lines of guests' output beyond the rate that is logged.
    pub(crate) output_lines_dropped: u64,
    /// Telemetry calls of guests without a current request.
    pub(crate) telemetry_calls_unattributed: u64,
    /// Telemetry calls of guests that were invalid or over a limit.
    pub(crate) telemetry_calls_invalid: u64,
    /// Attributes, events and links of spans, and spans under requests, over a limit.
    pub(crate) span_parts_dropped: u64,
    /// Measurements of guests that count nowhere.
    pub(crate) measurements_dropped: u64,
}

impl From<Option<Facts>> for Shown {
    fn from(facts: Option<Facts>) -> Self {
        let Some(Facts { components, listeners, tls, hardening, reload, limits, totals }) = facts else {
            return Self::default();
        };
        let component = components.first().cloned();
        let (reload, limits, totals) = (Some(reload), Some(limits), Some(totals));
        Self { component, components, listeners, tls, hardening, reload, limits, totals }
    }
}
