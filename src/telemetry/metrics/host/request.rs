//! What metrics keep of one request until its end, whether or not it has a span that is recorded.

use super::super::series::lock;
use super::bound::{Key, Start};
use super::{Host, Measurement, Witness};
use crate::telemetry::clock::{Ended, unix_nanos};
use crate::telemetry::context::SpanContext;
use crate::telemetry::limits::MAX_NAME;
use crate::telemetry::request::content_length;
use crate::telemetry::value::shortened;
use http::StatusCode;
use http::request::Parts;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Instant;

/// `error.type` of a request that everybody let go of before its end.
const ABANDONED: &str = "abandoned";
/// Stands for a size that nobody knows.
const UNKNOWN: u64 = u64::MAX;

/// One request; recorded once, at its end.
pub(crate) struct Measured {
    host: Arc<Host>,
    start: Start,
    started: Instant,
    /// 0 before one was sent.
    status: AtomicU16,
    /// Bytes of the request's body, if they are known.
    body_size: AtomicU64,
    /// Most requests have none, and need neither their room nor a lock to know.
    texts: OnceLock<Box<Mutex<Texts>>>,
    ended: AtomicBool,
}

/// What is rarely there.
#[derive(Default)]
struct Texts {
    route: Option<Box<str>>,
    failure: Option<Box<str>>,
    /// `error.type` as the guest has it.
    guests_error: Option<Box<str>>,
}

impl Host {
    /// A request has begun at `started`, its head is read.
    #[inline]
    pub(in crate::telemetry) fn request(
        self: &Arc<Self>,
        is_tls: bool,
        head: &Parts,
        route: Option<&str>,
        started: Instant,
    ) -> Measured {
        let start = Start { method: self.methods.place(&head.method), is_tls, version: head.version };
        self.requests.active(start).record_often(Measurement::Int(1), None);
        let measured = Measured {
            host: Arc::clone(self),
            start,
            started,
            status: AtomicU16::new(0),
            body_size: AtomicU64::new(content_length(&head.headers).unwrap_or(UNKNOWN)),
            texts: OnceLock::new(),
            ended: AtomicBool::new(false),
        };
        if let Some(route) = route {
            measured.set_route(route);
        }
        measured
    }
}

impl Measured {
    pub(crate) fn host(&self) -> &Arc<Host> {
        &self.host
    }

    pub(in crate::telemetry) fn status(&self, status: StatusCode) {
        self.status.store(status.as_u16(), Relaxed);
    }

    /// Bytes of the request's body; what its head says stays.
    pub(in crate::telemetry) fn body_size(&self, bytes: u64) {
        // An error only says that it was known.
        _ = self.body_size.compare_exchange(UNKNOWN, bytes, Relaxed, Relaxed);
    }

    pub(in crate::telemetry) fn route(&self) -> Option<Box<str>> {
        self.texts()?.route.clone()
    }

    pub(in crate::telemetry) fn set_route(&self, route: &str) {
        if !route.is_empty() {
            self.texts_to_write().route = Some(shortened(route, MAX_NAME).into());
        }
    }

    /// The guest says what kind of error it was.
    pub(in crate::telemetry) fn set_error_type(&self, error_type: &str) {
        self.texts_to_write().guests_error = Some(shortened(error_type, MAX_NAME).into());
    }

    /// The request failed on the host's side; the first reason stays.
    pub(in crate::telemetry) fn fail(&self, error_type: &str) {
        self.texts_to_write().failure.get_or_insert_with(|| shortened(error_type, MAX_NAME).into());
    }

    /// Records the request, `sent` bytes of the response's body having been sent; only the first call counts. `ended`
    /// is what its span says, and `span` is that span if it is exported.
    pub(in crate::telemetry) fn end(&self, sent: u64, ended: Option<Ended>, span: Option<&SpanContext>) {
        if self.ended.swap(true, Relaxed) {
            return;
        }
        let lasted = ended.map_or_else(|| self.started.elapsed(), |ended| ended.lasted);
        let status = self.status.load(Relaxed);
        let size = self.body_size.load(Relaxed);
        let texts = self.texts();
        let texts = texts.as_deref();
        let key = Key {
            start: self.start,
            status,
            route: texts.and_then(|texts| texts.route.as_deref()),
            error_type: texts.and_then(|texts| texts.failure.as_deref().or(texts.guests_error.as_deref())),
        };
        self.host.requests.active(self.start).record_often(Measurement::Int(-1), None);
        self.host.requests.with(key, |series| {
            let now = || ended.map_or_else(unix_nanos, |ended| ended.unix_nanos);
            let witness = Witness::of(self.host.metrics.exemplars, span, span.is_some(), now);
            series.duration.record_often(Measurement::Double(lasted.as_secs_f64()), witness);
            if size != UNKNOWN {
                series.request_size.record_often(Measurement::Double(size as f64), witness);
            }
            if status != 0 {
                series.response_size.record_often(Measurement::Double(sent as f64), witness);
            }
        });
    }

    fn texts_to_write(&self) -> MutexGuard<'_, Texts> {
        lock(self.texts.get_or_init(Box::default))
    }

    fn texts(&self) -> Option<MutexGuard<'_, Texts>> {
        self.texts.get().map(|texts| lock(texts))
    }
}

impl Host {
    /// What a measurement in `span` is worth as an exemplar, if it is exported.
    pub(super) fn witness(&self, span: Option<&SpanContext>) -> Option<Witness> {
        Witness::of(self.metrics.exemplars, span, span.is_some(), unix_nanos)
    }
}

/// A request that everybody let go of ends here, as failed.
impl Drop for Measured {
    fn drop(&mut self) {
        if !*self.ended.get_mut() {
            self.fail(ABANDONED);
            self.end(0, None, None);
        }
    }
}
