//! Runs one case: asks, waits until the guest is done, and looks at the trace.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use pounce_telemetry::{Baggage, Propagator, SpanContext, SpanId, TraceId, TraceState};
use tokio::sync::Semaphore;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, timeout_at};

use super::compare::{self, Came, Comparison, Edit, Line};
use super::expect::Case;
use super::mocks::Calls;
use super::seen::Trace;
use crate::app::{Caller, ResponseBody};
use crate::guest::Mocks;

/// How often a trace is looked at that is not as expected yet.
const LOOK: Duration = Duration::from_millis(10);

/// Exceptions of one case that are told.
const MAX_EXCEPTIONS: usize = 5;
/// Lines of a comparison that are shown.
const MAX_LINES: usize = 400;

/// How a case went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    /// Line of the file on which the case begins.
    pub(crate) line: usize,
    pub(crate) took: Duration,
    /// None if it passed.
    pub(crate) failure: Option<Failure>,
    /// What would make what came what is expected, whether it passed or not.
    pub(super) edits: Vec<Edit>,
    /// Whether something is wrong that no edit does away with.
    pub(crate) remains: bool,
    /// Ids of the trace and its spans, which are others each time.
    pub(super) ids: Vec<String>,
}

impl Outcome {
    /// The outcome of a case whose run came to a bad end by itself.
    pub(super) fn died(name: String, line: usize, why: &str) -> Self {
        let problems = vec![format!("the run of the case died: {why}")];
        let failure = Some(Failure { problems, ..Failure::default() });
        Self { name, line, took: Duration::ZERO, failure, edits: Vec::new(), remains: true, ids: Vec::new() }
    }
}

/// Why a case failed.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    /// What went wrong beside what is expected, in whole sentences.
    pub(crate) problems: Vec<String>,
    /// What came beside what was expected, if that differs.
    pub(crate) lines: Vec<Line>,
    /// Exceptions of its spans: type, message and backtrace.
    pub(crate) exceptions: Vec<String>,
}

/// A request that is ready to be sent, and the trace that it begins.
pub(super) struct Prepared {
    request: Request<Full<Bytes>>,
    pub(super) trace_id: TraceId,
}

/// Makes the request of a case, with a trace id of its own unless it brings one.
///
/// # Errors
/// Why nobody could tell which trace is its own.
pub(super) fn prepare(case: &Case, propagator: &Propagator) -> Result<Prepared, String> {
    let mut request = Request::new(Full::new(case.request.body.clone()));
    *request.method_mut() = case.request.method.clone();
    *request.uri_mut() = case.request.uri.clone();
    for (name, value) in &case.request.headers {
        request.headers_mut().append(name, value.clone());
    }
    let headers = request.headers_mut();
    if let Some(own) = propagator.extract(headers).context {
        return Ok(Prepared { trace_id: own.trace_id, request });
    }
    let context = SpanContext {
        trace_id: TraceId::random(),
        span_id: SpanId::random(),
        flags: SpanContext::SAMPLED | SpanContext::RANDOM,
        trace_state: TraceState::default(),
    };
    let mut added = HeaderMap::new();
    propagator.inject(&context, &Baggage::default(), &mut added);
    if added.is_empty() {
        return Err("otel.propagators names no format that has trace ids, by which a case is told from others; add one, such as tracecontext".to_owned());
    }
    if let Some(name) = added.keys().find(|name| headers.contains_key(*name)) {
        return Err(format!(
            "its header {name} is not valid, and a case is told from others by its trace id; mend it, or take it out"
        ));
    }
    headers.extend(added);
    Ok(Prepared { request, trace_id: context.trace_id })
}

/// What the cases of a file have in common while they run.
pub(super) struct Shared {
    pub(super) caller: Caller,
    pub(super) mocks: Arc<Mocks>,
    /// One large trace is compared at once: that computes for a second or two, outside of the case's own time limit, while the
    /// limits of other cases go on. Their guests need the other processors, and all threads that serve.
    comparing: Semaphore,
}

impl Shared {
    pub(super) fn new(caller: Caller, mocks: Arc<Mocks>) -> Self {
        Self { caller, mocks, comparing: Semaphore::new(1) }
    }

    /// Compares a trace; a large one beside the threads that serve.
    async fn compare(&self, case: &Case, trace: &Trace) -> Comparison {
        if !compare::takes_long(case, trace) {
            return compare::trace_of(case, trace);
        }
        // It is never closed.
        let _turn = self.comparing.acquire().await;
        block_in_place(|| compare::trace_of(case, trace))
    }
}

/// Runs a case.
pub(super) async fn run(case: &Case, prepared: Result<Prepared, String>, shared: &Shared) -> Outcome {
    let Shared { caller, mocks, .. } = shared;
    let began = Instant::now();
    let outcome = |failure, edits| Outcome {
        name: case.name.clone(),
        line: case.line,
        took: began.elapsed(),
        failure,
        edits,
        remains: true,
        ids: Vec::new(),
    };
    let Prepared { request, trace_id } = match prepared {
        Ok(prepared) => prepared,
        Err(problem) => {
            return outcome(Some(Failure { problems: vec![problem], ..Failure::default() }), Vec::new());
        }
    };
    let calls = Arc::new(Calls::new(case));
    let script = {
        let calls = calls.clone();
        Arc::new(move |head: &http::request::Parts, body: Option<&Bytes>| calls.reply(head, body))
    };
    let followed = mocks.follow(trace_id, script);
    let came = ask(case, request, caller, began).await;
    let mut failure = Failure::default();
    let (trace, compared) = look(case, shared, trace_id, &calls, &mut failure.problems, came.is_ok()).await;
    // A guest may still call while it is waited for.
    drop(followed);
    let (mut edits, mut remains) = (Vec::new(), false);
    // Where a limit of the case's own struck, Pounce was the client that went away.
    failure.exceptions = exceptions(&trace, came.is_err());
    match came {
        Ok(came) => {
            let mut comparison = compare::response_of(case, &came);
            comparison.extend(compared);
            failure.lines = comparison.lines;
            if !comparison.failed {
                failure.lines.clear();
            }
            let left_out = failure.lines.len().saturating_sub(MAX_LINES);
            if left_out > 0 {
                failure.lines.truncate(MAX_LINES);
                failure
                    .problems
                    .push(format!("it differs in more than is shown: {left_out} lines are left out"));
            }
            remains = comparison.remains;
            edits = comparison.edits;
            edits.extend(compare::fill(case, &came, &trace));
        }
        Err(problem) => failure.problems.push(problem),
    }
    failure.problems.extend(calls.problems());
    remains |= !failure.problems.is_empty();
    let has_failed = !(failure.problems.is_empty() && failure.lines.is_empty());
    let ids = if edits.is_empty() { Vec::new() } else { trace.ids };
    Outcome { ids, remains, ..outcome(has_failed.then_some(failure), edits) }
}

/// Sends the request, reads the response, and waits until the guest is done.
///
/// # Errors
/// What took too long, or was too much.
async fn ask(
    case: &Case,
    request: Request<Full<Bytes>>,
    caller: &Caller,
    began: Instant,
) -> Result<Came, String> {
    let deadline = began + case.timeout;
    let limit = case.timeout;
    let called = timeout_at(deadline, caller.call_to_end(request)).await;
    let (response, settled) = called.map_err(|_| format!("no response came within {limit:?} (timeout)"))?;
    let read = timeout_at(deadline, read(response, case.max_body)).await;
    let came = read.map_err(|_| format!("the response was not over within {limit:?} (timeout)"))??;
    let done = timeout_at(deadline, settled.wait()).await;
    done.map_err(|_| format!("the guest was not done with the request within {limit:?} (timeout)"))?;
    Ok(came)
}

async fn read(response: Response<ResponseBody>, max_body: usize) -> Result<Came, String> {
    let (head, mut body) = response.into_parts();
    let (mut bytes, mut broken) = (BytesMut::new(), None);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let data = frame.into_data().unwrap_or_default();
                if bytes.len() + data.len() > max_body {
                    return Err(format!("the response has more than {max_body} bytes (max-body)"));
                }
                bytes.extend_from_slice(&data);
            }
            Err(error) => {
                broken = Some(error.to_string());
                break;
            }
        }
    }
    Ok(Came { status: head.status, headers: head.headers, body: bytes.freeze(), broken })
}

/// The trace, as soon as it is as expected, or when the guest has had its time.
async fn look(
    case: &Case,
    shared: &Shared,
    trace_id: TraceId,
    calls: &Calls,
    problems: &mut Vec<String>,
    may_come: bool,
) -> (Trace, Comparison) {
    let until = Instant::now() + case.linger;
    let mut told = shared.caller.trace(trace_id);
    loop {
        let trace = match Trace::read(&told.0, &told.1) {
            Ok(trace) => trace,
            Err(error) => {
                problems.push(format!("its trace can't be read: {error}"));
                return Default::default();
            }
        };
        let compared = shared.compare(case, &trace).await;
        loop {
            let is_right = !compared.failed && !calls.are_missed();
            if is_right || !may_come || Instant::now() >= until {
                return (trace, compared);
            }
            sleep(LOOK).await;
            let now = shared.caller.trace(trace_id);
            // What has been compared once comes out the same.
            if now != told {
                told = now;
                break;
            }
        }
    }
}

/// The exceptions of a trace, without that of a client that went away where nobody else than the case did.
fn exceptions(trace: &Trace, was_left: bool) -> Vec<String> {
    let told = |[kind, message, stack]: [Option<&str>; 3]| {
        let mut text = [kind, message]
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(": ");
        for line in stack.unwrap_or_default().lines() {
            text.push_str("\n  ");
            text.push_str(line);
        }
        text
    };
    let is_told = |[kind, ..]: &[Option<&str>; 3]| !(was_left && *kind == Some("client_disconnected"));
    trace.exceptions().into_iter().filter(is_told).take(MAX_EXCEPTIONS).map(told).collect()
}
