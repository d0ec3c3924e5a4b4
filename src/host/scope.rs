//! One request as the host sees it. Shared by the server's response body, the store that runs the guest and every host
//! function: who ends first differs, so each looks here for what the others did.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::sync::Notify;

use super::failure::{Blame, Failure};
use super::limits::Refused;
use super::place::Place;
use super::written::Written;
use crate::telemetry::{Baggage, Phases, Quota, ServerSpan};

/// The trace headers of a request as they came, for a guest's `inject` while telemetry is off.
#[derive(Debug, Default)]
pub(crate) struct IncomingContext {
    pub(crate) traceparent: Option<HeaderValue>,
    pub(crate) tracestate: Option<HeaderValue>,
}

/// The trace that a request belongs to; cheap to clone. A guest's handle on its span holds this and not the request
/// itself, whose place must be free when its response is over.
#[derive(Clone, Debug)]
pub(crate) struct Trace(Arc<Shared>);

/// What all handles on a trace share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) span: ServerSpan,
    /// Kept only for a guest that asks for it, while telemetry is off.
    pub(crate) incoming: Option<IncomingContext>,
    baggage: Mutex<Baggage>,
    /// What the guest may still record beside spans.
    pub(crate) quota: Quota,
    /// Why the request failed: what it has under way ends for the same reason, be it later than the request.
    failure: OnceLock<Failure>,
}

impl Trace {
    pub(crate) fn new(span: ServerSpan, incoming: Option<IncomingContext>, baggage: Baggage) -> Self {
        let (baggage, quota, failure) = (Mutex::new(baggage), Quota::default(), OnceLock::new());
        Self(Arc::new(Shared { span, incoming, baggage, quota, failure }))
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// The baggage that an outgoing request carries now.
    pub(crate) fn baggage(&self) -> Baggage {
        self.lock().clone()
    }

    /// Sets an entry of the baggage; false when it is refused.
    pub(crate) fn set_baggage(&self, name: &str, value: &str) -> bool {
        self.lock().set(name, value)
    }

    fn lock(&self) -> MutexGuard<'_, Baggage> {
        self.0.baggage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Trace {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// A request in flight. Guests only ever name it implicitly, as "the current request".
#[derive(Debug)]
pub(crate) struct RequestScope {
    pub(crate) trace: Trace,
    /// When the request was handed to the guest layer, for `pounce.queue.duration`.
    pub(crate) admitted: Instant,
    /// How a guest took it up.
    taken_up: OnceLock<Phases>,
    cancelled_at: OnceLock<Instant>,
    /// The expiry of a cancelled request was seen by the event loop of its instance (0.3): the loop is not stuck.
    acknowledged: AtomicBool,
    closed: AtomicBool,
    /// The guest has given a response head.
    answered: AtomicBool,
    /// The body of the response.
    body: OnceLock<Written>,
    /// To be set when the request is cancelled: that its worker works for nobody.
    worker: OnceLock<Arc<AtomicBool>>,
    /// The peak of the instance that serves the request, in bytes; the store that knows it runs elsewhere (0.3).
    memory: OnceLock<Arc<AtomicU64>>,
    /// Processor time the guest has spent on it, in nanoseconds, where somebody looks at it.
    spent: AtomicU64,
    /// A growth of memory that it was refused.
    refused: OnceLock<Refused>,
    cancel: Notify,
    fail: Notify,
    close: Notify,
    answer: Notify,
    /// The guest has done all that it does for the response.
    finished: AtomicBool,
    /// What the request takes up: the last owner of the scope frees it.
    place: Place,
}

impl RequestScope {
    pub(crate) fn new(trace: Trace, place: Place) -> Self {
        Self {
            trace,
            admitted: Instant::now(),
            taken_up: OnceLock::new(),
            cancelled_at: OnceLock::new(),
            acknowledged: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            body: OnceLock::new(),
            worker: OnceLock::new(),
            memory: OnceLock::new(),
            spent: AtomicU64::new(0),
            refused: OnceLock::new(),
            cancel: Notify::new(),
            fail: Notify::new(),
            close: Notify::new(),
            answer: Notify::new(),
            finished: AtomicBool::new(false),
            place,
        }
    }

    pub(crate) fn span(&self) -> &ServerSpan {
        &self.trace.span
    }

    /// A guest takes it up: tells the span how, and whoever asks [`taken`](Self::taken).
    pub(crate) fn taken_up(&self, phases: Phases) {
        self.span().phases(phases);
        // A request is given to one instance only.
        _ = self.taken_up.set(phases);
    }

    /// How a guest took it up; nothing where none did.
    pub(crate) fn taken(&self) -> Phases {
        self.taken_up.get().copied().unwrap_or_default()
    }

    /// Records why the request failed; the first reason stays.
    pub(crate) fn fail(&self, failure: Failure) {
        let error_type = failure.error_type.clone().filter(|_| failure.blame == Blame::Guest);
        // A second failure is a consequence of the first.
        let is_first = self.trace.failure.set(failure).is_ok();
        if let (true, Some(error_type), Some(metrics)) = (is_first, error_type, self.span().metrics()) {
            metrics.failed(&error_type, self.span().exported_context());
        }
        self.fail.notify_one();
    }

    /// Resolves with the reason once there is one. For one waiter.
    pub(crate) async fn failed(&self) -> Failure {
        loop {
            if let Some(failure) = self.trace.failure.get() {
                return failure.clone();
            }
            self.fail.notified().await;
        }
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.trace.failure.get()
    }

    /// Asks for the guest's work on this request to stop: nobody waits for the response any more.
    pub(crate) fn cancel(&self) {
        // Only the first time counts.
        _ = self.cancelled_at.set(Instant::now());
        if let Some(worker) = self.worker.get() {
            worker.store(true, Ordering::Release);
        }
        self.cancel.notify_one();
    }

    /// The response will never be: records why, and ends whatever is still done for it.
    pub(crate) fn abandon(&self, failure: Failure) {
        self.fail(failure);
        self.cancel();
        self.close();
    }

    /// Has `flag` set when the request is cancelled; for one worker.
    pub(crate) fn on_cancel(&self, flag: Arc<AtomicBool>) {
        // A request is given to one worker only.
        _ = self.worker.set(flag);
        if self.is_cancelled()
            && let Some(worker) = self.worker.get()
        {
            worker.store(true, Ordering::Release);
        }
    }

    /// The event loop of the request's instance has seen that it is cancelled, or need not see it any more.
    pub(crate) fn acknowledge(&self) {
        self.acknowledged.store(true, Ordering::Release);
    }

    /// The guest has given a response head; with an error code there is no body.
    pub(crate) fn answer(&self, body: Option<&Written>) {
        if let Some(body) = body {
            // A guest answers once.
            _ = self.body.set(body.clone());
        }
        self.answered.store(true, Ordering::Release);
        self.answer.notify_one();
    }

    /// Resolves once a response's body can be settled, or never will be. For one waiter.
    pub(crate) async fn answered(&self) {
        while !self.is_answered() && !self.is_closed() {
            self.answer.notified().await;
        }
    }

    /// [Settles](Written::settle) the response's body, if there is one: to be called before the guest goes, and after the
    /// failure that it goes for. Whether the guest has left the body open.
    pub(crate) fn settle(&self) -> bool {
        self.body.get().is_some_and(Written::settle)
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// The guest has finished: its place is free for others, whether or not the client has taken the response.
    pub(crate) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.place.finish();
    }

    /// Tries again to free the place of a guest that had finished when there was no room for its response to wait.
    pub(crate) fn finish_again(&self) {
        if self.finished.load(Ordering::Acquire) {
            self.place.finish();
        }
    }

    /// Others are refused for want of what this request takes up.
    pub(crate) fn is_pressed(&self) -> bool {
        self.place.is_pressed()
    }

    /// Where the instance that serves the request keeps its peak of memory.
    pub(crate) fn set_instance_memory(&self, peak: Arc<AtomicU64>) {
        // A request is given to one instance only.
        _ = self.memory.set(peak);
    }

    /// Bytes of linear memory that the request's instance has had at most so far, if it has one.
    pub(crate) fn instance_memory(&self) -> Option<u64> {
        self.memory.get().map(|peak| peak.load(Ordering::Acquire))
    }

    /// The guest has worked on the request for so much longer.
    pub(crate) fn spend(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.spent.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn set_refused(&self, refused: Refused) {
        // A trap is for want of memory whichever growth was refused.
        _ = self.refused.set(refused);
    }

    /// A growth of memory that the request was refused, if any was.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused.get().copied()
    }

    /// Tells the span what the guest has cost so far: its time where that is measured, and its instance's memory.
    pub(crate) fn tell_spent(&self) {
        let nanos = self.spent.load(Ordering::Relaxed);
        let cpu = (nanos > 0).then(|| Duration::from_nanos(nanos));
        let memory_peak = self.instance_memory();
        if cpu.is_some() || memory_peak.is_some() {
            self.span().phases(Phases { cpu, memory_peak, ..Phases::default() });
        }
    }

    /// The request has used up its time.
    pub(crate) fn is_timed_out(&self) -> bool {
        self.failure().is_some_and(|failure| failure.error_type.as_deref() == Some("timeout"))
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled_at.get().is_some()
    }

    /// Resolves once [`cancel`](Self::cancel) was called. For one waiter.
    pub(crate) async fn cancelled(&self) {
        while !self.is_cancelled() {
            self.cancel.notified().await;
        }
    }

    /// Cancelled at least so long ago, and nobody in the instance has noticed.
    pub(crate) fn is_ignored_for(&self, time: Duration) -> bool {
        !self.acknowledged.load(Ordering::Acquire)
            && self.cancelled_at.get().is_some_and(|at| at.elapsed() >= time)
    }

    /// The response is over, one way or another; guest code that still runs does so on its own account.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.close.notify_one();
        self.answer.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Resolves once the response is over. For one waiter.
    pub(crate) async fn closed(&self) {
        while !self.is_closed() {
            self.close.notified().await;
        }
    }
}

/// Nobody works on it any more: what it has cost is known.
impl Drop for RequestScope {
    fn drop(&mut self) {
        let span = self.span();
        if let Some(metrics) = span.metrics() {
            let cpu = Duration::from_nanos(self.spent.load(Ordering::Relaxed));
            metrics.spent(cpu, self.instance_memory(), span.exported_context());
        }
    }
}
