//! What metrics tell of each request: they read its record at its end.

use super::Host;
use super::bound::{Key, Start};
use crate::clock::unix_nanos;
use crate::context::SpanContext;
use crate::metrics::exemplars::Witness;
use crate::metrics::kind::Measurement;
use crate::request::facts::Facts;
use crate::request::finished::Finished;

impl Host {
    /// A request has begun.
    pub(crate) fn request_began(&self, facts: &Facts) {
        self.requests.active(Start::of(facts)).record_often(Measurement::Int(1), None);
    }

    /// A request is over.
    pub(crate) fn request_ended(&self, request: &Finished<'_>) {
        let start = Start::of(request.facts);
        let outcome = request.outcome;
        let key = Key {
            start,
            status: outcome.status.map_or(0, |status| status.as_u16()),
            route: outcome.route.as_deref(),
            error_type: outcome.error_type(),
        };
        self.requests.active(start).record_often(Measurement::Int(-1), None);
        self.requests.with(key, |series| {
            let span = request.context.filter(|_| request.is_exported);
            let now = || request.ended_at();
            let witness = Witness::of(self.metrics.exemplars, span, span.is_some(), now);
            let seconds = request.lasted.as_secs_f64();
            series.duration.record_often(Measurement::Double(seconds), witness);
            if let Some(bytes) = request.request_size() {
                series.request_size.record_often(Measurement::Double(bytes as f64), witness);
            }
            if outcome.status.is_some() {
                series.response_size.record_often(Measurement::Double(request.sent as f64), witness);
            }
        });
    }

    /// What a measurement in `span` is worth as an exemplar, if it is exported.
    pub(super) fn witness(&self, span: Option<&SpanContext>) -> Option<Witness> {
        Witness::of(self.metrics.exemplars, span, span.is_some(), unix_nanos)
    }
}
