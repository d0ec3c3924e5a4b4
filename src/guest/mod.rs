//! Running components; knows no sockets. [`Guests::invoke`] is all that the server sees.

mod alarm;
mod arrival;
mod body;
mod clock;
mod commons;
mod compiled;
mod component;
mod content;
mod engine;
mod error;
mod examine;
mod idle;
mod inspect;
mod instance;
mod isolation;
mod make;
mod retry;
mod served;
mod standing;
mod v02;
mod v03;
mod warm;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;

pub(crate) use crate::host::{
    Beyond, Blame, Budget, Failure, FailureKind, Full, Ledger, Mocks, OwnListeners, Place, Policy, Reply,
    RequestScope, Rooms, Share, error_names, let_others_go_on,
};
pub(crate) use alarm::Alarm;
pub(crate) use arrival::{Arrival, Rest};
pub(crate) use body::{Body, RequestBodyError};
pub(crate) use commons::{Commons, Engines};
pub(crate) use compiled::{
    COMMAND as COMPILE_COMMAND, Compiling, Progress, Worker, prepare_cache, serve as serve_compiler,
};
pub(crate) use examine::{Cost, Examined, Import, examine, mib};
pub(crate) use make::{make, targets};
pub(crate) use served::{Load, Served};
pub(crate) use standing::Standing;

use self::compiled::Compiler;
use self::component::Pre;
use self::instance::InstanceFactory;
use self::isolation::Runtime;
use self::retry::{Lent, OUTCOMES, Retries};
use crate::config::{self, Isolation};
use crate::host::{Capabilities, IncomingContext, MAX_HELD, Trace, Written};
use pounce_telemetry::logs::{self, printable};
use pounce_telemetry::{Baggage, ServerSpan, Signals};
use wasmtime_wasi_http::WasiBody;

/// Instance slots beyond those that requests in flight take.
const SPARE_SLOTS: usize = 8;
/// The setting that limits the time to a response head.
const REQUEST_TIMEOUT: &str = "http.request-timeout";
/// The setting that limits that time as well, where it is shorter.
const RESPONSE_TIMEOUT: &str = "http.response-timeout";
/// How long an instance without requests is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

enum Pool {
    V02(Arc<v02::Pool>),
    V03(v03::Pool),
}

/// Counts of what guests were refused or lost since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Losses {
    /// Requests that another's trap failed and that could run once more, by the outcome: answered, failed, or refused as
    /// too many did at the same time. The first are no loss.
    pub(crate) retries: [u64; OUTCOMES.len()],
    /// Lines of output beyond the rate that is logged.
    pub(crate) output_lines: u64,
    /// Outgoing requests that no rule allows.
    pub(crate) outgoing_requests: u64,
    /// Telemetry calls without a current request.
    pub(crate) telemetry_unattributed: u64,
    /// Telemetry calls with what is not valid or over a limit, baggage that was refused among them.
    pub(crate) telemetry_invalid: u64,
    /// Spans of guests' own SDKs that are of other traces than their requests.
    pub(crate) telemetry_foreign: u64,
}

impl Losses {
    /// The losses of several components together.
    pub(crate) fn sum(all: impl Iterator<Item = Self>) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            retries: std::array::from_fn(|at| sum.retries[at] + one.retries[at]),
            output_lines: sum.output_lines + one.output_lines,
            outgoing_requests: sum.outgoing_requests + one.outgoing_requests,
            telemetry_unattributed: sum.telemetry_unattributed + one.telemetry_unattributed,
            telemetry_invalid: sum.telemetry_invalid + one.telemetry_invalid,
            telemetry_foreign: sum.telemetry_foreign + one.telemetry_foreign,
        })
    }
}

/// The guests of a component.
pub(crate) struct Guests {
    pool: Pool,
    name: Arc<str>,
    slots: usize,
    version: inspect::Version,
    isolation: Isolation,
    propagates: bool,
    /// From request to response head, and the setting that says so.
    timeout: Option<(Duration, &'static str)>,
    retries: Retries,
}

/// When a response head must be there.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: tokio::time::Instant,
    /// The time that it has until then, and the setting that says so.
    after: Duration,
    setting: &'static str,
}

impl Guests {
    /// Loads the component of a configuration with one; `own` is where this server listens, `signals` where metrics and log
    /// records go, `compiling` how it is compiled where it has to be, `commons` what it shares with others,
    /// `beyond` who answers its guests whom no setting allows.
    ///
    /// # Errors
    /// Every reason for which it cannot be served.
    pub(crate) async fn load(
        config: &config::Config,
        own: OwnListeners,
        signals: Signals,
        compiling: Compiling,
        commons: &Commons,
        beyond: Beyond,
    ) -> anyhow::Result<Self> {
        let guest = &config.guest;
        let (path, name) = (config.component.as_deref(), config.component_name());
        let (path, name) = (path.context("no component was named")?, &*name.unwrap_or_default());
        let mut capabilities = Capabilities::new(name, config, own, signals, beyond)?;
        let compiler = Compiler::new(guest, compiling);
        let component = component::load(path, &compiler, guest.max_memory.0, guest.isolation, commons)?;
        capabilities.has_reports = component.runtime == Runtime::StarlingMonkey;
        let factory = InstanceFactory {
            engine: component.slots.engine,
            turns: component.slots.turns,
            capabilities: Arc::new(capabilities),
            budget: commons.memory(guest.max_total_memory.0),
            slots: component.own_slots,
            max_memory: guest.max_memory.0,
        };
        let timeout = config.http.request_timeout.0;
        let isolation::Decision { isolation, remark } = component.isolation;
        match remark {
            Some(remark) if remark.is_warning => tracing::warn!(component = name, "{}", remark.text),
            Some(remark) => tracing::info!(component = name, "{}", remark.text),
            None => {}
        }
        let (pool, version) = match component.pre {
            Pre::V02(pre) => {
                let reuse = if isolation == Isolation::Instance { guest.reuse } else { 1 };
                let pool = Arc::new(v02::Pool::new(factory, pre, reuse, timeout));
                if reuse > 1 {
                    expire_idle(&pool);
                }
                (Pool::V02(pool), inspect::Version::V02)
            }
            Pre::V03(pre) => {
                let sharing = match isolation {
                    Isolation::Request => v03::Sharing::NONE,
                    Isolation::Instance => {
                        v03::Sharing { reuse: guest.reuse.max(1), concurrency: guest.concurrency.max(1) }
                    }
                };
                (Pool::V03(v03::Pool::new(factory, pre, sharing, timeout)), inspect::Version::V03)
            }
        };
        let guests = Self {
            pool,
            name: name.into(),
            slots: component.slots.count,
            version,
            isolation,
            propagates: component.propagates,
            timeout: head_timeout(&config.http),
            retries: Retries::new(guest, commons.retries()),
        };
        let warm = guests.instances_to_warm(guest.warm, config.http.max_in_flight);
        tracing::debug!(component = name, warm, "the component is compiled; making its first instances");
        let warmed = guests.warm(warm).await;
        warmed.with_context(|| format!("component `{}` cannot be served", path.display()))?;
        Ok(guests)
    }

    /// How many instances to make before the first request: as many as may be asked for at once, and as set, or one for
    /// each processor.
    fn instances_to_warm(&self, wanted: Option<usize>, max_in_flight: usize) -> usize {
        let most = self.room().min(max_in_flight);
        let count = wanted.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        if let Some(wanted) = wanted.filter(|wanted| *wanted > most) {
            tracing::warn!(wanted, warm = most, "guest.warm is more than there can be requests in flight");
        }
        count.min(most)
    }

    async fn warm(&self, count: usize) -> anyhow::Result<()> {
        let warm = async {
            match &self.pool {
                Pool::V02(pool) => pool.warm(count).await,
                Pool::V03(pool) => pool.warm(count).await,
            }
        };
        let limit = Duration::from_secs(30);
        let failure = match tokio::time::timeout(limit, warm).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failure)) => failure,
            Err(_) => anyhow::bail!("its start functions did not end within {limit:?}"),
        };
        let trace = failure.stacktrace.as_ref().map(|trace| format!("\n{trace}")).unwrap_or_default();
        anyhow::bail!("no instance of it can be made: {}{trace}", failure.message)
    }

    /// What the component is called.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Requests that there is room for at once.
    pub(crate) fn room(&self) -> usize {
        room(self.slots)
    }

    /// One line for the log: version and isolation.
    pub(crate) fn describe(&self) -> String {
        let isolation = match self.isolation {
            Isolation::Request => "a fresh instance for each request",
            Isolation::Instance => "instances reused",
        };
        format!("wasi:http {}, {isolation}", self.version)
    }

    /// What guests were refused or lost, for the lines at exit.
    pub(crate) fn losses(&self) -> Losses {
        let Capabilities { recorder, ignored, client, .. } = &*self.factory().capabilities;
        Losses {
            retries: self.retries.counts(),
            output_lines: recorder.log.dropped(),
            outgoing_requests: client.refused(),
            telemetry_unattributed: ignored.unattributed.load(Ordering::Relaxed),
            telemetry_invalid: ignored.invalid.load(Ordering::Relaxed),
            telemetry_foreign: ignored.foreign.load(Ordering::Relaxed),
        }
    }

    /// The version of wasi:http, and the isolation in force, as the settings call it.
    pub(crate) fn kind(&self) -> (String, &'static str) {
        let isolation = match self.isolation {
            Isolation::Request => "request",
            Isolation::Instance => "instance",
        };
        (self.version.to_string(), isolation)
    }

    /// Slots for instances that are taken, and all.
    pub(crate) fn slots(&self) -> (u64, u64) {
        (self.factory().instances(), self.slots as u64)
    }

    /// Bytes of memory that one instance may hold with these settings: linear memory, and what the host keeps for it.
    pub(crate) fn memory_of_one(guest: &config::Guest) -> u64 {
        guest.max_memory.0.saturating_add(MAX_HELD)
    }

    /// Bytes of memory that all instances hold, and may hold: linear memory, and what the host keeps for them.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let budget = &self.factory().budget;
        (budget.used(), budget.limit())
    }

    fn factory(&self) -> &InstanceFactory {
        match &self.pool {
            Pool::V02(pool) => pool.factory(),
            Pool::V03(pool) => pool.factory(),
        }
    }

    /// Has a guest answer one request. Resolves with the response head; dropping the future stops the guest, and
    /// dropping the body before its end does too.
    ///
    /// The request's URI must be absolute: scheme and authority are what the guest is told they are. `arrival` is that of
    /// its body, and `alarm` a timer that no other request uses meanwhile.
    pub(crate) async fn invoke<B>(
        &self,
        request: http::Request<B>,
        arrival: &Arrival,
        span: ServerSpan,
        baggage: Baggage,
        place: Place,
        alarm: &mut Alarm,
    ) -> Result<http::Response<Body>, Failure>
    where
        B: http_body::Body<Data = Bytes, Error = RequestBodyError> + Send + Unpin + 'static,
    {
        let budget = &self.factory().budget;
        if budget.is_used_up() {
            return Err(Failure::overloaded(error::TOTAL_REACHED));
        }
        if place.memory().is_some_and(|share| share.is_used_up()) {
            return Err(Failure::overloaded(error::SHARE_REACHED));
        }
        let deadline = self.timeout.map(|(time, setting)| Deadline {
            at: tokio::time::Instant::now() + time,
            after: time,
            setting,
        });
        let incoming = self.incoming(&request, &span);
        let (request, kept) = match &self.pool {
            Pool::V03(pool) if pool.is_shared() => self.retries.keep(request, &baggage),
            Pool::V02(_) | Pool::V03(_) => (request.map(Lent::Given), None),
        };
        let mut scope = RequestScope::new(span, incoming, baggage, place);
        if kept.is_some() {
            scope.may_run_again();
        }
        let mut timed = (deadline, alarm);
        let mut answer = self.attempt(request.map(body::inbound), arrival, &scope, &mut timed, false).await;
        if let (Err(failure), Some(kept)) = (&answer, kept) {
            match self.retries.once_more(kept, &scope, failure) {
                Some((request, second)) => {
                    // Its instance is gone; what is left of it there is done for nobody.
                    scope.cancel();
                    scope = second;
                    let request = request.map(body::inbound);
                    // In a box: it is rare, and would make the future of every request larger.
                    answer = Box::pin(self.attempt(request, arrival, &scope, &mut timed, true)).await;
                    self.retries.has_run(&answer);
                }
                None => scope.has_run(failure),
            }
        }
        match answer {
            Ok(response) => {
                // A 0.3 guest has finished when its body has; a 0.2 one says so itself.
                let finishes = matches!(self.pool, Pool::V03(_));
                Ok(response.map(|body| Body::new(body, scope.clone(), finishes)))
            }
            Err(failure) => {
                scope.abandon(failure.clone());
                Err(failure)
            }
        }
    }

    /// Has a guest answer a request, in an instance that no other request is in if it is to be served `alone`.
    async fn attempt(
        &self,
        request: http::Request<WasiBody>,
        arrival: &Arrival,
        scope: &RequestScope,
        (deadline, alarm): &mut (Option<Deadline>, &mut Alarm),
        alone: bool,
    ) -> Result<http::Response<Written>, Failure> {
        let mut call = pin!(async {
            match &self.pool {
                Pool::V02(pool) => pool.call(request, scope.clone()).await,
                Pool::V03(pool) => pool.call(request, scope.clone(), alone).await,
            }
        });
        // Dropped before the call: what the guest has under way then knows why it ends.
        let guard = OnDrop::new(|| scope.abandon(Failure::client_disconnected()));
        let answer = match *deadline {
            Some(Deadline { at, after: limit, setting }) => {
                alarm.until(at, call.as_mut()).await.unwrap_or_else(|| {
                    // Before the guest is stopped, which lets go of the body.
                    let waits_for_client = arrival.is_awaited();
                    let failure = if waits_for_client {
                        Failure::client_timeout(limit, setting)
                    } else {
                        Failure::timeout(limit, setting)
                    };
                    scope.fail(failure.clone());
                    Err(failure)
                })
            }
            None => call.await,
        };
        guard.disarm();
        answer
    }

    fn incoming<B>(&self, request: &http::Request<B>, span: &ServerSpan) -> Option<IncomingContext> {
        if !self.propagates || span.is_on() {
            return None;
        }
        let header = |name| request.headers().get(name).cloned();
        Some(IncomingContext { traceparent: header("traceparent"), tracestate: header("tracestate") })
    }
}

/// The shorter of the times that a response head has, with the setting it comes from.
fn head_timeout(http: &config::Http) -> Option<(Duration, &'static str)> {
    let limit = |timeout: config::Timeout, setting| timeout.0.map(|limit| (limit, setting));
    let limits =
        [limit(http.request_timeout, REQUEST_TIMEOUT), limit(http.response_timeout, RESPONSE_TIMEOUT)];
    limits.into_iter().flatten().min_by_key(|(limit, _)| *limit)
}

/// Instance slots for so many requests in flight: an instance that is being torn down, or that works on after its
/// response, must not stand in the way of the next request.
fn slots_for(in_flight: usize) -> usize {
    in_flight.saturating_add(in_flight / 8).saturating_add(SPARE_SLOTS)
}

/// Requests in flight that so many slots are enough for: the inverse of [`slots_for`].
fn room(slots: usize) -> usize {
    ((slots.saturating_sub(SPARE_SLOTS) * 8 + 7) / 9).max(1)
}

/// Does something when it is dropped, unless it is disarmed.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    fn new(what: F) -> Self {
        Self(Some(what))
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(what) = self.0.take() {
            what();
        }
    }
}

/// Drops idle instances for as long as the pool lives.
fn expire_idle(pool: &Arc<v02::Pool>) {
    let pool = Arc::downgrade(pool);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(IDLE_TIMEOUT).await;
            let Some(pool) = pool.upgrade() else { return };
            pool.expire_idle();
        }
    });
}

/// Tells of a failure that happens after the response is over; before that, the server does.
fn report(component: &str, request: &Trace, failure: &Failure) {
    if request.is_closed() {
        let error = &*printable(&failure.message);
        let context = request.span.context();
        logs::of_span(context.as_ref(), || {
            tracing::warn!(
                component,
                error,
                error.type = failure.kind.error_type(),
                exception.type = failure.exception_type,
                trace_id = context.as_ref().map(|context| tracing::field::display(&context.trace_id)),
                span_id = context.as_ref().map(|context| tracing::field::display(&context.span_id)),
                stacktrace = failure.stacktrace,
                "guest failed after its response was over"
            );
        });
        if let Some(exception) = failure.exception() {
            request.span.survive(exception);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{room, slots_for};

    #[test]
    fn slots_made_for_requests_have_room_for_as_many() {
        for in_flight in 1..=20_000 {
            assert_eq!(room(slots_for(in_flight)), in_flight);
        }
        assert_eq!(room(1), 1, "never none");
    }
}
