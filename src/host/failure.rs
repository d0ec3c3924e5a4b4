//! What ended a request without the response the guest meant to give: one value that decides the status the client
//! gets, the `error.type` on the span, and who is to blame (DESIGN §2.2).

use std::borrow::Cow;

use http::StatusCode;

use crate::telemetry::Exception;

/// Who is at fault: it decides the level of the log line, and says to an operator where to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    Guest,
    Host,
    Client,
}

/// Why a request failed. Cheap to clone: requests that share an instance share the failure of it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// What the client gets where the response head has not been sent yet.
    pub(crate) status: StatusCode,
    /// `error.type` of the span, snake_case and low in cardinality. `None` where the status says all (413).
    pub(crate) error_type: Option<Cow<'static, str>>,
    pub(crate) blame: Blame,
    /// One sentence for the log and the exception event; never sent to a client.
    pub(crate) message: String,
    pub(crate) exception: Option<Exception>,
}

impl Failure {
    fn new(status: StatusCode, error_type: &'static str, blame: Blame, message: impl Into<String>) -> Self {
        Self { status, error_type: Some(Cow::Borrowed(error_type)), blame, message: message.into(), exception: None }
    }

    /// The guest trapped; `kind` is the trap's name in snake_case.
    pub(crate) fn trap(kind: &'static str, message: impl Into<String>, stacktrace: Option<String>) -> Self {
        let error_type: Cow<'static, str> = format!("wasm_trap.{kind}").into();
        let message = message.into();
        let exception = Exception {
            kind: error_type.clone().into_owned(),
            message: message.clone(),
            stacktrace,
            attributes: Vec::new(),
        };
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error_type: Some(error_type),
            blame: Blame::Guest,
            message,
            exception: Some(exception),
        }
    }

    /// The same failure as an `exception` event under the failure's own name, with the backtrace of `from`.
    fn with_exception(mut self, stacktrace: Option<String>) -> Self {
        self.exception = Some(Exception {
            kind: self.error_type.clone().unwrap_or(Cow::Borrowed("error")).into_owned(),
            message: self.message.clone(),
            stacktrace,
            attributes: Vec::new(),
        });
        self
    }

    /// The guest was refused memory and trapped for want of it.
    pub(crate) fn out_of_memory(message: impl Into<String>, stacktrace: Option<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "out_of_memory", Blame::Guest, message).with_exception(stacktrace)
    }

    /// The handler returned, or the guest exited, without a response.
    pub(crate) fn no_response(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "no_response", Blame::Guest, message).with_exception(None)
    }

    /// The guest answered with a wasi:http error code; `name` is its name in snake_case.
    pub(crate) fn error_code(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, name, Blame::Guest, message).with_exception(None)
    }

    /// The response head did not come in time.
    pub(crate) fn timeout(after: std::time::Duration) -> Self {
        let message = format!("no response head within {after:?} (http.request-timeout)");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", Blame::Guest, message).with_exception(None)
    }

    /// Another request of the same instance trapped and took the instance with it.
    pub(crate) fn worker_failed(cause: &Failure) -> Self {
        let message = format!("the instance failed while it served several requests: {}", cause.message);
        let stacktrace = cause.exception.as_ref().and_then(|e| e.stacktrace.clone());
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "worker_failed", Blame::Guest, message).with_exception(stacktrace)
    }

    /// No room: too many requests in flight, no free instance slot, or too much guest memory in use.
    pub(crate) fn overloaded(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", Blame::Host, message)
    }

    /// The peer closed the connection or reset the stream before the end of the response.
    pub(crate) fn client_disconnected() -> Self {
        // No response is sent; 499 would be an invention, so the span carries no status of ours.
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "client_disconnected",
            Blame::Client,
            "the client went away before the response was complete",
        )
    }

    /// The drain's grace period ended first.
    pub(crate) fn draining() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "shutdown",
            Blame::Host,
            "the server stopped before the response was complete (http.grace-period)",
        )
    }

    /// The request body is larger than `http.max-request-body`.
    pub(crate) fn body_too_large(limit: u64) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            error_type: None,
            blame: Blame::Client,
            message: format!("the request body is larger than {limit} bytes (http.max-request-body)"),
            exception: None,
        }
    }

    /// The request cannot be put to a guest.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error_type: None,
            blame: Blame::Client,
            message: message.into(),
            exception: None,
        }
    }

    /// A method or protocol that wasi:http cannot express.
    pub(crate) fn not_implemented(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_IMPLEMENTED,
            error_type: None,
            blame: Blame::Client,
            message: message.into(),
            exception: None,
        }
    }

    /// A fault of ours: a panic, or an error that no guest can cause.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", Blame::Host, message).with_exception(None)
    }
}
