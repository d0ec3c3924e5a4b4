//! What the admin listener tells of the server: gathered here, where all parts are known.

use std::sync::Arc;

use crate::admin::{Certificate, Component, Facts, Limits, Tls as TlsFacts, Totals, Use};
use crate::server::{Handler, Tls};

/// Says at any time how the server of `handler` is.
pub(super) fn of(
    handler: Arc<Handler>,
    name: String,
    path: String,
    listeners: Vec<String>,
    tls: Option<Arc<Tls>>,
) -> impl Fn() -> Facts + Send + Sync + 'static {
    let (wasi_http, isolation) = handler.guests.kind();
    let component = Component { name, path, wasi_http, isolation: isolation.to_owned() };
    move || Facts {
        component: component.clone(),
        listeners: listeners.clone(),
        tls: tls.as_deref().map(tls_facts),
        limits: limits(&handler),
        totals: totals(&handler),
    }
}

fn tls_facts(tls: &Tls) -> TlsFacts {
    let certificates = tls.certificates().into_iter().map(|shown| Certificate {
        file: shown.file,
        names: shown.names,
        expires_in_seconds: shown.expires_in.as_secs(),
    });
    TlsFacts { certificates: certificates.collect(), reload_error: tls.reload_error() }
}

fn limits(handler: &Handler) -> Limits {
    let of = |(used, limit): (u64, u64)| Use { used, limit };
    Limits {
        in_flight: of(handler.admission.in_flight()),
        waiting: of(handler.admission.waiting()),
        pool_slots: of(handler.guests.slots()),
        guest_memory: of(handler.guests.memory()),
    }
}

fn totals(handler: &Handler) -> Totals {
    let losses = handler.guests.losses();
    let telemetry = handler.telemetry.totals();
    Totals {
        requests_shed: handler.admission.shed(),
        requests_shed_per_peer: handler.admission.shed_by_share(),
        requests_rate_limited: handler.rates.refused(),
        requests_retried: losses.requests_retried,
        requests_not_retried: losses.requests_not_retried,
        outgoing_requests_refused: losses.outgoing_requests,
        output_lines_dropped: losses.output_lines,
        telemetry_calls_unattributed: losses.telemetry_unattributed,
        telemetry_calls_invalid: losses.telemetry_invalid,
        span_parts_dropped: telemetry.left_out.attributes
            + telemetry.left_out.events
            + telemetry.left_out.links
            + telemetry.left_out.children,
        measurements_dropped: telemetry.metrics.ignored.whole(),
    }
}
