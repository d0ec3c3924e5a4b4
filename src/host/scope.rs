//! One request as the host sees it, from its admission until nobody works on it any more. The server's response body, the
//! store that runs the guest and every host function share it: who ends first differs, so each looks here for what the
//! others did.
//!
//! Its response goes from left to right, and is over in one of two ways:
//!
//! ```text
//!            taken_up            answer              close
//!  Waiting ───────────▶ Running ─────────▶ Answered ──────▶ Complete
//!     │                    │                  │
//!     └────────────────────┴──────────────────┴───────────▶ Cancelled
//!                               cancel, abandon
//! ```
//!
//! `Complete` leaves the guest at work if it likes, on its own account; `Cancelled` asks it to stop. Neither changes again.
//! A request may *fail* in any phase, for the first reason only, and so also once its response is complete.
//!
//! Beside the response goes the place of the request (`place`): it is the guest's until that has finished, then one in which
//! the response waits for its client, and free when the last [`RequestScope`] is dropped. What only refers to the request,
//! as guests' handles on its span do, holds a [`Trace`] and no place.

use std::ops::Deref;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::ready;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::budget::Budget;
use super::failure::{Failure, FailureKind};
use super::limits::Refused;
use super::place::{Client, Place};
use super::turns::{OwnTurn, Turn, Turns};
use super::written::Written;
use pounce_telemetry::{Baggage, Phases, Quota, ServerSpan};

/// The trace headers of a request as they came, for a guest's `inject` while telemetry is off.
#[derive(Clone, Debug, Default)]
pub(crate) struct IncomingContext {
    pub(crate) traceparent: Option<HeaderValue>,
    pub(crate) tracestate: Option<HeaderValue>,
}

/// A request that somebody works on. Clones are the same request; when the last is dropped its place is free and what it
/// has cost is known.
#[derive(Debug)]
pub(crate) struct RequestScope(Trace);

/// A reference to a request that keeps no place taken. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Trace(Arc<Request>);

/// What there is to know of one request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) span: ServerSpan,
    /// Kept only for a guest that asks for it, while telemetry is off.
    pub(crate) incoming: Option<IncomingContext>,
    /// What the guest may still record beside spans.
    pub(crate) quota: Quota,
    /// When the request was handed to the guest layer, for `pounce.queue.duration`.
    pub(crate) admitted: Instant,
    /// [`RequestScope`]s of the request.
    scopes: AtomicUsize,
    /// Processor time the guest has spent on it, in nanoseconds, where somebody looks at it.
    spent: AtomicU64,
    /// The guest has done something for it, beyond its response, that others see: it has made an outgoing call.
    has_acted: AtomicBool,
    turn: OwnTurn,
    state: Mutex<State>,
    /// Notified of each change of `state` that somebody may wait for.
    changed: Notify,
}

/// What changes as the request is served.
#[derive(Debug)]
struct State {
    phase: Phase,
    failure: Option<Failure>,
    attempt: Attempt,
    /// None once nobody works on the request.
    place: Option<Place>,
    /// The baggage that outgoing requests carry.
    baggage: Baggage,
    /// How a guest took the request up.
    taken: Phases,
    /// The peak of memory of the instance that serves the request, in bytes; the store that knows it runs elsewhere (0.3).
    peak: Option<Arc<AtomicU64>>,
    /// A growth of memory that was refused to the request.
    refused: Option<Refused>,
    /// The body of the response.
    body: Option<Written>,
    /// To be set when the request is cancelled: that its worker works for nobody (0.3).
    worker: Option<Arc<AtomicBool>>,
    /// The event loop of the request's instance has seen that it is cancelled, or need not see it any more (0.3).
    acknowledged: bool,
}

/// Which attempt at the request this is.
#[derive(Debug)]
enum Attempt {
    /// The only one.
    Only,
    /// The first; a neighbour's trap need not be the end of it.
    First,
    /// It has given way to a second one, which has its place and tells what it has cost.
    Over,
    /// The second; it is one of a limited number.
    Second { _permit: OwnedSemaphorePermit },
}

/// How far the response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No guest has taken the request up.
    Waiting,
    /// A guest works on it.
    Running,
    /// The guest has given a response head, or an error code.
    Answered,
    /// The response is over, and whole.
    Complete,
    /// The response is over, and nobody waits for it any more.
    Cancelled { at: Instant, answered: bool },
}

impl Phase {
    fn is_answered(self) -> bool {
        matches!(self, Self::Answered | Self::Complete | Self::Cancelled { answered: true, .. })
    }

    fn is_over(self) -> bool {
        matches!(self, Self::Complete | Self::Cancelled { .. })
    }
}

impl RequestScope {
    /// A request with its place, which waits for a guest.
    pub(crate) fn new(
        span: ServerSpan,
        incoming: Option<IncomingContext>,
        baggage: Baggage,
        place: Place,
    ) -> Self {
        Self::begin(span, incoming, baggage, Some(place), Attempt::Only, 0)
    }

    fn begin(
        span: ServerSpan,
        incoming: Option<IncomingContext>,
        baggage: Baggage,
        place: Option<Place>,
        attempt: Attempt,
        spent: u64,
    ) -> Self {
        let state = State {
            phase: Phase::Waiting,
            failure: None,
            attempt,
            place,
            baggage,
            taken: Phases::default(),
            peak: None,
            refused: None,
            body: None,
            worker: None,
            acknowledged: false,
        };
        Self(Trace(Arc::new(Request {
            span,
            incoming,
            quota: Quota::default(),
            admitted: Instant::now(),
            scopes: AtomicUsize::new(1),
            spent: AtomicU64::new(spent),
            has_acted: AtomicBool::new(false),
            turn: OwnTurn::default(),
            state: Mutex::new(state),
            changed: Notify::new(),
        })))
    }

    /// The request at its second attempt, with the place of the first and what that has cost; the guest begins with
    /// the `baggage` that the request came with. For `permit` there is one of a limited number.
    pub(crate) fn once_more(&self, baggage: Baggage, permit: OwnedSemaphorePermit) -> Self {
        let place = {
            let mut state = self.lock();
            state.attempt = Attempt::Over;
            state.place.take()
        };
        let spent = self.spent.load(Ordering::Relaxed);
        let second = Attempt::Second { _permit: permit };
        Self::begin(self.span.clone(), self.incoming.clone(), baggage, place, second, spent)
    }
}

impl Clone for RequestScope {
    fn clone(&self) -> Self {
        // As `Arc` does it: whoever clones one has one.
        self.scopes.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl Drop for RequestScope {
    fn drop(&mut self) {
        // What others did with theirs is done.
        if self.scopes.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        self.end_turn();
        // Whoever keeps a trace keeps nothing else of the request.
        let (place, body, peak, attempt) = {
            let mut state = self.lock();
            let attempt = std::mem::replace(&mut state.attempt, Attempt::Only);
            (state.place.take(), state.body.take(), state.peak(), attempt)
        };
        drop((place, body));
        if let (false, Some(metrics)) = (matches!(attempt, Attempt::Over), self.span.metrics()) {
            let cpu = Duration::from_nanos(self.spent.load(Ordering::Relaxed));
            metrics.spent(cpu, peak, self.span.exported_context());
        }
    }
}

impl Deref for RequestScope {
    type Target = Trace;

    fn deref(&self) -> &Trace {
        &self.0
    }
}

impl Deref for Trace {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.0
    }
}

impl Trace {
    /// The request itself, if somebody still works on it.
    pub(crate) fn scope(&self) -> Option<RequestScope> {
        let one_more = |scopes| (scopes > 0).then_some(scopes + 1);
        let found = self.scopes.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        found.is_ok().then(|| RequestScope(self.clone()))
    }

    /// Whether both are the same request.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Request {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes those who wait for a change.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_waiters();
        changed
    }

    /// Resolves with what `look` finds, once it finds something.
    async fn find<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        loop {
            // Made before the look, so that no change after it is missed.
            let changed = self.changed.notified();
            if let Some(found) = look(&self.lock()) {
                return found;
            }
            changed.await;
        }
    }

    /// Whether somebody still works on the request.
    pub(crate) fn is_worked_on(&self) -> bool {
        self.scopes.load(Ordering::Acquire) > 0
    }

    /// A guest takes the request up, in an instance that took `instantiate` to make for it, or else is `reused`, and that
    /// keeps its peak of memory in `peak`. The response may be over before the guest is: the span is told now.
    pub(crate) fn taken_up(&self, reused: bool, instantiate: Option<Duration>, peak: Arc<AtomicU64>) {
        let queue = self.admitted.elapsed().saturating_sub(instantiate.unwrap_or_default());
        let phases = Phases { reused: Some(reused), queue: Some(queue), instantiate, ..Phases::default() };
        self.span.phases(phases);
        let mut state = self.lock();
        if state.phase == Phase::Waiting {
            state.phase = Phase::Running;
        }
        (state.taken, state.peak) = (phases, Some(peak));
    }

    /// How a guest took the request up; nothing where none did.
    pub(crate) fn taken(&self) -> Phases {
        self.lock().taken
    }

    /// The guest has given a response head; with an error code there is no body.
    pub(crate) fn answer(&self, body: Option<&Written>) {
        self.change(|state| {
            match &mut state.phase {
                phase @ (Phase::Waiting | Phase::Running) => *phase = Phase::Answered,
                Phase::Cancelled { answered, .. } => *answered = true,
                Phase::Answered | Phase::Complete => {}
            }
            state.body = body.cloned();
        });
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.lock().phase.is_answered()
    }

    /// Resolves once a response's body can be settled, or never will be.
    pub(crate) async fn answered(&self) {
        self.find(|state| (state.phase.is_answered() || state.phase.is_over()).then_some(())).await;
    }

    /// The response is complete; guest code that still runs does so on its own account.
    pub(crate) fn close(&self) {
        self.change(|state| {
            if !state.phase.is_over() {
                state.phase = Phase::Complete;
            }
        });
    }

    /// Asks for the guest's work on this request to stop: nobody waits for the response any more.
    pub(crate) fn cancel(&self) {
        self.change(|state| {
            if state.phase.is_over() {
                return;
            }
            state.phase = Phase::Cancelled { at: Instant::now(), answered: state.phase.is_answered() };
            if let Some(worker) = &state.worker {
                worker.store(true, Ordering::Release);
            }
        });
    }

    /// The response will never be: records why, and ends whatever is still done for it.
    pub(crate) fn abandon(&self, failure: Failure) {
        self.fail(failure);
        self.cancel();
    }

    /// Whether the response is over, one way or the other.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().phase.is_over()
    }

    /// Resolves once the response is over.
    pub(crate) async fn closed(&self) {
        self.find(|state| state.phase.is_over().then_some(())).await;
    }

    /// Resolves once the request is cancelled.
    pub(crate) async fn cancelled(&self) {
        self.find(|state| matches!(state.phase, Phase::Cancelled { .. }).then_some(())).await;
    }

    /// Has `flag` set when the request is cancelled, or now if it is: by its one worker.
    pub(crate) fn on_cancel(&self, flag: Arc<AtomicBool>) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Cancelled { .. }) {
            flag.store(true, Ordering::Release);
        }
        state.worker = Some(flag);
    }

    /// The event loop of the request's instance has seen that it is cancelled, or need not see it any more.
    pub(crate) fn acknowledge(&self) {
        self.lock().acknowledged = true;
    }

    /// Cancelled at least so long ago, and nobody in the instance has noticed.
    pub(crate) fn is_ignored_for(&self, time: Duration) -> bool {
        let state = self.lock();
        matches!(state.phase, Phase::Cancelled { at, .. } if !state.acknowledged && at.elapsed() >= time)
    }

    /// Records why the request failed; the first reason stays, since a second failure is a consequence of it.
    pub(crate) fn fail(&self, failure: Failure) {
        let told = failure.clone();
        let counts = self.change(|state| {
            let is_first = state.failure.is_none();
            // What it comes to is known once it is decided whether it runs once more.
            let may_run_again = matches!(state.attempt, Attempt::First) && !state.phase.is_answered();
            state.failure.get_or_insert(failure);
            is_first && !(may_run_again && told.is_neighbours())
        });
        if counts {
            self.count_trap(&told);
        }
    }

    fn count_trap(&self, failure: &Failure) {
        let error_type = failure.kind.error_type().filter(|_| failure.kind.is_guest_trap());
        if let (Some(error_type), Some(metrics)) = (error_type, self.span.metrics()) {
            metrics.guest_trapped(error_type, self.span.exported_context());
        }
    }

    /// There can be a second attempt at the request, should a neighbour's trap end this one.
    pub(crate) fn may_run_again(&self) {
        self.lock().attempt = Attempt::First;
    }

    /// There is no second attempt after all: `failure` is what became of the request.
    pub(crate) fn has_run(&self, failure: &Failure) {
        if failure.is_neighbours() && !self.is_answered() {
            self.count_trap(failure);
        }
    }

    /// The guest does something for the request, beyond its response, that others see.
    pub(crate) fn act(&self) {
        self.has_acted.store(true, Ordering::Release);
    }

    /// Whether the guest has done something for the request that must not be done twice.
    pub(crate) fn has_acted(&self) -> bool {
        self.has_acted.load(Ordering::Acquire)
    }

    /// Why the request failed, if it did. What it has under way ends for the same reason, be it later than the request.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.lock().failure.clone()
    }

    /// Whether the request has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.lock().failure.is_some()
    }

    /// Resolves with the reason once the request has failed.
    pub(crate) async fn failed(&self) -> Failure {
        self.find(|state| state.failure.clone()).await
    }

    /// The request has used up its time.
    pub(crate) fn is_timed_out(&self) -> bool {
        matches!(self.lock().failure.as_ref().map(|failure| &failure.kind), Some(FailureKind::Timeout))
    }

    /// [Settles](Written::settle) the response's body, if there is one: to be called before the guest goes, and after the
    /// failure that it goes for. Whether the guest has left the body open.
    pub(crate) fn settle(&self) -> bool {
        self.settle_with(|_| ())
    }

    /// [`settle`](Self::settle), and calls `then` with its result before whoever reads the body sees its end.
    pub(crate) fn settle_with(&self, then: impl FnOnce(bool)) -> bool {
        let body = self.lock().body.clone();
        match body {
            Some(body) => body.settle_with(then),
            None => {
                then(false);
                false
            }
        }
    }

    /// The guest has finished: its place is free for others, whether or not the client has taken the response.
    pub(crate) fn finish(&self) {
        self.end_turn();
        if let Some(place) = &mut self.lock().place {
            place.finish();
        }
    }

    /// Tries again to free the place of a guest that had finished when there was no room for its response to wait.
    pub(crate) fn finish_again(&self) {
        if let Some(place) = &mut self.lock().place {
            place.finish_again();
        }
    }

    /// Others are refused for want of what this request takes up.
    pub(crate) fn is_pressed(&self) -> bool {
        self.lock().place.as_ref().is_some_and(Place::is_pressed)
    }

    /// What guests may hold that work for the same client; none where it has no share.
    pub(super) fn memory_share(&self) -> Option<Arc<Budget>> {
        self.lock().place.as_ref()?.memory().cloned()
    }

    /// The client that the request is from; none where it has no share.
    fn client(&self) -> Option<Client> {
        self.lock().place.as_ref()?.client()
    }

    /// Waits for a turn to begin with, where the client has to.
    pub(crate) async fn begin_in_turn(&self, turns: &Turns) {
        if let Some(client) = self.client().filter(|client| turns.holds_up(client)) {
            self.turn.hold(next_turn(turns, Some(client)).await);
        }
    }

    /// Runs the guest, which waits for a turn wherever it would go on and its client has to wait.
    pub(crate) async fn run_in_turn<F: Future>(&self, turns: &Turns, work: F) -> F::Output {
        let client = self.client();
        self.turn.wait_outside();
        let (mut work, mut wait) = (pin!(work), None);
        std::future::poll_fn(|cx| {
            if wait.is_none() && self.turn.is_due(turns, client.as_ref()) {
                wait = Some(Box::pin(next_turn(turns, client.clone())));
            }
            if let Some(next) = &mut wait {
                self.turn.hold(ready!(next.as_mut().poll(cx)));
                wait = None;
            }
            let poll = work.as_mut().poll(cx);
            self.turn.end();
            poll
        })
        .await
    }

    /// A tick finds the guest at work. Goes on when that may: by a turn where one has done so before, which a guest that
    /// [runs in turn](Self::run_in_turn) waits for there.
    pub(crate) async fn go_on_in_turn(&self, turns: &Turns) {
        let client = self.client();
        if let Some(client) = &client {
            turns.note(client);
        }
        if self.turn.tick(turns) {
            self.turn.hold(next_turn(turns, client).await);
        } else {
            turns.let_others_go_first().await;
        }
        self.turn.go_on();
    }

    /// Whether the guest waits for nothing: it has been at work, and lets others go first.
    pub(crate) fn gives_way(&self) -> bool {
        self.turn.gives_way()
    }

    /// How often the guest has been at work for as long as it may without giving way.
    pub(crate) fn ticks(&self) -> u32 {
        self.turn.ticks()
    }

    /// The guest waits for something: its turn, if it has one, is over.
    pub(crate) fn end_turn(&self) {
        self.turn.end();
    }

    /// The guest has worked on the request for so much longer.
    pub(crate) fn spend(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.spent.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Tells the span what the guest has cost so far: its time where that is measured, and its instance's memory.
    pub(crate) fn tell_spent(&self) {
        let nanos = self.spent.load(Ordering::Relaxed);
        let cpu = (nanos > 0).then(|| Duration::from_nanos(nanos));
        let memory_peak = self.lock().peak();
        if cpu.is_some() || memory_peak.is_some() {
            self.span.phases(Phases { cpu, memory_peak, ..Phases::default() });
        }
    }

    pub(super) fn set_refused(&self, refused: Refused) {
        // A trap is for want of memory whichever growth was refused.
        self.lock().refused.get_or_insert(refused);
    }

    /// A growth of memory that the request was refused, if any was.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.lock().refused
    }

    /// The baggage that an outgoing request carries now.
    pub(crate) fn baggage(&self) -> Baggage {
        self.lock().baggage.clone()
    }

    /// Sets an entry of the baggage; false when it is refused.
    pub(crate) fn set_baggage(&self, name: &str, value: &str) -> bool {
        self.lock().baggage.set(name, value)
    }
}

impl State {
    /// Bytes of linear memory that the request's instance has had at most so far, if it has one.
    fn peak(&self) -> Option<u64> {
        self.peak.as_ref().map(|peak| peak.load(Ordering::Acquire))
    }
}

/// The next turn of `client`. What is ready when it comes goes first, so that between two turns nobody is kept waiting.
async fn next_turn(turns: &Turns, client: Option<Client>) -> Turn {
    let turn = turns.wait(client).await;
    turns.let_others_go_first().await;
    turn
}

#[cfg(test)]
mod tests;
