//! Runs 0.3 components through wasmtime-wasi-http's worker loop: an instance serves several requests at once, and this
//! file says how many, for how long, and what becomes of them when the instance fails.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use wasmtime::component::GuestTaskId;
use wasmtime::{AsContextMut as _, Store, StoreContextMut};
use wasmtime_wasi_http::handler::{
    ExpirationError, HandlerState, Instance, InstantiationError, Proxy, ProxyHandler, ShouldAccept,
    WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error as HttpError, WasiBody, WasiHttpView as _};

use super::error::{classify, exited_well, is_missing_result};
use super::instance::InstanceFactory;
use super::warm::{self, Warm};
use super::{IDLE_TIMEOUT, OnDrop, REQUEST_TIMEOUT};
use crate::host::{
    Abi, Failure, FailureKind, HostState, Meter, RequestScope, Serving, Trace, Uploads, Written,
    current_trace,
};
use pounce_telemetry::Linked;

/// How often a worker looks whether a request that was cancelled is being ignored, or nobody will use it any more.
const WATCH: Duration = Duration::from_millis(50);
/// How long a worker may ignore a cancelled request (a busy loop starves its event loop) before it is stopped.
const IGNORED_FOR: Duration = Duration::from_millis(200);
/// How long an instance may take to start where requests may take for ever.
const INSTANTIATE_WITHIN: Duration = Duration::from_secs(30);
/// How long to wait for the reason of a worker's end, which arrives after its callers are woken.
const REASON_WITHIN: Duration = Duration::from_secs(1);

/// How a component's instances are shared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sharing {
    /// Requests that an instance serves before it is replaced.
    pub(crate) reuse: usize,
    /// Requests that an instance serves at once.
    pub(crate) concurrency: usize,
}

impl Sharing {
    /// An instance for each request (`isolation = request`).
    pub(crate) const NONE: Self = Self { reuse: 1, concurrency: 1 };

    fn serving(self) -> Serving {
        if self.reuse > 1 { Serving::Many } else { Serving::OneInTasks }
    }
}

/// The instances of a 0.3 component.
pub(crate) struct Pool {
    handler: ProxyHandler<Workers>,
    /// Instances for one request each, of those that run once more.
    alone: ProxyHandler<Workers>,
}

impl Pool {
    pub(crate) fn new(
        factory: InstanceFactory,
        pre: ServicePre<HostState>,
        sharing: Sharing,
        linger: Option<Duration>,
    ) -> Self {
        let factory = Arc::new(factory);
        let workers = |sharing| {
            let (factory, pre) = (factory.clone(), pre.clone());
            ProxyHandler::new(Workers {
                factory,
                pre,
                sharing,
                linger,
                warm: Warm::new(),
                retired: Arc::default(),
            })
        };
        Self { handler: workers(sharing), alone: workers(Sharing::NONE) }
    }

    pub(crate) fn factory(&self) -> &InstanceFactory {
        &self.handler.state().factory
    }

    /// Makes `count` instances, one at least, for its errors: for the first requests, if each does not get one of its own.
    pub(crate) async fn warm(&self, count: usize) -> Result<(), Failure> {
        let workers = self.handler.state();
        let mut made = warm::make(count, async || workers.create().await).await?;
        if workers.sharing.reuse > 1 {
            made.truncate(count);
            workers.warm.put(made);
        }
        Ok(())
    }

    /// Whether a request may have neighbours in its instance.
    pub(crate) fn is_shared(&self) -> bool {
        let sharing = self.handler.state().sharing;
        sharing.serving() == Serving::Many && sharing.concurrency > 1
    }

    /// The response to one request, in an instance that no other request is in if it is to be served `alone`.
    pub(crate) async fn call(
        &self,
        request: http::Request<WasiBody>,
        scope: RequestScope,
        alone: bool,
    ) -> Result<http::Response<Written>, Failure> {
        let _spent = OnDrop::new(|| scope.tell_spent());
        let handler = if alone { &self.alone } else { &self.handler };
        let Workers { factory, sharing, .. } = handler.state();
        if sharing.serving() != Serving::Many {
            scope.begin_in_turn(&factory.turns).await;
        }
        let error = match handler.handle(scope.clone(), request).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let body = Written::new(body, &head.headers, Abi::P3);
                scope.answer(Some(&body));
                return Ok(http::Response::from_parts(head, body));
            }
            Err(error) => error,
        };
        if let Some(code) = error.downcast_ref::<ErrorCode>() {
            return Err(Failure::error_code(HttpError::from(code.clone())));
        }
        if let Some(error) = error.downcast_ref::<InstantiationError<RequestScope>>() {
            return Err(match error.error.downcast_ref::<NoInstance>() {
                Some(NoInstance(failure)) => failure.clone(),
                None => Failure::new(FailureKind::Internal, format!("no instance: {:#}", error.error)),
            });
        }
        if error.downcast_ref::<ExpirationError>().is_some() {
            return Err(scope.failure().unwrap_or_else(Failure::client_disconnected));
        }
        // The worker failed; it says why when it hands back its store, which is after this.
        let reason = tokio::time::timeout(REASON_WITHIN, scope.failed()).await;
        Err(reason
            .unwrap_or_else(|_| Failure::new(FailureKind::Internal, format!("the worker failed: {error:#}"))))
    }
}

/// Instances of a component that another has replaced end as soon as they have no request: fast reloads would else run
/// out of slots.
impl Drop for Pool {
    fn drop(&mut self) {
        for handler in [&self.handler, &self.alone] {
            handler.state().retired.store(true, Ordering::Release);
        }
    }
}

/// Carries a failure through wasmtime's error type.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
struct NoInstance(Failure);

/// Makes workers.
struct Workers {
    factory: Arc<InstanceFactory>,
    pre: ServicePre<HostState>,
    sharing: Sharing,
    linger: Option<Duration>,
    warm: Warm<(Store<HostState>, Proxy)>,
    /// There will be no more requests.
    retired: Arc<AtomicBool>,
}

impl Workers {
    /// One that was made before, or a new one.
    async fn take(&self) -> Result<(Store<HostState>, Proxy), Failure> {
        let Some((mut store, proxy)) = self.warm.take() else { return self.create().await };
        // It has waited past its tick, and would give way at once.
        store.set_epoch_deadline(1);
        // Nobody waited for it.
        store.data_mut().instantiate = Some(Duration::ZERO);
        Ok((store, proxy))
    }

    async fn create(&self) -> Result<(Store<HostState>, Proxy), Failure> {
        self.factory
            .instance(self.sharing.serving(), async |store| {
                Ok(Proxy::P3(self.pre.instantiate_async(store).await?))
            })
            .await
    }
}

impl HandlerState for Workers {
    type StoreData = HostState;
    type WorkerExpiration = Watch;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<HostState, Watch, Worker>> {
        // The worker is a task of its own: nobody drops it when the request that it starts for has timed out.
        let limit = self.linger.unwrap_or(INSTANTIATE_WITHIN);
        let created = tokio::time::timeout(limit, self.take()).await;
        let created = created.unwrap_or_else(|_| Err(Failure::timeout(limit, REQUEST_TIMEOUT)));
        let (store, proxy) = created.map_err(|failure| wasmtime::Error::new(NoInstance(failure)))?;
        let state = store.data();
        let (meter, uploads) = (state.meter.clone(), state.outgoing.uploads().clone());
        let takes_turns = self.sharing.serving() != Serving::Many;
        let requests = Arc::new(Requests { meter, uploads, takes_turns, ..Requests::default() });
        Ok(Instance {
            store,
            proxy,
            view: |state| state.http(),
            expiration: Watch {
                requests: requests.clone(),
                linger: self.linger,
                retired: self.retired.clone(),
                wake: None,
            },
            state: Worker { requests, sharing: self.sharing },
        })
    }
}

/// The requests of one worker, for the two parts of it: [`Worker`], which the store calls, and [`Watch`], which runs outside.
#[derive(Default)]
struct Requests {
    /// Requests that are not over, or whose tasks may still run.
    begun: Mutex<Vec<Trace>>,
    /// One was cancelled: what the guest still does for it, it does for nobody.
    cancelled: Arc<AtomicBool>,
    /// Since the worker was seen without any task, no request has begun.
    is_idle: AtomicBool,
    /// It serves one request at a time, which may have a turn.
    takes_turns: bool,
    meter: Option<Meter>,
    /// Bodies of requests that the guest sends.
    uploads: Uploads,
    /// We ended the worker.
    stopped: AtomicBool,
    /// The worker's task was dropped, by a panic or with the runtime.
    dropped: AtomicBool,
}

impl Requests {
    fn begun(&self) -> MutexGuard<'_, Vec<Trace>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, trace: &Trace) {
        let mut begun = self.begun();
        if begun.len() == begun.capacity() {
            begun.retain(|trace| {
                trace.is_worked_on() || trace.span.is_recording() || trace.span.has_open_children()
            });
        }
        begun.push(trace.clone());
    }

    /// The guest waits for something, or is gone.
    fn end_turn(&self) {
        if self.takes_turns {
            self.begun().iter().for_each(|request| request.end_turn());
        }
    }

    /// Ends what is open of an instance that has no task left which could end it: spans, and bodies (a guest may well hand
    /// a body from one request's task to another's).
    fn settle(&self) {
        self.uploads.settle();
        self.begun().retain(|trace| {
            trace.span.close_children();
            trace.settle();
            trace.is_worked_on()
        });
    }
}

/// What a worker does when requests come and when it ends.
struct Worker {
    requests: Arc<Requests>,
    sharing: Sharing,
}

impl WorkerState for Worker {
    type StoreData = HostState;
    type RequestData = RequestScope;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.sharing.reuse {
            ShouldAccept::Never
        } else if concurrent >= self.sharing.concurrency {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, HostState>,
        scope: RequestScope,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let state = store.data_mut();
        let instantiate = state.instantiate.take();
        // A new store has no task but this one; another had none when it was seen to idle.
        let finds_none = self.requests.is_idle.swap(false, Ordering::AcqRel) || instantiate.is_some();
        state.serve_also(task, &scope, finds_none);
        scope.taken_up(instantiate.is_none(), instantiate, state.limits.peak().clone());
        self.requests.begin(&scope);
        scope.on_cancel(self.requests.cancelled.clone());
        // Once the head is out this future goes, and with it the question whether the loop is stuck.
        let noticed = Acknowledge(scope);
        Box::pin(async move { noticed.0.cancelled().await })
    }

    fn drop(&self, mut store: Store<HostState>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result {
            // We ended it ourselves for a request that is over: everybody else in it is innocent.
            let stopped = self.requests.stopped.load(Ordering::Acquire);
            // A trap leaves its task the current one, so the store still says whose it was.
            let culprit = current_trace(&mut store.as_context_mut()).cloned().or_else(|| {
                // It ran last: nothing ran between its end and the trap.
                let meter = store.data().meter.as_ref().filter(|_| is_missing_result(&error))?;
                meter.last()
            });
            let failure = match self.requests.dropped.load(Ordering::Acquire) {
                true if std::thread::panicking() => Failure::panicked(),
                true => Failure::draining(),
                false => classify(&error, store.data(), culprit.as_ref()),
            };
            let live = store.data().live();
            // Where we ended it ourselves, it was for one whose time was up.
            let culprit = culprit.or_else(|| {
                live.iter().find(|scope| stopped && scope.is_timed_out()).map(|scope| (**scope).clone())
            });
            if let Some(culprit) = culprit.as_ref().filter(|culprit| !stopped && culprit.is_closed())
                && !exited_well(&error)
            {
                super::report(store.data().component(), culprit, &failure);
            }
            let kind = if stopped { &FailureKind::Timeout } else { &failure.kind };
            let stacktrace = failure.stacktrace.clone().filter(|_| culprit.is_none());
            let is_innocent = culprit.is_some() && !stopped && failure.kind.is_guest_trap();
            let innocent = Failure::worker_failed(kind, stacktrace, is_innocent);
            for scope in &live {
                let own = match &culprit {
                    Some(culprit) => culprit.is_same(scope),
                    None => store.data().served_one(),
                };
                if own && exited_well(&error) && scope.is_answered() {
                    continue;
                }
                let failure = if own && !stopped { &failure } else { &innocent };
                if !own && let Some(context) = culprit.as_ref().and_then(|culprit| culprit.span.context()) {
                    scope.span.add_link(Linked::local(context), Vec::new());
                }
                // A request that timed out has its own reason already, and that one stays.
                super::report(store.data().component(), scope, failure);
                scope.fail(failure.clone());
            }
        }
        // Only then do bodies lose their writers: each already knows whether it is broken.
        store.data().outgoing.uploads().settle();
        let (settled, coming): (Vec<_>, Vec<_>) = store
            .data()
            .live()
            .into_iter()
            .partition(|scope| scope.is_answered() || scope.failure().is_some());
        settled.iter().for_each(|scope| _ = scope.settle());
        if coming.is_empty() {
            return;
        }
        // The guest may well be done before its response has come to us.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                for scope in coming {
                    scope.answered().await;
                    scope.settle();
                }
                drop(store);
            });
        }
    }
}

/// Says that a request's instance knows whatever there is to know of its end.
struct Acknowledge(RequestScope);

impl Drop for Acknowledge {
    fn drop(&mut self) {
        self.0.acknowledge();
    }
}

/// Ends a worker from outside its event loop: when it idles, ignores what was cancelled, or works on for nobody.
struct Watch {
    requests: Arc<Requests>,
    linger: Option<Duration>,
    retired: Arc<AtomicBool>,
    wake: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    /// Whether the worker should end now.
    fn is_over(&mut self, status: WorkerStatus, since: Instant) -> bool {
        let Requests { cancelled, is_idle, .. } = &*self.requests;
        // Set under the lock of the request that is cancelled: it is never seen late by more than one look.
        let cancelled = cancelled.load(Ordering::Acquire);
        let abandoned = || self.requests.begun().iter().all(|request| request.is_closed());
        match status {
            WorkerStatus::Idle => {
                // Every task has ended: nobody is left who could end the spans that are open, or speak for a request.
                is_idle.store(true, Ordering::Release);
                self.requests.settle();
                since.elapsed() >= IDLE_TIMEOUT || self.retired.load(Ordering::Acquire)
            }
            // By far the most frequent, and cheap: what nobody has cancelled nobody ignores.
            WorkerStatus::Requests if !cancelled => false,
            // A request whose client is gone may wait for a neighbour that computes; one that has used up its time is
            // stuck, or stuck behind one that will be.
            WorkerStatus::Requests => {
                let abandoned = abandoned();
                self.requests.begun().iter().any(|request| {
                    request.is_ignored_for(IGNORED_FOR) && (abandoned || request.is_timed_out())
                })
            }
            // Streams its responses, or works on after them: only the latter may not last for ever.
            WorkerStatus::PostReturn => {
                let linger = if cancelled { Some(IGNORED_FOR) } else { self.linger };
                linger.is_some_and(|linger| since.elapsed() >= linger) && abandoned()
            }
        }
    }
}

/// The worker loop lets go of its watch after its store; before it only where the loop itself is dropped.
impl Drop for Watch {
    fn drop(&mut self) {
        // Its response may wait for its client for long.
        self.requests.end_turn();
        self.requests.dropped.store(true, Ordering::Release);
    }
}

impl WorkerExpiration for Watch {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        since: Instant,
    ) -> Poll<()> {
        // The event loop has nothing to do: whoever it ran waits, be it in the middle of a call to the host.
        if let Some(meter) = &self.requests.meter {
            meter.stop();
        }
        self.requests.end_turn();
        loop {
            if self.is_over(status, since) {
                self.requests.stopped.store(true, Ordering::Release);
                return Poll::Ready(());
            }
            let wake = self.wake.get_or_insert_with(|| Box::pin(tokio::time::sleep(WATCH)));
            match wake.as_mut().poll(cx) {
                Poll::Ready(()) => self.wake = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
