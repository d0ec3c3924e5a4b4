//! The page for Prometheus: what all metrics say right now. Nothing is taken, so that exports do not notice.

use super::collect::{Points, Span};
use super::cumulative_view::CumulativeView;
use super::instrument::MAX_INSTRUMENTS;
use super::prometheus::{self, Format, Scope};
use super::registries::Registries;
use super::store::Metrics;
use crate::clock::unix_nanos;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use prost::Message;
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

/// The scopes of the host's own, and of what guests record.
const HOST: &str = "pounce";
const GUESTS: &str = "pounce.guest";

impl Registries {
    /// The page for Prometheus, with what `resource` says in `target_info`.
    pub(crate) fn exposition(&self, format: Format, resource: &[KeyValue]) -> String {
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
        let cumulative = self.cumulative.get().map(CumulativeView::now).unwrap_or_default();
        parts.flat_map(|part| part.metrics).chain(cumulative).collect()
    }

    fn tell(&self, collided: BTreeSet<(String, String)>) {
        if collided.is_empty() {
            return;
        }
        let mut known = self.unshown.lock().unwrap_or_else(PoisonError::into_inner);
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
            if known.len() < MAX_INSTRUMENTS {
                known.insert((scope, name));
            }
        }
    }
}
