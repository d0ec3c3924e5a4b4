//! What all metrics say right now, for whoever looks: nothing is taken, so that exports do not notice.

use super::collect::{Points, Span};
use super::prometheus::{self, Format, Scope};
use super::standing::Standing;
use super::{Metrics, Registries};
use crate::telemetry::clock::unix_nanos;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use prost::Message;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

/// The scopes of the host's own, and of what guests record.
const HOST: &str = "pounce";
const GUESTS: &str = "pounce.guest";

/// What pages could not show, each counted and told once.
#[derive(Default)]
pub(super) struct LeftOut(Mutex<BTreeSet<(String, String)>>);

impl Registries {
    /// The page for Prometheus, with what `resource` says in `target_info`.
    pub(in crate::telemetry) fn exposition(&self, format: Format, resource: &[KeyValue]) -> String {
        let scopes = [
            Scope { name: HOST, metrics: self.host.metrics().now() },
            Scope { name: GUESTS, metrics: self.guests.now() },
        ];
        let page = prometheus::page(format, resource, &scopes);
        self.guests.tell(page.collided);
        page.text
    }
}

impl Metrics {
    /// All since the start.
    fn now(&self) -> Vec<otlp::Metric> {
        self.look();
        let mut collected = Vec::new();
        let span = Span { from: self.started, to: unix_nanos().max(self.started) };
        for instrument in self.instruments() {
            Points { instrument: &instrument, is_delta: false, is_export: false, span }.write(&mut collected);
        }
        let parts = collected.iter().filter_map(|part| otlp::ScopeMetrics::decode(&*part.bytes).ok());
        let standing = self.standing.get().map(Standing::now).unwrap_or_default();
        parts.flat_map(|part| part.metrics).chain(standing).collect()
    }

    fn tell(&self, collided: BTreeSet<(String, String)>) {
        if collided.is_empty() {
            return;
        }
        let mut known = self.left_out.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (scope, name) in collided {
            if known.contains(&(scope.clone(), name.clone())) {
                continue;
            }
            self.ignored.collided.fetch_add(1, Relaxed);
            if known.is_empty() {
                tracing::warn!(
                    metric = name,
                    scope,
                    "a metric is not on /metrics, as its name there is that of another: rename it (`a.b` and `a_b` are \
                     the same to Prometheus); exports have both, and further ones are only counted"
                );
            }
            // As many as there may be instruments, and never more.
            if known.len() < super::MAX_INSTRUMENTS {
                known.insert((scope, name));
            }
        }
    }
}
