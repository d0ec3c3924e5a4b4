//! The outcome of a request: all that is not known when its head has been read, behind one lock until the end.
//!
//! Status code, sizes, phases and everything under `pounce.` are what the host saw; what a guest says of them is left out.
//! Which `error.type` counts is decided here, by [`Outcome::error_type`], for all who tell of the request.

use super::headers::CapturedHeaders;
use super::output::Output;
use super::tail::Tail;
use crate::counters::LeftOut;
use crate::limits::MAX_NAME;
use crate::settings::Semconv;
use crate::spans::annotations::Annotations;
use crate::value::{Status, shortened};
use http::StatusCode;
use pounce_otlp::wire::Code;
use std::time::Duration;

/// What became of a request so far.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The request is over; what is written from now on has no effect.
    pub(super) ended: bool,
    /// Status of the response head that was sent.
    pub(crate) status: Option<StatusCode>,
    /// Time from the start to that head, where spans tell it.
    pub(super) head: Option<Duration>,
    /// Response headers that the operator wants on spans.
    pub(super) response_headers: CapturedHeaders,
    /// Bytes of the request's body, where it has come whole and its head announced no length.
    pub(crate) body_size: BodySize,
    pub(super) failure: Option<Failure>,
    pub(super) phases: Phases,
    /// Its first attempt failed through no fault of its own, and it was served once more.
    pub(super) retried: bool,
    pub(crate) route: Option<Box<str>>,
    /// `error.type` as the guest gave it.
    pub(super) guest_error_type: Option<Box<str>>,
    /// What the guest says on the request's span.
    pub(crate) annotations: Annotations,
    /// Bytes left for annotations.
    pub(super) room: usize,
    /// What becomes of the spans of a request that was not sampled.
    pub(super) tail: Tail,
    /// What limits left out of the spans of such a request, to be counted if they are exported.
    pub(super) left_out: LeftOut,
    /// The request's span was lost at its end, for want of room in the buffers.
    pub(super) is_lost: bool,
    /// What its guest wrote, where a developer may want to see it.
    pub(super) output: Option<Box<Output>>,
}

/// How large a request's body was whose head announced no length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BodySize {
    /// It has not come whole.
    #[default]
    Unknown,
    /// There was none.
    NoBody,
    /// Bytes of a body that has come whole.
    Known(u64),
}

/// Why the host failed or refused a request.
pub(super) struct Failure {
    pub(super) error_type: Box<str>,
    /// Description of the status Error; `None` where the client made the mistake, for which a server's span is not Error.
    pub(super) message: Option<Box<str>>,
}

/// How an invocation went, as far as it is known; what is `None` is not recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Phases {
    /// The instance had served requests before.
    pub reused: Option<bool>,
    /// Time before a guest took the request.
    pub queue: Option<Duration>,
    /// Time to instantiate the component.
    pub instantiate: Option<Duration>,
    /// Processor time the guest spent.
    pub cpu: Option<Duration>,
    /// Most linear memory the guest held, in bytes.
    pub memory_peak: Option<u64>,
}

impl Phases {
    /// Takes over what `more` knows.
    pub(super) fn add(&mut self, more: Phases) {
        self.reused = more.reused.or(self.reused);
        self.queue = more.queue.or(self.queue);
        self.instantiate = more.instantiate.or(self.instantiate);
        self.cpu = more.cpu.or(self.cpu);
        self.memory_peak = more.memory_peak.or(self.memory_peak);
    }
}

impl Outcome {
    /// `error.type` of the request, for its span, its metrics and its line in the access log alike: why the host failed
    /// or refused it; else what the guest gave, which says more than a code; else the code of a 5xx response.
    pub(crate) fn error_type(&self) -> Option<&str> {
        let of_host = self.failure.as_ref().map(|failure| &*failure.error_type);
        let code = || self.status.as_ref().filter(|status| status.is_server_error()).map(StatusCode::as_str);
        of_host.or(self.guest_error_type.as_deref()).or_else(code)
    }

    /// Status of the request's span in `profile`, with its description. The host's Error stands above a guest's Ok, and
    /// below a guest's Error.
    pub(super) fn span_status(&self, profile: Semconv) -> Option<(Code, &str)> {
        let failed = self.failure.as_ref().and_then(|failure| failure.message.as_deref());
        match (&self.annotations.status, failed) {
            (Status::Error(message), _) => Some((Code::Error, message)),
            (_, Some(message)) => Some((Code::Error, message)),
            // The code says it: no description.
            _ if self.status.is_some_and(|status| status.is_server_error()) => Some((Code::Error, "")),
            (Status::Ok, None) => Some((Code::Ok, "")),
            (Status::Unset, None)
                if profile == Semconv::Compat && self.status.is_some_and(|status| status.as_u16() < 500) =>
            {
                Some((Code::Ok, ""))
            }
            (Status::Unset, None) => None,
        }
    }

    /// Whether the request's span has the status Error.
    pub(super) fn has_failed(&self, profile: Semconv) -> bool {
        matches!(self.span_status(profile), Some((Code::Error, _)))
    }

    /// The host failed the request, or refused it for a mistake of its client's (no `message`); the first reason stays.
    pub(super) fn fail(&mut self, error_type: &str, message: Option<&str>) {
        self.failure.get_or_insert_with(|| Failure {
            error_type: shortened(error_type, MAX_NAME).into(),
            message: message.map(Into::into),
        });
    }

    /// Sets the route; false for an empty one, which is none.
    pub(super) fn set_route(&mut self, route: &str) -> bool {
        if !route.is_empty() {
            self.route = Some(shortened(route, MAX_NAME).into());
        }
        !route.is_empty()
    }

    /// Takes the `error.type` that the guest gives.
    pub(super) fn set_guest_error_type(&mut self, error_type: &str) {
        self.guest_error_type = Some(shortened(error_type, MAX_NAME).into());
    }

    /// Whether the guest gave an `error.type` that is not the one that counts.
    pub(super) fn overrules_guest(&self) -> bool {
        let of_guest = self.guest_error_type.as_deref();
        of_guest.is_some() && of_guest != self.error_type()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of three possible error types counts, for every way to end.
    #[test]
    fn one_rule_says_which_error_type_counts() {
        for (of_host, of_guest, status, expected) in [
            (None, None, None, None),
            (None, None, Some(200), None),
            (None, None, Some(404), None),
            (None, None, Some(500), Some("500")),
            (None, None, Some(599), Some("599")),
            (None, None, Some(600), None),
            (None, Some("mine"), None, Some("mine")),
            (None, Some("mine"), Some(200), Some("mine")),
            (None, Some("mine"), Some(503), Some("mine")),
            (Some("timeout"), None, None, Some("timeout")),
            (Some("timeout"), None, Some(504), Some("timeout")),
            (Some("timeout"), Some("mine"), Some(504), Some("timeout")),
        ] {
            let mut outcome =
                Outcome { status: status.map(|code| code.try_into().unwrap()), ..Outcome::default() };
            of_guest.into_iter().for_each(|error_type| outcome.set_guest_error_type(error_type));
            of_host.into_iter().for_each(|error_type| outcome.fail(error_type, Some("")));
            assert_eq!(outcome.error_type(), expected, "{of_host:?} {of_guest:?} {status:?}");
            assert_eq!(outcome.overrules_guest(), of_host.is_some() && of_guest.is_some());
            outcome.fail("later", None);
            let first = of_host.unwrap_or("later");
            assert_eq!(outcome.error_type(), Some(first), "the first reason stays");
        }
    }
}
