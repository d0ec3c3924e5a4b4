//! The page for Prometheus: what all metrics say right now. Nothing is taken, so that exports do not notice.

use super::collect::{Points, Span};
use super::cumulative_view::CumulativeView;
use super::instrument::MAX_INSTRUMENTS;
use super::prometheus::{self, Format, Scope};
use super::registries::Registries;
use super::store::Metrics;
use crate::clock::unix_nanos;
use crate::semconv;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use prost::Message;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

/// The scopes of the host's own, and of what guests record.
const HOST: &str = "pounce";
const GUESTS: &str = "pounce.guest";

impl Registries {
    /// The page for Prometheus of the server's own metrics and of `components` beside it, with what `resource` says in
    /// `target_info`. What is a component's has its name in `pounce_component`.
    pub(crate) fn exposition(
        &self,
        format: Format,
        resource: &[KeyValue],
        components: &[(Arc<str>, Registries)],
    ) -> String {
        let mut scopes = [
            Scope { name: HOST, metrics: self.host.metrics().now() },
            Scope { name: GUESTS, metrics: self.guests.now() },
        ];
        for (name, of_component) in components {
            let both = [of_component.host.metrics(), &of_component.guests];
            for (scope, metrics) in scopes.iter_mut().zip(both) {
                let mut metrics = metrics.now();
                metrics.iter_mut().for_each(|metric| label(metric, name));
                scope.metrics.extend(metrics);
            }
        }
        let page = prometheus::page(format, resource, &scopes);
        self.guests.tell(page.collided);
        page.text
    }
}

/// Adds the name of a component to all points of a metric.
fn label(metric: &mut otlp::Metric, component: &str) {
    use otlp::metric::Data;
    let value = any_value::Value::StringValue(component.to_owned());
    let name = || KeyValue {
        key: semconv::POUNCE_COMPONENT.to_owned(),
        value: Some(AnyValue { value: Some(value.clone()) }),
        ..KeyValue::default()
    };
    match &mut metric.data {
        Some(Data::Gauge(gauge)) => {
            gauge.data_points.iter_mut().for_each(|point| point.attributes.push(name()))
        }
        Some(Data::Sum(sum)) => sum.data_points.iter_mut().for_each(|point| point.attributes.push(name())),
        Some(Data::Histogram(all)) => {
            all.data_points.iter_mut().for_each(|point| point.attributes.push(name()))
        }
        Some(Data::ExponentialHistogram(all)) => {
            all.data_points.iter_mut().for_each(|point| point.attributes.push(name()));
        }
        Some(Data::Summary(all)) => {
            all.data_points.iter_mut().for_each(|point| point.attributes.push(name()))
        }
        None => {}
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
