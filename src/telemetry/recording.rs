//! The record of one server span: what it holds until the end, and how it is encoded then.

use super::Shared;
use super::children::Children;
use super::clock::{Clock, Ended};
use super::context::SpanContext;
use super::counters::Counters;
use super::encode::{Head, Kind, SpanWriter};
use super::headers::Found;
use super::held::{Outlet, Reason};
use super::id::SpanId;
use super::limits::{MAX_NAME, MAX_SPAN, MAX_VALUE};
use super::notes::{Account, Notes};
use super::request::Request;
use super::response::{self, Failure, Response};
use super::semconv;
use super::value::{Status, shortened};
use crate::config::Semconv;
use http::HeaderMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// `error.type` of a request whose span was let go before anybody ended it.
const ABANDONED: &str = "abandoned";

/// A span being recorded.
pub(super) struct Recording {
    shared: Arc<Shared>,
    context: SpanContext,
    /// The caller's span.
    parent: Option<SpanId>,
    outlet: Outlet,
    clock: Clock,
    request: Request,
    late: Mutex<Late>,
    headers: Found,
    /// The spans under this one, once there are any.
    children: OnceLock<Arc<Children>>,
}

/// Bytes of a record without what a guest adds.
#[cfg(test)]
pub(super) const RECORD_SIZE: usize = size_of::<Recording>();

/// What comes after the start.
#[derive(Default)]
pub(super) struct Late {
    pub(super) ended: bool,
    pub(super) response: Response,
    /// What the guest says.
    pub(super) notes: Notes,
    pub(super) route: Option<Box<str>>,
    /// Bytes left for attributes and events.
    pub(super) room: usize,
    /// There was no room for it at its end.
    pub(super) lost: bool,
}

impl Recording {
    pub(super) fn start(
        shared: &Arc<Shared>,
        context: SpanContext,
        parent: Option<SpanId>,
        outlet: Outlet,
        request: Request,
        headers: Found,
        route: Option<&str>,
    ) -> Self {
        let route = route.map(|route| shortened(route, MAX_NAME).into());
        let late = Late { route, room: MAX_SPAN, ..Late::default() };
        Recording {
            shared: Arc::clone(shared),
            context,
            parent,
            outlet,
            clock: Clock::start(),
            request,
            headers,
            late: Mutex::new(late),
            children: OnceLock::new(),
        }
    }

    pub(super) fn context(&self) -> &SpanContext {
        &self.context
    }

    pub(super) fn late(&self) -> MutexGuard<'_, Late> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counters(&self) -> &Counters {
        self.outlet.counters(&self.shared.pipeline)
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Those headers of the response that are recorded.
    pub(super) fn wanted_of_response(&self, headers: &HeaderMap) -> Found {
        self.shared.response_headers.find(headers, self.shared.limits.value)
    }

    /// Whether the span is exported, as far as that is decided.
    pub(super) fn is_exported(&self) -> bool {
        self.outlet.is_exported()
    }

    /// The same once the span has ended; then it may also be lost for want of room.
    pub(super) fn may_be_found(&self) -> bool {
        self.is_exported() && !self.late().lost
    }

    /// The spans under this one.
    pub(super) fn children(&self) -> &Arc<Children> {
        self.children.get_or_init(|| {
            let shared = Arc::clone(&self.shared);
            Children::new(shared, self.outlet.clone(), self.clock, self.context.clone(), self.parent)
        })
    }

    /// The spans under this one, if there has been any.
    pub(super) fn known_children(&self) -> Option<&Arc<Children>> {
        self.children.get()
    }

    /// Encodes the span into the pipeline, if it is exported, and frees what it held; gives when that was.
    pub(super) fn end(&self, late: &mut Late, body_bytes_sent: u64) -> Ended {
        let end_unix_nanos = self.clock.now();
        let mut reason = None;
        if let Outlet::Held(held) = &self.outlet {
            let has_failed = matches!(response::status(late, self.shared.profile), Status::Error(_));
            let nanos = end_unix_nanos.saturating_sub(self.clock.started());
            reason = self.shared.keep.reason(has_failed, nanos);
            held.settle(reason.is_some());
        }
        if self.is_exported() {
            self.export(late, end_unix_nanos, body_bytes_sent, reason);
        }
        late.ended = true;
        late.notes = Notes::default();
        let lasted = Duration::from_nanos(end_unix_nanos.saturating_sub(self.clock.started()));
        Ended { unix_nanos: end_unix_nanos, lasted }
    }

    fn export(&self, late: &mut Late, end_unix_nanos: u64, body_bytes_sent: u64, reason: Option<Reason>) {
        let left_out = response::left_out(late, body_bytes_sent);
        late.notes.attributes.dropped += left_out;
        Counters::add(&self.counters().attributes, left_out);
        let name = self.name(late);
        let pipeline = &self.shared.pipeline;
        let has_room =
            pipeline.takes(|out| self.encode(out, late, name, end_unix_nanos, body_bytes_sent, reason));
        late.lost = !has_room && !pipeline.is_unread();
    }

    /// The span's name in three parts.
    fn name<'a>(&'a self, late: &'a Late) -> [&'a str; 3] {
        let method = self.request.method_name(&self.shared.methods);
        let path = self.request.path();
        match (&late.notes.name, &late.route) {
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
        reason: Option<Reason>,
    ) {
        let profile = self.shared.profile;
        let mut span = SpanWriter::start(
            out,
            &Head {
                context: &self.context,
                parent: self.parent,
                parent_is_remote: self.parent.is_some(),
                kind: Kind::Server,
                start_unix_nanos: self.clock.started(),
                end_unix_nanos,
            },
        );
        span.name(name);
        let Shared { methods, limits, .. } = &*self.shared;
        self.request.write(profile, &late.notes.attributes, limits.value, methods, &mut span);
        let guest = &late.notes.attributes;
        self.shared.request_headers.write(&self.headers, guest, &mut span);
        self.shared.response_headers.write(&late.response.headers, guest, &mut span);
        response::write(late, profile, body_bytes_sent, &self.shared.component, limits.value, &mut span);
        if let Some(reason) = reason {
            span.text(semconv::POUNCE_SAMPLING_REASON, reason.as_str());
        }
        late.notes.finish(&response::status(late, profile), span);
    }
}

impl Late {
    /// The notes, and what they are charged to.
    pub(super) fn notes<'a>(&'a mut self, span: &'a Recording) -> (&'a mut Notes, Account<'a>) {
        let (limits, counters) = (&span.shared.limits, span.counters());
        (&mut self.notes, Account { limits, room: &mut self.room, counters })
    }

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
                .get_or_insert_with(|| Failure { error_type: ABANDONED.into(), message: Some("".into()) });
            self.end(&mut late, 0);
        }
    }
}
