//! What ended a request without the response the guest meant to give: one value that decides the status the client
//! gets, the `error.type` on the span, and who is to blame (DESIGN §2.2).

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::telemetry::Exception;

/// Who is at fault: it decides the level of the log line, and says to an operator where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    Guest,
    Host,
    Client,
}

/// Why a request failed. Cheap to clone and to return: requests that share an instance share its failure.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Arc<Cause>);

/// What there is to know about a [`Failure`].
#[derive(Debug)]
pub(crate) struct Cause {
    /// What the client gets where the response head has not been sent yet.
    pub(crate) status: StatusCode,
    /// `error.type` of the span, snake_case and low in cardinality; `None` where the status says all (413).
    pub(crate) error_type: Option<Cow<'static, str>>,
    pub(crate) blame: Blame,
    /// One sentence for the log; never sent to a client.
    pub(crate) message: String,
    /// `None` where a span that got the status has not failed: a client's mistake is no error of a server's (OpenTelemetry's
    /// conventions for HTTP, on the status of spans).
    pub(crate) exception: Option<Exception>,
}

impl Deref for Failure {
    type Target = Cause;

    fn deref(&self) -> &Cause {
        &self.0
    }
}

impl Cause {
    fn new(status: StatusCode, blame: Blame, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, error_type: None, blame, message, exception: None }
    }

    fn error_type(mut self, error_type: impl Into<Cow<'static, str>>) -> Self {
        self.error_type = Some(error_type.into());
        self
    }

    /// Records the failure on the span as an `exception` event of its own error type, too.
    fn exception(mut self, stacktrace: Option<String>) -> Failure {
        self.exception = Some(Exception {
            kind: self.error_type.as_deref().unwrap_or("error").to_owned(),
            message: self.message.clone(),
            stacktrace,
            attributes: Vec::new(),
        });
        self.done()
    }

    fn done(self) -> Failure {
        Failure(Arc::new(self))
    }
}

/// 500, blamed on the guest.
fn guest(message: impl Into<String>) -> Cause {
    Cause::new(StatusCode::INTERNAL_SERVER_ERROR, Blame::Guest, message)
}

impl Failure {
    /// The guest trapped; `kind` is the trap's name in snake_case.
    pub(crate) fn trap(kind: &str, message: impl Into<String>, stacktrace: Option<String>) -> Self {
        guest(message).error_type(format!("wasm_trap.{kind}")).exception(stacktrace)
    }

    /// The guest was refused memory and trapped for want of it.
    pub(crate) fn out_of_memory(message: impl Into<String>, stacktrace: Option<String>) -> Self {
        guest(message).error_type("out_of_memory").exception(stacktrace)
    }

    /// The handler returned, or the guest exited, without a response.
    pub(crate) fn no_response(message: impl Into<String>) -> Self {
        guest(message).error_type("no_response").exception(None)
    }

    /// The guest answered with a wasi:http error code; `name` is its name in snake_case.
    pub(crate) fn error_code(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Cause::new(status, Blame::Guest, message).error_type(name).exception(None)
    }

    /// The response head did not come in time; `setting` is the one that says in what time.
    pub(crate) fn timeout(after: Duration, setting: &str) -> Self {
        let message = format!("no response head within {after:?} ({setting})");
        Cause::new(StatusCode::GATEWAY_TIMEOUT, Blame::Guest, message).error_type("timeout").exception(None)
    }

    /// The client did not send on while the guest waited for the request's body, and time was up, as `setting` says.
    pub(crate) fn client_timeout(after: Duration, setting: &str) -> Self {
        let message = format!("the client did not send its request within {after:?} ({setting})");
        Cause::new(StatusCode::REQUEST_TIMEOUT, Blame::Client, message)
            .error_type("client_timeout")
            .exception(None)
    }

    /// The response did not end in time.
    pub(crate) fn response_timeout(after: Duration) -> Self {
        let message = format!("the response did not end within {after:?} (http.response-timeout)");
        Cause::new(StatusCode::GATEWAY_TIMEOUT, Blame::Guest, message).error_type("timeout").exception(None)
    }

    /// The response did not end in time, because the client did not take it.
    pub(crate) fn response_not_taken(after: Duration) -> Self {
        let message =
            format!("the client did not take its response within {after:?} (http.response-timeout)");
        Cause::new(StatusCode::REQUEST_TIMEOUT, Blame::Client, message).error_type("timeout").exception(None)
    }

    /// The client did not send on for so long while the guest waited for the request's body, and others were refused
    /// for want of the place.
    pub(crate) fn client_stalled(after: Duration) -> Self {
        let message = format!(
            "the client did not send on for {after:?}, and others were refused a place (http.max-in-flight, \
             http.max-in-flight-per-peer)"
        );
        Cause::new(StatusCode::REQUEST_TIMEOUT, Blame::Client, message)
            .error_type("client_timeout")
            .exception(None)
    }

    /// Another request of the same instance failed, of the error type `kind`, and took the instance with it. What that
    /// one said of it stays on its own span; the stack is told where nobody knows whose it is.
    pub(crate) fn worker_failed(kind: &str, stacktrace: Option<String>) -> Self {
        guest(format!("another request of the instance failed: {kind}"))
            .error_type("worker_failed")
            .exception(stacktrace)
    }

    /// Where the guest was when it failed.
    pub(crate) fn stacktrace(&self) -> Option<String> {
        self.exception.as_ref()?.stacktrace.clone()
    }

    /// No room: too many requests in flight, no free instance slot, or too much guest memory in use.
    pub(crate) fn overloaded(message: impl Into<String>) -> Self {
        Cause::new(StatusCode::SERVICE_UNAVAILABLE, Blame::Host, message)
            .error_type("overloaded")
            .exception(None)
    }

    /// Whether the request was shed.
    pub(crate) fn is_overloaded(&self) -> bool {
        self.error_type.as_deref() == Some("overloaded")
    }

    /// The peer closed the connection or reset the stream before the end of the response. Nobody gets the status.
    pub(crate) fn client_disconnected() -> Self {
        let message = "the client went away before the response was complete";
        Cause::new(StatusCode::BAD_REQUEST, Blame::Client, message)
            .error_type("client_disconnected")
            .exception(None)
    }

    /// The drain's grace period ended first.
    pub(crate) fn draining() -> Self {
        let message = "the server stopped before the response was complete (http.grace-period)";
        Cause::new(StatusCode::SERVICE_UNAVAILABLE, Blame::Host, message)
            .error_type("shutdown")
            .exception(None)
    }

    /// The request body is larger than `http.max-request-body`.
    pub(crate) fn body_too_large(limit: u64) -> Self {
        let message = format!("the request body is larger than {limit} bytes (http.max-request-body)");
        Cause::new(StatusCode::PAYLOAD_TOO_LARGE, Blame::Client, message).done()
    }

    /// The request's head is larger than `http.max-header-size`, or has more lines than `http.max-headers`.
    pub(crate) fn head_too_large(message: impl Into<String>) -> Self {
        Cause::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Blame::Client, message).done()
    }

    /// The request's target alone is larger than a whole head may be (RFC 9112 §3).
    pub(crate) fn target_too_long(message: impl Into<String>) -> Self {
        Cause::new(StatusCode::URI_TOO_LONG, Blame::Client, message).done()
    }

    /// The request is malformed, its head or its body.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Cause::new(StatusCode::BAD_REQUEST, Blame::Client, message).error_type("bad_request").done()
    }

    /// An `Expect` with something else than `100-continue`.
    pub(crate) fn expectation_failed(expected: &str) -> Self {
        let message = format!("the request expects {expected:?}; only 100-continue can be met");
        Cause::new(StatusCode::EXPECTATION_FAILED, Blame::Client, message).done()
    }

    /// A method or protocol that wasi:http cannot express.
    pub(crate) fn not_implemented(message: impl Into<String>) -> Self {
        Cause::new(StatusCode::NOT_IMPLEMENTED, Blame::Client, message).done()
    }

    /// A fault of ours: a panic, or an error that no guest can cause.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Cause::new(StatusCode::INTERNAL_SERVER_ERROR, Blame::Host, message)
            .error_type("internal")
            .exception(None)
    }
}
