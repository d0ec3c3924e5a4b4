//! The SERVER span of one request: what is recorded, who may write to it, and how it ends.
//!
//! A request that is not sampled has ids and nothing else. One that is has a record behind an `Arc`, shared by the
//! server, which ends it, and the guest, which adds to it; the end encodes it into the pipeline and frees what it held.

use super::context::SpanContext;
use super::counters::Counters;
use super::encode::{Code, Head, Kind, SpanWriter};
use super::id::SpanId;
use super::limits::{Attributes, Events, MAX_NAME, MAX_SPAN, MAX_VALUE};
use super::request::Request;
use super::response::{self, Failure, Response};
use super::value::{Exception, Status, Value, shortened};
use super::{Shared, semconv};
use crate::config::Semconv;
use http::StatusCode;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// `error.type` of a request whose span was let go before anybody ended it.
const ABANDONED: &str = "abandoned";

/// Handle on the SERVER span of a request; cheap to clone. Everything is a no-op when nothing is recorded, and a
/// counted one once the span has ended.
#[derive(Clone, Default)]
pub(crate) struct ServerSpan(State);

#[derive(Clone, Default)]
enum State {
    #[default]
    Off,
    Unsampled(SpanContext),
    Recording(Arc<Recording>),
}

/// How an invocation went, as far as it is known; what is `None` is not recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Phases {
    /// The instance had served requests before.
    pub(crate) reused: Option<bool>,
    /// Time before a guest took the request.
    pub(crate) queue: Option<Duration>,
    /// Time to instantiate the component.
    pub(crate) instantiate: Option<Duration>,
    /// Processor time the guest spent.
    pub(crate) cpu: Option<Duration>,
    /// Most linear memory the guest held, in bytes.
    pub(crate) memory_peak: Option<u64>,
}

/// A span being recorded.
struct Recording {
    shared: Arc<Shared>,
    context: SpanContext,
    /// The caller's span.
    parent: Option<SpanId>,
    started: Instant,
    start_unix_nanos: u64,
    request: Request,
    late: Mutex<Late>,
}

/// Bytes of a record without what a guest adds.
#[cfg(test)]
pub(super) const RECORD_SIZE: usize = size_of::<Recording>();

/// What comes after the start.
#[derive(Default)]
pub(super) struct Late {
    pub(super) ended: bool,
    pub(super) response: Response,
    /// What the guest says of the outcome.
    pub(super) status: Status,
    /// A name that the guest chose.
    pub(super) name: Option<Box<str>>,
    pub(super) route: Option<Box<str>>,
    pub(super) attributes: Attributes,
    pub(super) events: Events,
    /// Bytes left for attributes and events.
    pub(super) room: usize,
}

impl fmt::Debug for ServerSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.context() {
            Some(context) => write!(f, "ServerSpan({})", context.traceparent()),
            None => f.write_str("ServerSpan(off)"),
        }
    }
}

impl ServerSpan {
    /// The span of a server without telemetry.
    pub(crate) fn off() -> Self {
        ServerSpan(State::Off)
    }

    pub(super) fn unsampled(context: SpanContext) -> Self {
        ServerSpan(State::Unsampled(context))
    }

    pub(super) fn start(
        shared: &Arc<Shared>,
        context: SpanContext,
        parent: Option<SpanId>,
        request: Request,
        route: Option<&str>,
    ) -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let route = route.map(|route| shortened(route, MAX_NAME).into());
        let late = Late {
            route,
            room: MAX_SPAN,
            ..Late::default()
        };
        ServerSpan(State::Recording(Arc::new(Recording {
            shared: Arc::clone(shared),
            context,
            parent,
            started: Instant::now(),
            start_unix_nanos: nanos(since_epoch),
            request,
            late: Mutex::new(late),
        })))
    }

    /// Whether telemetry is on: then there are ids, sampled or not.
    pub(crate) fn is_on(&self) -> bool {
        !matches!(self.0, State::Off)
    }

    /// Whether what is written to the span will be exported.
    pub(crate) fn is_recording(&self) -> bool {
        self.recording().is_some_and(|span| !span.late().ended)
    }

    /// What identifies the span to others; also after its end.
    pub(crate) fn context(&self) -> Option<SpanContext> {
        match &self.0 {
            State::Off => None,
            State::Unsampled(context) => Some(context.clone()),
            State::Recording(span) => Some(span.context.clone()),
        }
    }

    /// Sets an attribute; the last value of a key wins. `http.route` is the route; a `pounce.` key is dropped.
    pub(crate) fn set_attribute(&self, key: &str, value: Value) {
        self.write(|span, late| match value {
            Value::Text(route) if key == semconv::HTTP_ROUTE => late.set_route(&route),
            _ if response::is_reserved(key) => {
                late.attributes.dropped += 1;
                Counters::add(&span.counters().attributes, 1u32);
            }
            value => {
                let before = late.attributes.dropped;
                late.attributes.set(key, value, MAX_VALUE, &mut late.room);
                Counters::add(
                    &span.counters().attributes,
                    late.attributes.dropped - before,
                );
            }
        });
    }

    /// Adds an event that happens now.
    pub(crate) fn add_event(&self, name: &str, attributes: Vec<(String, Value)>) {
        self.add_event_at(name, attributes, None);
    }

    /// Adds an event that happened at `time`, in nanoseconds of Unix time; now when `None`.
    pub(crate) fn add_event_at(
        &self,
        name: &str,
        attributes: Vec<(String, Value)>,
        time: Option<u64>,
    ) {
        self.write(|span, late| {
            span.add_event(late, time, |events, time, room| {
                events.add(time, name, attributes, room)
            });
        });
    }

    /// Adds an `exception` event; does not touch the status.
    pub(crate) fn record_exception(&self, exception: Exception) {
        self.write(|span, late| span.add_exception(late, exception));
    }

    /// Sets the status on behalf of the guest. As in the specification, `Ok` is final and `Unset` is ignored.
    pub(crate) fn set_status(&self, status: Status) {
        self.write(|_, late| match (&late.status, status) {
            (Status::Ok, _) | (_, Status::Unset) => {}
            (_, Status::Error(message)) => {
                late.status = Status::Error(shortened(&message, MAX_VALUE).to_owned())
            }
            (_, Status::Ok) => late.status = Status::Ok,
        });
    }

    /// Sets `http.route`, and with it the name `{METHOD} {route}`, in place of one chosen before.
    pub(crate) fn set_route(&self, route: &str) {
        self.write(|_, late| {
            late.set_route(route);
            late.name = None;
        });
    }

    /// Renames the span.
    pub(crate) fn update_name(&self, name: &str) {
        self.write(|_, late| late.name = Some(shortened(name, MAX_NAME).into()));
    }

    /// The response head was sent.
    pub(crate) fn response_head(&self, status: StatusCode) {
        self.write(|_, late| late.response.status = Some(status));
    }

    /// The request failed on the host's side: status Error and `error.type`, of which the first stays.
    pub(crate) fn fail(&self, error_type: &str, exception: Option<Exception>) {
        self.write(|span, late| {
            late.response.failure.get_or_insert_with(|| Failure {
                error_type: shortened(error_type, MAX_NAME).into(),
                message: exception
                    .as_ref()
                    .map(|e| shortened(&e.message, MAX_VALUE).into())
                    .unwrap_or_default(),
            });
            if let Some(exception) = exception {
                span.add_exception(late, exception);
            }
        });
    }

    /// Adds what is known of the invocation.
    pub(crate) fn phases(&self, phases: Phases) {
        self.write(|_, late| late.response.phases.add(phases));
    }

    /// Ends the span, `body_bytes_sent` of the response's body having been sent; only the first call counts.
    pub(crate) fn end(&self, body_bytes_sent: u64) {
        if let Some(span) = self.recording() {
            let mut late = span.late();
            if !late.ended {
                span.end(&mut late, body_bytes_sent);
            }
        }
    }

    fn recording(&self) -> Option<&Recording> {
        match &self.0 {
            State::Recording(span) => Some(span),
            _ => None,
        }
    }

    fn write(&self, write: impl FnOnce(&Recording, &mut Late)) {
        if let Some(span) = self.recording() {
            let mut late = span.late();
            if late.ended {
                Counters::add(&span.counters().late_writes, 1u32);
            } else {
                write(span, &mut late);
            }
        }
    }
}

impl Recording {
    fn late(&self) -> MutexGuard<'_, Late> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counters(&self) -> &Counters {
        &self.shared.pipeline.counters
    }

    fn add_exception(&self, late: &mut Late, exception: Exception) {
        self.add_event(late, None, |events, time, room| {
            events.add_exception(time, exception, room)
        });
    }

    fn add_event(
        &self,
        late: &mut Late,
        time: Option<u64>,
        add: impl FnOnce(&mut Events, u64, &mut usize) -> u32,
    ) {
        let before = late.events.dropped;
        let time = time.unwrap_or_else(|| self.now());
        let attributes = add(&mut late.events, time, &mut late.room);
        Counters::add(&self.counters().attributes, attributes);
        Counters::add(&self.counters().events, late.events.dropped - before);
    }

    /// Unix time, by the clock that is never set back.
    fn now(&self) -> u64 {
        self.start_unix_nanos
            .saturating_add(nanos(self.started.elapsed()))
    }

    /// Encodes the span into the pipeline and frees what it held.
    fn end(&self, late: &mut Late, body_bytes_sent: u64) {
        let end_unix_nanos = self.now();
        let name = self.name(late);
        self.shared
            .pipeline
            .push(|out| self.encode(out, late, name, end_unix_nanos, body_bytes_sent));
        late.ended = true;
        late.attributes = Attributes::default();
        late.events = Events::default();
    }

    /// The span's name in three parts.
    fn name<'a>(&'a self, late: &'a Late) -> [&'a str; 3] {
        let method = self.request.method_name();
        let path = self.request.path();
        match (&late.name, &late.route) {
            (Some(name), _) => [name, "", ""],
            (None, Some(route)) => [method, " ", route],
            (None, None) if self.shared.profile != Semconv::Compat || path.is_empty() => {
                [method, "", ""]
            }
            (None, None) if self.shared.path_names.admit(path) => {
                [method, " ", shortened(path, MAX_VALUE)]
            }
            (None, None) => [method, "", ""],
        }
    }

    fn encode(
        &self,
        out: &mut Vec<u8>,
        late: &Late,
        name: [&str; 3],
        end_unix_nanos: u64,
        body_bytes_sent: u64,
    ) {
        let profile = self.shared.profile;
        let mut span = SpanWriter::start(
            out,
            &Head {
                context: &self.context,
                parent: self.parent,
                parent_is_remote: self.parent.is_some(),
                kind: Kind::Server,
                start_unix_nanos: self.start_unix_nanos,
                end_unix_nanos,
            },
        );
        span.name(name);
        self.request.write(profile, &late.attributes, &mut span);
        response::write(
            late,
            profile,
            body_bytes_sent,
            &self.shared.component,
            &mut span,
        );
        for event in &late.events.list {
            let attributes = &event.attributes;
            span.event(
                event.time,
                &event.name,
                &attributes.list,
                attributes.dropped,
            );
        }
        match response::status(late, profile) {
            Status::Unset => {}
            Status::Ok => span.status(Code::Ok, ""),
            Status::Error(message) => span.status(Code::Error, &message),
        }
        span.finish(late.attributes.dropped, late.events.dropped);
    }
}

impl Late {
    fn set_route(&mut self, route: &str) {
        self.route = Some(shortened(route, MAX_NAME).into());
    }
}

/// A span that everybody let go of ends here, as failed: a lost one would hide what happened.
impl Drop for Recording {
    fn drop(&mut self) {
        let mut late = std::mem::take(self.late.get_mut().unwrap_or_else(PoisonError::into_inner));
        if !late.ended {
            late.response.failure.get_or_insert_with(|| Failure {
                error_type: ABANDONED.into(),
                message: "".into(),
            });
            self.end(&mut late, 0);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
