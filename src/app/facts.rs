//! What the admin listener tells of the server: gathered here, where all parts are known.

use std::sync::Arc;

use super::lines::Lines;
use super::reload::Reloads;
use crate::admin::{Certificate, Component, Facts, Limits, Tls as TlsFacts, Totals, Use};
use crate::guest::{Guests, Losses, Served};
use crate::server::{Generation, Handler, Tls};

/// Says at any time how the server of `handler` is.
pub(super) fn of(
    handler: Arc<Handler>,
    lines: Arc<Lines>,
    reloads: Arc<Reloads>,
    listeners: Vec<String>,
    tls: Option<Arc<Tls>>,
) -> impl Fn() -> Facts + Send + Sync + 'static {
    move || {
        let generation = handler.generation.get();
        let components = generation.components.iter().zip(&generation.paths);
        Facts {
            components: components.map(|(served, path)| component(served, path.clone())).collect(),
            listeners: listeners.clone(),
            tls: tls.as_deref().map(tls_facts),
            hardening: reloads.hardening(),
            reload: reloads.facts(),
            limits: limits(&handler, &generation),
            totals: totals(&handler, lines.losses()),
        }
    }
}

fn component(served: &Served, path: String) -> Component {
    let kind = served.guests().map(|guests| guests.kind());
    let of = |(used, limit): (u64, u64)| Use { used, limit };
    let (wasi_http, isolation) = kind.unzip();
    Component {
        name: served.name().to_string(),
        path,
        loaded: served.guests().is_some(),
        wasi_http,
        isolation,
        pool_slots: served.guests().map(|guests| of(guests.slots())),
        guest_memory: served.guests().map(|guests| of(guests.memory())),
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

fn limits(handler: &Handler, generation: &Generation) -> Limits {
    let of = |(used, limit): (u64, u64)| Use { used, limit };
    // What one has used counts once, and what all may use is the same for each.
    let all = |read: fn(&Guests) -> (u64, u64)| {
        let all = generation.guests().map(|guests| read(guests));
        of(all.fold((0, 0), |(used, limit), one| (used + one.0, limit.max(one.1))))
    };
    Limits {
        in_flight: of(handler.admission.in_flight()),
        waiting: of(handler.admission.waiting()),
        pool_slots: all(Guests::slots),
        guest_memory: all(Guests::memory),
    }
}

fn totals(handler: &Handler, losses: Losses) -> Totals {
    let telemetry = handler.telemetry.totals();
    Totals {
        requests_shed: handler.admission.shed(),
        requests_shed_per_peer: handler.admission.shed_by_share(),
        requests_rate_limited: handler.rates.refused(),
        requests_retried: losses.retries[0] + losses.retries[1],
        requests_not_retried: losses.retries[2],
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
