//! What ended a request without the response the guest meant to give. [`FailureKind`] is the table of causes (DESIGN §2.2): the
//! status that the client gets, the `error.type` and who is to blame follow from it, and nothing else decides them.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use wasmtime::Trap;
use wasmtime_wasi_http::Error as HttpError;

use super::last_words::Raised;
use super::outbound;
use pounce_telemetry::Exception;

/// Who is at fault: it decides the level of the log line, and says to an operator where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    Guest,
    Host,
    Client,
}

/// The cause of a failure.
#[derive(Debug)]
pub(crate) enum FailureKind {
    /// The guest trapped.
    Trap(Trap),
    /// The guest exited with a status that is not 0.
    Exit,
    /// A host function returned an error that is no trap, for what the guest did with it.
    HostError,
    /// The guest wrote more at once than `wasi:io/streams` lets it.
    WriteTooLarge,
    /// The guest was refused memory and trapped for want of it.
    OutOfMemory,
    /// The handler returned, or the guest exited, without a response.
    NoResponse,
    /// The guest's runtime reported an exception and left the response unfinished.
    Exception,
    /// The guest answered with an error code of wasi:http, or ended its body with one.
    ErrorCode(HttpError),
    /// The guest answered with a status that is not a final one.
    InterimStatus,
    /// The guest wrote more than its `Content-Length` promises.
    BodyTooLong,
    /// The guest left its body unfinished.
    BodyUnfinished,
    /// The response head, or the end of the response, did not come in time.
    Timeout,
    /// Another request of the same instance failed.
    WorkerFailed {
        /// A trap did it, and it is certain that the trap was another request's.
        is_innocent: bool,
    },
    /// No room: too many requests in flight, no free instance slot, or too much guest memory in use.
    Overloaded,
    /// The component is loaded when it is asked for, and that failed or takes too long.
    NotLoaded,
    /// The client has sent more requests than one may; it should wait for so many seconds.
    RateLimited {
        /// Seconds.
        retry_after: u32,
    },
    /// The drain's grace period ended first.
    Shutdown,
    /// A fault of ours: a panic, or an error that no guest can cause.
    Internal,
    /// The client did not take the response in time.
    ClientTookTooLong,
    /// The client did not send on while the guest waited for the request's body.
    ClientTimeout,
    /// The client closed the connection or reset the stream before the end of the response.
    ClientDisconnected,
    /// The request is malformed, its head or its body.
    BadRequest,
    /// The request body is larger than `http.max-request-body`.
    RequestBodyTooLarge,
    /// The request's head is larger than `http.max-header-size`, or has more lines than `http.max-headers`.
    HeadTooLarge,
    /// No route is for the request.
    NoRoute,
    /// Routes are for the request's path, but none for its method; `Allow` lists theirs.
    MethodNotAllowed(HeaderValue),
    /// The request's target alone is larger than a whole head may be (RFC 9112 §3).
    TargetTooLong,
    /// The request has an `Expect` with something else than `100-continue`.
    ExpectationFailed,
    /// A method or protocol that wasi:http cannot express.
    NotImplemented,
}

impl FailureKind {
    /// One row of the table: status, `error.type` (snake_case and low in cardinality; none where the status says all),
    /// and blame.
    fn row(&self) -> (StatusCode, Option<&'static str>, Blame) {
        use Blame::{Client, Guest, Host};
        match self {
            Self::Trap(trap) => (StatusCode::INTERNAL_SERVER_ERROR, Some(trap_type(*trap)), Guest),
            Self::Exit => (StatusCode::INTERNAL_SERVER_ERROR, Some("wasm_trap.exit"), Guest),
            Self::HostError => (StatusCode::INTERNAL_SERVER_ERROR, Some("wasm_trap.host_error"), Guest),
            Self::WriteTooLarge => {
                (StatusCode::INTERNAL_SERVER_ERROR, Some("wasm_trap.write_too_large"), Guest)
            }
            Self::OutOfMemory => (StatusCode::INTERNAL_SERVER_ERROR, Some("out_of_memory"), Guest),
            Self::NoResponse => (StatusCode::INTERNAL_SERVER_ERROR, Some("no_response"), Guest),
            Self::Exception => (StatusCode::INTERNAL_SERVER_ERROR, Some("guest_exception"), Guest),
            Self::ErrorCode(code) => (outbound::status(code), Some(outbound::error_type(code)), Guest),
            Self::InterimStatus => (StatusCode::BAD_GATEWAY, Some("http_protocol_error"), Guest),
            Self::BodyTooLong => (StatusCode::BAD_GATEWAY, Some("http_response_body_size"), Guest),
            Self::BodyUnfinished => (StatusCode::BAD_GATEWAY, Some("http_response_incomplete"), Guest),
            Self::Timeout => (StatusCode::GATEWAY_TIMEOUT, Some("timeout"), Guest),
            Self::WorkerFailed { .. } => (StatusCode::INTERNAL_SERVER_ERROR, Some("worker_failed"), Guest),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, Some("overloaded"), Host),
            Self::NotLoaded => (StatusCode::SERVICE_UNAVAILABLE, Some("component_unavailable"), Host),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, Some("rate_limited"), Client),
            Self::Shutdown => (StatusCode::SERVICE_UNAVAILABLE, Some("shutdown"), Host),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, Some("internal"), Host),
            Self::ClientTookTooLong => (StatusCode::REQUEST_TIMEOUT, Some("timeout"), Client),
            Self::ClientTimeout => (StatusCode::REQUEST_TIMEOUT, Some("client_timeout"), Client),
            // Nobody gets the status.
            Self::ClientDisconnected => (StatusCode::BAD_REQUEST, Some("client_disconnected"), Client),
            Self::BadRequest => (StatusCode::BAD_REQUEST, Some("bad_request"), Client),
            Self::RequestBodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None, Client),
            Self::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, None, Client),
            Self::NoRoute => (StatusCode::NOT_FOUND, None, Client),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, None, Client),
            Self::TargetTooLong => (StatusCode::URI_TOO_LONG, None, Client),
            Self::ExpectationFailed => (StatusCode::EXPECTATION_FAILED, None, Client),
            Self::NotImplemented => (StatusCode::NOT_IMPLEMENTED, None, Client),
        }
    }

    /// What the guest's author, or the operator, can do about it; none where the message says all.
    fn tip(&self) -> Option<&'static str> {
        Some(match self {
            Self::Trap(Trap::StackOverflow) => {
                "it calls itself without end, or needs a larger stack (Rust: `-C link-arg=-zstack-size=BYTES`)"
            }
            Self::Exit => "a handler does not exit: it returns, and its instance ends by itself",
            Self::OutOfMemory => {
                "the span has the most that it held (pounce.guest.memory.peak): give it more (--max-memory), or have it \
                 keep less"
            }
            Self::NoResponse => {
                "a handler answers on every path: by response-outparam.set (wasi:http 0.2), or by what it returns (0.3)"
            }
            Self::ErrorCode(HttpError::HttpRequestDenied) => {
                "the line before names the host that it called and the flag that allows it (--allow-outbound)"
            }
            Self::ErrorCode(HttpError::ConnectionRefused) => {
                "nobody listens where it called: see the trace for where"
            }
            Self::Timeout => {
                "its trace says where the time went; if it may take so long, give it more (--request-timeout)"
            }
            Self::WorkerFailed { .. } => {
                "the other request's failure is in the log; `--isolation request` gives each an instance of its own"
            }
            Self::RequestBodyTooLarge => "take larger ones with --max-request-body",
            Self::HeadTooLarge => "take larger ones with --max-header-size or --max-headers",
            Self::NoRoute => "--route, or [[route]] in the file, says which paths are served",
            _ => return None,
        })
    }

    /// The status that the client gets where the response head has not been sent yet.
    pub(crate) fn status(&self) -> StatusCode {
        self.row().0
    }

    /// The `error.type` of a request that is answered with [`status`](Self::status); none where that says all.
    pub(crate) fn error_type(&self) -> Option<&'static str> {
        self.row().1
    }

    /// The `error.type` of a request whose response broke off for this: its status tells nothing of what went wrong.
    pub(crate) fn error_type_after_head(&self) -> &'static str {
        // Of the kinds that have none only a body that is too large shows after the head.
        self.error_type().unwrap_or("http_request_body_size")
    }

    pub(crate) fn blame(&self) -> Blame {
        self.row().2
    }

    /// Whether the failure is only a refusal of what the client sent: a span that got the status has then not failed
    /// (OpenTelemetry's conventions for HTTP, on the status of spans), and has no exception.
    fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::BadRequest
                | Self::RateLimited { .. }
                | Self::RequestBodyTooLarge
                | Self::HeadTooLarge
                | Self::NoRoute
                | Self::MethodNotAllowed(_)
                | Self::TargetTooLong
                | Self::ExpectationFailed
                | Self::NotImplemented
        )
    }

    /// Whether the guest did not come to answer, which `pounce.guest.traps` counts; an error code is an answer.
    pub(crate) fn is_guest_trap(&self) -> bool {
        matches!(
            self,
            Self::Trap(_)
                | Self::Exit
                | Self::HostError
                | Self::WriteTooLarge
                | Self::OutOfMemory
                | Self::NoResponse
                | Self::Exception
                | Self::Timeout
                | Self::WorkerFailed { .. }
        )
    }
}

/// The `error.type` of a trap.
fn trap_type(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "wasm_trap.stack_overflow",
        Trap::MemoryOutOfBounds => "wasm_trap.out_of_bounds",
        Trap::TableOutOfBounds => "wasm_trap.table_out_of_bounds",
        Trap::IndirectCallToNull => "wasm_trap.indirect_call_to_null",
        Trap::BadSignature => "wasm_trap.bad_signature",
        Trap::IntegerOverflow => "wasm_trap.integer_overflow",
        Trap::IntegerDivisionByZero => "wasm_trap.integer_divide_by_zero",
        Trap::BadConversionToInteger => "wasm_trap.bad_conversion_to_integer",
        Trap::UnreachableCodeReached => "wasm_trap.unreachable",
        Trap::HeapMisaligned => "wasm_trap.unaligned_atomic",
        Trap::NullReference => "wasm_trap.null_reference",
        Trap::AllocationTooLarge => "wasm_trap.allocation_too_large",
        Trap::Interrupt => "wasm_trap.interrupt",
        // The component model's own rules: a re-entered instance, a misused handle.
        _ => "wasm_trap.component_model",
    }
}

/// Why a request failed. Cheap to clone and to return: requests that share an instance share its failure.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Arc<Cause>);

/// What there is to know about a [`Failure`].
#[derive(Debug)]
pub(crate) struct Cause {
    pub(crate) kind: FailureKind,
    /// One sentence for the log; never sent to a client.
    pub(crate) message: String,
    /// Where the guest was when it failed.
    pub(crate) stacktrace: Option<String>,
    /// The type of the exception that the guest's runtime reports.
    pub(crate) exception_type: Option<String>,
}

impl Deref for Failure {
    type Target = Cause;

    fn deref(&self) -> &Cause {
        &self.0
    }
}

impl Failure {
    /// A failure of `kind`; `message` says in one sentence what happened.
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self::traced(kind, message, None)
    }

    /// A failure with the guest's backtrace, where there is one.
    pub(crate) fn traced(kind: FailureKind, message: impl Into<String>, stacktrace: Option<String>) -> Self {
        Self(Arc::new(Cause { kind, message: message.into(), stacktrace, exception_type: None }))
    }

    /// What the guest's author, or the operator, can do about it; none where the message says all.
    pub(crate) fn tip(&self) -> Option<&'static str> {
        // A panic's message has its file and line.
        let is_panic = matches!(self.kind, FailureKind::Trap(Trap::UnreachableCodeReached));
        let has_no_lines = |trace: &&String| !is_panic && !trace.contains(" at ") && trace.contains(" @ 0x");
        self.kind.tip().or_else(|| {
            self.stacktrace.as_ref().filter(has_no_lines).map(|_| {
                "build the guest with debug information to have files and lines in its backtrace (Rust: without \
                 --release, or with `debug = true` in the profile)"
            })
        })
    }

    /// A failure of which the guest's runtime `said` more; `message` and `stacktrace` are what is told where it did not.
    pub(crate) fn said(
        kind: FailureKind,
        said: Option<Raised>,
        message: impl Into<String>,
        stacktrace: Option<String>,
    ) -> Self {
        let Some(said) = said else { return Self::traced(kind, message, stacktrace) };
        let message = match &said.kind {
            // The host knows better how much memory there may be.
            _ if matches!(kind, FailureKind::OutOfMemory) => message.into(),
            Some(exception_type) if said.message.is_empty() => exception_type.clone(),
            _ => said.message,
        };
        let stacktrace = said.stacktrace.or(stacktrace);
        Self(Arc::new(Cause { kind, message, stacktrace, exception_type: said.kind }))
    }

    /// The guest answered with an error code of wasi:http.
    pub(crate) fn error_code(code: HttpError) -> Self {
        let name = outbound::error_type(&code);
        let message = format!("the guest answered with the error code {name}: {code}");
        Self::new(FailureKind::ErrorCode(code), message)
    }

    /// The response head did not come in time; `setting` is the one that says in what time.
    pub(crate) fn timeout(after: Duration, setting: &str) -> Self {
        Self::new(FailureKind::Timeout, format!("no response head within {after:?} ({setting})"))
    }

    /// The client did not send on while the guest waited for the request's body, and time was up, as `setting` says.
    pub(crate) fn client_timeout(after: Duration, setting: &str) -> Self {
        let message = format!("the client did not send its request within {after:?} ({setting})");
        Self::new(FailureKind::ClientTimeout, message)
    }

    /// The response did not end in time.
    pub(crate) fn response_timeout(after: Duration) -> Self {
        let message = format!("the response did not end within {after:?} (http.response-timeout)");
        Self::new(FailureKind::Timeout, message)
    }

    /// The response did not end in time, because the client did not take it.
    pub(crate) fn response_not_taken(after: Duration) -> Self {
        let message =
            format!("the client did not take its response within {after:?} (http.response-timeout)");
        Self::new(FailureKind::ClientTookTooLong, message)
    }

    /// The client did not send on for so long while the guest waited for the request's body, and others were refused
    /// for want of the place.
    pub(crate) fn client_stalled(after: Duration) -> Self {
        let message = format!(
            "the client did not send on for {after:?}, and others were refused a place (http.max-in-flight, \
             http.max-in-flight-per-peer)"
        );
        Self::new(FailureKind::ClientTimeout, message)
    }

    /// The client did not send on for so long while the guest waited for the request's body.
    pub(crate) fn client_idle(after: Duration) -> Self {
        let message = format!("the client did not send on for {after:?} (http.idle-timeout)");
        Self::new(FailureKind::ClientTimeout, message)
    }

    /// Another request of the same instance failed for `reason`, and took the instance with it. What that one said of it
    /// stays on its own span; the stack is told where nobody knows whose it is.
    /// `is_innocent`: see [`FailureKind::WorkerFailed`].
    pub(crate) fn worker_failed(reason: &FailureKind, stacktrace: Option<String>, is_innocent: bool) -> Self {
        let message = format!("another request of the instance failed: {}", reason.error_type_after_head());
        Self::traced(FailureKind::WorkerFailed { is_innocent }, message, stacktrace)
    }

    pub(crate) fn overloaded(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Overloaded, message)
    }

    /// Whether nothing but a trap of another request in the same instance failed the request.
    pub(crate) fn is_neighbours(&self) -> bool {
        matches!(self.kind, FailureKind::WorkerFailed { is_innocent: true })
    }

    /// Whether the request was shed.
    pub(crate) fn is_overloaded(&self) -> bool {
        matches!(self.kind, FailureKind::Overloaded)
    }

    /// Whether the request was refused before any work was done for it, as there are too many of them.
    pub(crate) fn is_turned_away(&self) -> bool {
        matches!(self.kind, FailureKind::Overloaded | FailureKind::RateLimited { .. })
    }

    /// Whether all that is known of it is what the guest's runtime reports.
    pub(crate) fn is_reported(&self) -> bool {
        self.exception_type.is_some()
            && matches!(self.kind, FailureKind::Exception | FailureKind::OutOfMemory)
    }

    pub(crate) fn client_disconnected() -> Self {
        Self::new(FailureKind::ClientDisconnected, "the client went away before the response was complete")
    }

    pub(crate) fn draining() -> Self {
        let message = "the server stopped before the response was complete (http.grace-period)";
        Self::new(FailureKind::Shutdown, message)
    }

    /// The request body is larger than `limit` bytes.
    pub(crate) fn body_too_large(limit: u64) -> Self {
        let message = format!("the request body is larger than {limit} bytes (http.max-request-body)");
        Self::new(FailureKind::RequestBodyTooLarge, message)
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(FailureKind::BadRequest, message)
    }

    /// The host panicked while it ran the guest.
    pub(crate) fn panicked() -> Self {
        Self::new(FailureKind::Internal, "the host panicked while it ran the guest")
    }

    /// The failure as an `exception` event of a span; none where a span that got the status has not failed.
    pub(crate) fn exception(&self) -> Option<Exception> {
        (!self.kind.is_refusal()).then(|| Exception {
            kind: self.exception_type.clone().unwrap_or_else(|| self.kind.error_type_after_head().to_owned()),
            message: self.message.clone(),
            stacktrace: self.stacktrace.clone(),
            attributes: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
