//! The record of one request: what is known of it, kept once, behind one `Arc` and one lock for what changes.
//!
//! The server ends it, once; a record whose last handle is dropped before that ends as failed, since a lost one would hide
//! what happened. Its end is when its readers tell of the request: span, metrics, access log.

use super::facts::Facts;
use super::finished::Finished;
use super::headers::CapturedHeaders;
use super::outcome::{BodySize, Outcome, Phases};
use super::output::OutputLine;
use super::shared::Shared;
use super::span;
use super::spans::Spans;
use super::tail::{Reason, Tail};
use crate::clock::Clock;
use crate::context::SpanContext;
use crate::counters::{LATE_WRITE, LeftOut, add};
use crate::limits::{MAX_SPAN, MAX_VALUE};
use crate::metrics::host::Host;
use crate::sampler::Decision;
use crate::semconv;
use crate::spans::annotations::{Account, Annotations};
use crate::spans::family::Family;
use crate::value::{Exception, Value, shortened};
use http::{HeaderMap, StatusCode};
use pounce_otlp::id::{SpanId, TraceId};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// `error.type` of a request whose last handle was dropped before its end.
const ABANDONED: &str = "abandoned";

/// The record of one request.
pub(crate) struct Record {
    shared: Arc<Shared>,
    /// None where there are no spans.
    identity: Option<Identity>,
    facts: Facts,
    clock: Clock,
    /// Request headers that the operator wants on spans.
    request_headers: CapturedHeaders,
    /// Bytes of the request's body that have come.
    received: AtomicU64,
    outcome: Mutex<Outcome>,
    /// The spans under the request's own, once there is one.
    pub(crate) family: OnceLock<Box<Family>>,
}

/// Bytes of a record without what a guest adds.
#[cfg(test)]
pub(crate) const RECORD_SIZE: usize = size_of::<Record>();

/// The ids of a request's span, and whether it is recorded.
pub(crate) struct Identity {
    pub(crate) context: SpanContext,
    /// The caller's span.
    pub(crate) parent: Option<SpanId>,
    /// The caller is in another process.
    pub(crate) parent_is_remote: bool,
    pub(crate) recording: Recording,
}

/// Whether the spans of a request are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recording {
    /// The request was not sampled.
    No,
    /// It was sampled at its head: its spans are exported as they end.
    Head,
    /// It was not, and its end decides.
    Tail,
}

impl Identity {
    /// Identity of a request in the trace `trace_id`, under the span `parent` of another process; `is_kept` where its spans
    /// are recorded although it is not sampled.
    // Inlined, as the other parts of a request's start are: a plain request would pay for it that an embedded one has them
    // called from a second place.
    #[inline(always)]
    pub(crate) fn new(trace_id: TraceId, parent: Option<SpanId>, decision: Decision, is_kept: bool) -> Self {
        let Decision { flags, trace_state } = decision;
        let context = SpanContext { trace_id, span_id: SpanId::random(), flags, trace_state };
        let recording = match (context.is_sampled(), is_kept) {
            (true, _) => Recording::Head,
            (false, true) => Recording::Tail,
            (false, false) => Recording::No,
        };
        Identity { context, parent, parent_is_remote: parent.is_some(), recording }
    }
}

impl Record {
    /// The record of a request whose head has just been read.
    #[inline(always)]
    pub(crate) fn start(
        shared: &Arc<Shared>,
        identity: Option<Identity>,
        facts: Facts,
        request_headers: CapturedHeaders,
    ) -> Arc<Self> {
        let is_recorded = identity.as_ref().is_some_and(|identity| identity.recording != Recording::No);
        if let Some(metrics) = &shared.metrics {
            metrics.request_began(&facts);
        }
        Arc::new(Record {
            shared: Arc::clone(shared),
            identity,
            facts,
            clock: Clock::start(is_recorded),
            request_headers,
            received: AtomicU64::new(0),
            outcome: Mutex::new(Outcome { room: MAX_SPAN, ..Outcome::default() }),
            family: OnceLock::new(),
        })
    }

    /// Ids of the request's span, sampled or not; none where there are no spans.
    pub(crate) fn context(&self) -> Option<&SpanContext> {
        self.identity.as_ref().map(|identity| &identity.context)
    }

    /// The caller's span.
    pub(crate) fn parent(&self) -> Option<SpanId> {
        self.identity.as_ref()?.parent
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn metrics(&self) -> Option<&Arc<Host>> {
        self.shared.metrics.as_ref()
    }

    /// What the request's spans are made with; none where they are not recorded.
    pub(crate) fn spans(&self) -> Option<&Spans> {
        self.shared.spans.as_ref().filter(|_| self.recording() != Recording::No)
    }

    /// Whether the request's spans are recorded, also after its end.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recording() != Recording::No
    }

    fn recording(&self) -> Recording {
        self.identity.as_ref().map_or(Recording::No, |identity| identity.recording)
    }

    /// Whether what a guest writes to the request's span is recorded, and may be exported.
    pub(crate) fn is_recording(&self) -> bool {
        self.is_recorded() && !self.outcome().ended
    }

    /// Ids of the request's span, where it is exported as far as that is decided, and was not lost.
    pub(crate) fn exported_context(&self) -> Option<&SpanContext> {
        let is_exported = match self.recording() {
            Recording::No => false,
            Recording::Head => !self.outcome().is_lost,
            Recording::Tail => {
                let outcome = self.outcome();
                matches!(outcome.tail, Tail::Exported) && !outcome.is_lost
            }
        };
        self.context().filter(|_| is_exported)
    }

    /// Adds what a guest says on the request's span, if that is recorded; counted once the request is over.
    pub(crate) fn annotate(&self, write: impl FnOnce(&mut Annotations, Account<'_>)) {
        if let Some(spans) = self.spans() {
            self.write(|outcome| self.annotate_in(outcome, spans, write));
        }
    }

    fn annotate_in(
        &self,
        outcome: &mut Outcome,
        spans: &Spans,
        write: impl FnOnce(&mut Annotations, Account<'_>),
    ) {
        let mut left_out = LeftOut::default();
        let Outcome { annotations, room, .. } = outcome;
        write(annotations, Account { limits: &spans.limits, room, left_out: &mut left_out });
        self.count_in(outcome, left_out);
    }

    /// Sets an attribute for the guest. Route and error type are facts of the request, recorded or not.
    pub(crate) fn set_attribute(&self, key: &str, value: Value) {
        self.write(|outcome| match (value, self.spans()) {
            (Value::Text(text), _) if key == semconv::HTTP_ROUTE => self.set_route_in(outcome, &text),
            (Value::Text(text), _) if key == semconv::ERROR_TYPE => outcome.set_guest_error_type(&text),
            (value, Some(spans)) => self.annotate_in(outcome, spans, |annotations, account| {
                annotations.set_attribute(key, value, account);
            }),
            (_, None) => {}
        });
    }

    /// Whether an attribute that a guest sets on the request's span is a fact of the request.
    pub(crate) fn is_fact(key: &str) -> bool {
        matches!(key, semconv::HTTP_ROUTE | semconv::ERROR_TYPE)
    }

    /// Sets the route, and with it the span's name, in place of one chosen before.
    pub(crate) fn set_route(&self, route: &str) {
        self.write(|outcome| {
            self.set_route_in(outcome, route);
            if !route.is_empty() {
                outcome.annotations.name = None;
            }
        });
    }

    fn set_route_in(&self, outcome: &mut Outcome, route: &str) {
        if !outcome.set_route(route) && self.is_recorded() {
            self.count_in(outcome, LeftOut { attributes: 1, ..LeftOut::NONE });
        }
    }

    /// The response head was sent.
    pub(crate) fn respond(&self, status: StatusCode, headers: &HeaderMap) {
        let wanted = self.spans().map(|spans| spans.response_headers.capture(headers, spans.limits.value));
        let head = wanted.is_some().then(|| self.clock.elapsed());
        self.write(|outcome| {
            outcome.status = Some(status);
            outcome.head = head;
            outcome.response_headers = wanted.unwrap_or_default();
        });
    }

    /// Counts further bytes of the request's body.
    pub(crate) fn receive(&self, bytes: u64) {
        self.received.fetch_add(bytes, Relaxed);
    }

    /// The size of a body that the head did not announce. It may be known after the end only, which is no loss.
    pub(crate) fn set_body_size(&self, size: BodySize) {
        self.outcome().body_size = size;
    }

    /// The guest wrote a line for the request, which is kept where a developer may want to see it.
    pub(crate) fn hear(&self, is_stderr: bool, line: &str) {
        if self.shared.keeps_output {
            self.outcome().output.get_or_insert_default().hear(is_stderr, line);
        }
    }

    /// The last lines that the guest wrote for the request until its end, and how many came before.
    pub(crate) fn output(&self) -> (Vec<OutputLine>, usize) {
        self.outcome().output.as_ref().map(|output| output.lines()).unwrap_or_default()
    }

    /// The host failed the request; the first reason stays.
    pub(crate) fn fail(&self, error_type: &str, exception: Option<Exception>) {
        let message = exception.as_ref().map(|exception| exception.message.clone()).unwrap_or_default();
        let event = exception.and_then(|exception| self.tell_exception(exception));
        self.write(|outcome| {
            outcome.fail(error_type, Some(shortened(&message, MAX_VALUE)));
            if let Some(event) = event {
                self.add_exception(outcome, event);
            }
        });
    }

    /// The guest got over an exception, or has had it after the request's end, which is then no loss.
    pub(crate) fn survive(&self, exception: Exception) {
        let Some(event) = self.tell_exception(exception) else { return };
        let mut outcome = self.outcome();
        if !outcome.ended {
            self.add_exception(&mut outcome, event);
        }
    }

    /// Makes a log record of an exception where that is wanted; gives back what is to be an event of the span.
    fn tell_exception(&self, exception: Exception) -> Option<Exception> {
        match &self.shared.exceptions {
            Some(log) => log.of_server(exception, self.context()),
            None => Some(exception),
        }
    }

    fn add_exception(&self, outcome: &mut Outcome, exception: Exception) {
        let Some(spans) = self.spans() else { return };
        let now = self.clock.now();
        self.annotate_in(outcome, spans, |annotations, account| {
            annotations.add_exception(now, exception, account);
        });
    }

    /// The request was refused for a mistake of its client's; the first reason stays.
    pub(crate) fn refuse(&self, error_type: &str) {
        self.write(|outcome| outcome.fail(error_type, None));
    }

    /// A first attempt at the request ended with `error_type`, and the request is served once more: an attribute, and an
    /// event with the moment.
    pub(crate) fn retry(&self, error_type: &str) {
        self.write(|outcome| {
            outcome.retried = true;
            if let Some(spans) = self.spans() {
                let now = self.clock.now();
                let ended = vec![(semconv::ERROR_TYPE.to_owned(), Value::Text(error_type.to_owned()))];
                self.annotate_in(outcome, spans, |annotations, account| {
                    annotations.add_event(now, semconv::POUNCE_RETRY, ended, account);
                });
            }
        });
    }

    /// Adds what is known of the invocation. A guest may work on after the end, and what that costs is no loss.
    pub(crate) fn add_phases(&self, phases: Phases) {
        if self.is_recorded() {
            self.outcome().phases.add(phases);
        }
    }

    /// Ends the request, `sent` bytes of the response's body having been sent: has its readers tell of it, and frees what
    /// it held. Only the first call counts.
    pub(crate) fn end(&self, sent: u64) {
        let (mut outcome, lasted, reason) = {
            let mut outcome = self.outcome();
            if outcome.ended {
                return;
            }
            let lasted = self.clock.elapsed();
            let reason = self
                .spans()
                .filter(|_| self.recording() == Recording::Tail)
                .and_then(|spans| spans.keep.reason(outcome.has_failed(spans.profile), lasted));
            let tail = if reason.is_some() { Tail::Exported } else { Tail::Discarded };
            let over = Outcome { ended: true, tail, ..Outcome::default() };
            (std::mem::replace(&mut *outcome, over), lasted, reason)
        };
        let is_exported = self.recording() == Recording::Head || reason.is_some();
        if let Some(spans) = self.spans() {
            if let Tail::Undecided(held) = std::mem::take(&mut outcome.tail) {
                held.settle(&spans.tail_room, Some(&*spans.pipeline).filter(|_| is_exported));
            }
            if is_exported {
                spans.pipeline.counters.count(outcome.left_out);
                let left_out = span::left_out(&outcome, sent);
                outcome.annotations.attributes.dropped += left_out;
                add(&spans.pipeline.counters.attributes, left_out);
            }
        }
        let mut finished = Finished {
            facts: &self.facts,
            outcome: &outcome,
            context: self.context(),
            is_exported,
            clock: &self.clock,
            lasted,
            received: self.received.load(Relaxed),
            sent,
        };
        if is_exported && let Some(spans) = self.spans() {
            finished.is_exported = self.export(&finished, spans, reason);
        }
        if let Some(metrics) = self.metrics() {
            metrics.request_ended(&finished);
        }
        if let Some(access) = &self.shared.access {
            access.tell(&finished, &self.shared.component, &self.shared.methods);
        }
    }

    /// Puts the request's span into the pipeline; whether there was room for it.
    fn export(&self, finished: &Finished<'_>, spans: &Spans, reason: Option<Reason>) -> bool {
        let Shared { component, methods, .. } = &*self.shared;
        let parent_is_remote = self.identity.as_ref().is_some_and(|identity| identity.parent_is_remote);
        let of_span = span::ServerSpan {
            request: finished,
            spans,
            component,
            methods,
            parent: self.parent(),
            parent_is_remote,
            reason,
        };
        let name = of_span.name();
        let has_room = spans
            .pipeline
            .takes(|out| of_span.encode(out, name, &self.request_headers, self.clock.started()));
        let is_lost = !has_room && !spans.pipeline.is_unread();
        if is_lost {
            self.outcome().is_lost = true;
        }
        !is_lost
    }

    /// Takes in an ended span under the request's own, which `encode` appends.
    pub(crate) fn push(&self, encode: impl Fn(&mut Vec<u8>)) {
        let Some(spans) = self.spans() else { return };
        if self.recording() == Recording::Tail {
            match &mut self.outcome().tail {
                Tail::Undecided(held) => return held.push(&spans.tail_room, encode),
                Tail::Discarded => return,
                Tail::Exported => {}
            }
        }
        spans.pipeline.push(encode);
    }

    /// Counts what was left out of the request's spans.
    pub(crate) fn count(&self, left_out: LeftOut) {
        if left_out != LeftOut::default() {
            self.count_in(&mut self.outcome(), left_out);
        }
    }

    /// Counts it where it belongs: of a request that was not sampled it counts only if its spans are exported.
    fn count_in(&self, outcome: &mut Outcome, left_out: LeftOut) {
        let Some(spans) = self.spans() else { return };
        match &outcome.tail {
            Tail::Undecided(_) if self.recording() == Recording::Tail => outcome.left_out.add(left_out),
            Tail::Discarded if self.recording() == Recording::Tail => {}
            _ => spans.pipeline.counters.count(left_out),
        }
    }

    /// Counts a write that came after the end.
    pub(crate) fn count_late_write(&self) {
        self.count(LATE_WRITE);
    }

    fn write(&self, write: impl FnOnce(&mut Outcome)) {
        let mut outcome = self.outcome();
        if outcome.ended {
            self.count_in(&mut outcome, LATE_WRITE);
        } else {
            write(&mut outcome);
        }
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let outcome = self.outcome.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !outcome.ended {
            outcome.fail(ABANDONED, Some(""));
            self.end(0);
        }
        if let Some(family) = self.family.get() {
            self.shared.families.remove(family.shard, self);
        }
    }
}
