//! Runs 0.2 components: one request at a time in an instance, driven by the task that serves the request for as long
//! as it waits for the head, and by a task of its own after that.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use http::uri::Scheme;
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime_wasi_http::p2::bindings::http::types as wit;
use wasmtime_wasi_http::p2::bindings::{Proxy, ProxyPre};
use wasmtime_wasi_http::{Error as HttpError, WasiBody, WasiHttpView as _};

use super::error::{classify, classify_return, exited_well};
use super::idle::Idle;
use super::instance::InstanceFactory;
use super::warm::{self, Warm};
use super::{IDLE_TIMEOUT, OnDrop};
use crate::host::{Abi, Failure, FailureKind, HostState, RequestScope, Serving, Written};

/// How often a guest that has given its head may give way before the head goes out, unless it is at its end by then.
const TICKS: u32 = 2;
/// How often it may whose head is that of a server error: a runtime that answers for its guest is about to end with that
/// response unfinished, which then need not be passed on. A second, or less where the clock ticks fast.
const TICKS_OF_ERROR: u32 = 100;

type Head = Result<http::Response<Written>, wit::ErrorCode>;

/// How often the guest may give way before this head goes out.
fn patience(head: &Head) -> u32 {
    match head {
        Ok(response) if response.status().is_server_error() => TICKS_OF_ERROR,
        _ => TICKS,
    }
}

/// An instance and how often it has been used.
struct Instance {
    store: Store<HostState>,
    proxy: Proxy,
    served: usize,
}

/// The instances of a 0.2 component.
pub(crate) struct Pool {
    factory: InstanceFactory,
    pre: ProxyPre<HostState>,
    /// Requests that an instance serves before it is replaced; 1 is a fresh one for each.
    reuse: usize,
    idle: Idle<Instance>,
    warm: Warm<Instance>,
    /// How long a guest may go on working after its response is over.
    linger: Option<Duration>,
}

impl Pool {
    pub(crate) fn new(
        factory: InstanceFactory,
        pre: ProxyPre<HostState>,
        reuse: usize,
        linger: Option<Duration>,
    ) -> Self {
        let (idle, warm) = (Idle::new(IDLE_TIMEOUT), Warm::new());
        Self { factory, pre, reuse: reuse.max(1), idle, warm, linger }
    }

    pub(crate) fn factory(&self) -> &InstanceFactory {
        &self.factory
    }

    /// Makes `count` instances, one at least, for its errors: for the first requests, if each does not get one of its own.
    pub(crate) async fn warm(&self, count: usize) -> Result<(), Failure> {
        let mut made = warm::make(count, async || self.create().await).await?;
        if self.reuse > 1 {
            made.truncate(count);
            self.warm.put(made);
        }
        Ok(())
    }

    async fn create(&self) -> Result<Instance, Failure> {
        let (store, proxy) = self
            .factory
            .instance(Serving::One, async |store| self.pre.instantiate_async(store).await)
            .await?;
        Ok(Instance { store, proxy, served: 0 })
    }

    /// The response to one request. Dropping the future stops the guest.
    pub(crate) async fn call(
        self: &Arc<Self>,
        request: http::Request<WasiBody>,
        scope: RequestScope,
    ) -> Result<http::Response<Written>, Failure> {
        let (sender, mut head) = oneshot::channel();
        let mut work = {
            let (pool, scope) = (self.clone(), scope.clone());
            Box::pin(async move {
                let work = pool.run(request, &scope, sender);
                scope.run_in_turn(&pool.factory.turns, work).await;
            })
        };
        // The head is taken only when the guest pauses or ends, so that for a short request everything about it is
        // known by then, and nothing has to be handed from one thread to another. A guest that merely has to give way
        // goes on to its end first, if that is near.
        let (mut taken, mut last_tick) = (None, 0);
        let (head, ended) = std::future::poll_fn(|cx| {
            let ended = work.as_mut().poll(cx).is_ready();
            if taken.is_none() {
                taken = match head.try_recv() {
                    Ok(head) => {
                        last_tick = scope.ticks().wrapping_add(patience(&head));
                        Some(head)
                    }
                    // One that drops its way to answer may be about to say why: an exit, an exception.
                    Err(_) if !ended => return Poll::Pending,
                    Err(_) => return Poll::Ready((None, ended)),
                };
            }
            if !ended && scope.gives_way() && scope.ticks() <= last_tick {
                return Poll::Pending;
            }
            Poll::Ready((taken.take(), ended))
        })
        .await;
        match head {
            Some(Ok(response)) => {
                if !ended {
                    // It streams, or works on after the response.
                    tokio::spawn(work);
                } else if response.status().is_server_error()
                    && let Some(failure) = scope.failure().filter(Failure::is_reported)
                {
                    // A runtime that answers for its guest leaves that response unfinished; it need not be passed on.
                    return Err(failure);
                }
                Ok(response)
            }
            Some(Err(code)) => Err(Failure::error_code(HttpError::from(code))),
            None => Err(scope.failure().unwrap_or_else(|| {
                Failure::new(FailureKind::NoResponse, "the handler returned without a response")
            })),
        }
    }

    /// Serves the request to its very end, and puts the instance back where it may be used again.
    async fn run(&self, request: http::Request<WasiBody>, scope: &RequestScope, head: oneshot::Sender<Head>) {
        // Dropped last, when the instance has gone or is back: who comes next may need it.
        let _finish = OnDrop::new(|| scope.finish());
        let mut instance = match self.take(scope).await {
            Ok(instance) => instance,
            Err(failure) => return scope.fail(failure),
        };
        let reused = instance.served > 0;
        instance.served += 1;
        // An instance that has waited is past its tick, and would give way at once.
        instance.store.set_epoch_deadline(1);
        let state = instance.store.data_mut();
        let instantiate = state.instantiate.take();
        state.serve_one(Some(scope.clone()));
        scope.taken_up(reused, instantiate, state.limits.peak().clone());
        let spent = OnDrop::new(|| scope.tell_spent());
        let done = {
            let call = metered(handle(&mut instance, request, scope, head), scope);
            tokio::select! {
                biased;
                // Caught here, while the store is whole: the response must be known to be broken before it goes.
                result = AssertUnwindSafe(call).catch_unwind() => Some(result),
                () = scope.cancelled() => None,
                () = linger(scope, self.linger) => None,
            }
        };
        drop(spent);
        let failure = match &done {
            // It returned, or left after its answer.
            Some(Ok(Ok(()))) | None => None,
            Some(Ok(Err(error))) if exited_well(error) && scope.is_answered() => None,
            Some(Ok(Err(error))) => Some(classify(error, instance.store.data(), Some(scope))),
            Some(Err(_panic)) => Some(Failure::panicked()),
        };
        if let Some(failure) = failure {
            super::report(instance.store.data().component(), scope, &failure);
            scope.fail(failure);
        }
        let state = instance.store.data();
        let has_returned = matches!(done, Some(Ok(Ok(()))));
        // Before the store goes and takes the bodies' writers with it: they then know that they are broken. An instance
        // that still has one of them is not used again.
        let has_left_some = scope.settle_with(|is_left| {
            if has_returned
                && (is_left || !scope.is_answered())
                && let Some(failure) = classify_return(state, scope)
            {
                scope.fail(failure);
            }
            state.finish_output();
        }) | state.outgoing.uploads().settle();
        if has_returned && scope.is_answered() && !has_left_some {
            self.put_back(instance);
        }
    }

    /// An instance for a request. One that waits goes where it holds more than the request's client may have: a fresh
    /// one holds less.
    async fn take(&self, scope: &RequestScope) -> Result<Instance, Failure> {
        if let Some(instance) = self.idle.take().filter(|instance| instance.store.data().fits(scope)) {
            return Ok(instance);
        }
        if let Some(mut instance) = self.warm.take() {
            // Nobody waited for it.
            instance.store.data_mut().instantiate = Some(Duration::ZERO);
            return Ok(instance);
        }
        self.create().await
    }

    fn put_back(&self, mut instance: Instance) {
        instance.store.data_mut().serve_one(None);
        if instance.served < self.reuse {
            self.idle.put(instance);
        }
    }

    /// Drops the instances that nobody has asked for lately.
    pub(crate) fn expire_idle(&self) {
        self.idle.expire();
    }
}

/// Calls the handler.
async fn handle(
    instance: &mut Instance,
    request: http::Request<WasiBody>,
    scope: &RequestScope,
    head: oneshot::Sender<Head>,
) -> wasmtime::Result<()> {
    let store = &mut instance.store;
    let scheme =
        if request.uri().scheme() == Some(&Scheme::HTTPS) { wit::Scheme::Https } else { wit::Scheme::Http };
    let request = store.data_mut().http().new_incoming_request(scheme, request)?;
    let answered = scope.clone();
    let outparam = store.data_mut().http().new_response_outparam_from_callback(move |response| {
        let response = response.map(|response| {
            let (head, body) = response.into_parts();
            let body = Written::new(body, &head.headers, Abi::P2);
            http::Response::from_parts(head, body)
        });
        answered.answer(response.as_ref().ok().map(http::Response::body));
        // Nobody waits any more when the client is gone.
        _ = head.send(response);
    })?;
    instance.proxy.wasi_http_incoming_handler().call_handle(store, request, outparam).await
}

/// Resolves when a guest has worked on for too long after its response was over.
async fn linger(scope: &RequestScope, limit: Option<Duration>) {
    scope.closed().await;
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}

/// Adds up the time for which `work` runs: the guest's time on a processor, as far as it can be known from outside.
async fn metered<F: Future>(work: F, scope: &RequestScope) -> F::Output {
    let mut work = pin!(work);
    let is_told = scope.span.wants_costs();
    std::future::poll_fn(|cx| {
        let start = is_told.then(Instant::now);
        let poll = work.as_mut().poll(cx);
        if let Some(start) = start {
            scope.spend(start.elapsed());
        }
        poll
    })
    .await
}
