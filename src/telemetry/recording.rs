//! The record of one server span: what it holds until the end, and how it is encoded then.

use super::Shared;
use super::context::SpanContext;
use super::counters::Counters;
use super::encode::{Code, Head, Kind, SpanWriter};
use super::id::SpanId;
use super::limits::{Attributes, Events, MAX_NAME, MAX_SPAN, MAX_VALUE};
use super::request::Request;
use super::response::{self, Failure, Response};
use super::value::{Exception, Status, shortened};
use crate::config::Semconv;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// `error.type` of a request whose span was let go before anybody ended it.
const ABANDONED: &str = "abandoned";

/// A span being recorded.
pub(super) struct Recording {
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

impl Recording {
    pub(super) fn start(
        shared: &Arc<Shared>,
        context: SpanContext,
        parent: Option<SpanId>,
        request: Request,
        route: Option<&str>,
    ) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let route = route.map(|route| shortened(route, MAX_NAME).into());
        let late = Late { route, room: MAX_SPAN, ..Late::default() };
        Recording {
            shared: Arc::clone(shared),
            context,
            parent,
            started: Instant::now(),
            start_unix_nanos: nanos(since_epoch),
            request,
            late: Mutex::new(late),
        }
    }

    pub(super) fn context(&self) -> &SpanContext {
        &self.context
    }

    pub(super) fn late(&self) -> MutexGuard<'_, Late> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.shared.pipeline.counters
    }

    pub(super) fn add_exception(&self, late: &mut Late, exception: Exception) {
        self.add_event(late, None, |events, time, room| events.add_exception(time, exception, room));
    }

    pub(super) fn add_event(
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
        self.start_unix_nanos.saturating_add(nanos(self.started.elapsed()))
    }

    /// Encodes the span into the pipeline and frees what it held.
    pub(super) fn end(&self, late: &mut Late, body_bytes_sent: u64) {
        let end_unix_nanos = self.now();
        let name = self.name(late);
        self.shared.pipeline.push(|out| self.encode(out, late, name, end_unix_nanos, body_bytes_sent));
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
            (None, None) if self.shared.profile != Semconv::Compat || path.is_empty() => [method, "", ""],
            (None, None) if self.shared.path_names.admit(path) => [method, " ", shortened(path, MAX_VALUE)],
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
        response::write(late, profile, body_bytes_sent, &self.shared.component, &mut span);
        for event in &late.events.list {
            let attributes = &event.attributes;
            span.event(event.time, &event.name, &attributes.list, attributes.dropped);
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
    pub(super) fn set_route(&mut self, route: &str) {
        self.route = Some(shortened(route, MAX_NAME).into());
    }
}

/// A span that everybody let go of ends here, as failed: a lost one would hide what happened.
impl Drop for Recording {
    fn drop(&mut self) {
        let mut late = std::mem::take(self.late.get_mut().unwrap_or_else(PoisonError::into_inner));
        if !late.ended {
            late.response
                .failure
                .get_or_insert_with(|| Failure { error_type: ABANDONED.into(), message: "".into() });
            self.end(&mut late, 0);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
