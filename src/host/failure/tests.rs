//! The table of causes.

use super::*;

/// Status, `error.type`, whether the span has failed, and whether `pounce.guest.traps` counts it.
#[test]
fn what_follows_from_each_kind() {
    let code = |code| FailureKind::ErrorCode(code);
    for (kind, status, error_type, blame, fails, is_trap) in [
        (
            FailureKind::Trap(Trap::UnreachableCodeReached),
            500,
            "wasm_trap.unreachable",
            Blame::Guest,
            true,
            true,
        ),
        (
            FailureKind::Trap(Trap::CannotEnterComponent),
            500,
            "wasm_trap.component_model",
            Blame::Guest,
            true,
            true,
        ),
        (FailureKind::Exit, 500, "wasm_trap.exit", Blame::Guest, true, true),
        (FailureKind::HostError, 500, "wasm_trap.host_error", Blame::Guest, true, true),
        (FailureKind::WriteTooLarge, 500, "wasm_trap.write_too_large", Blame::Guest, true, true),
        (FailureKind::Exception, 500, "guest_exception", Blame::Guest, true, true),
        (FailureKind::OutOfMemory, 500, "out_of_memory", Blame::Guest, true, true),
        (FailureKind::NoResponse, 500, "no_response", Blame::Guest, true, true),
        (
            code(HttpError::HttpResponseBodySize(None)),
            500,
            "http_response_body_size",
            Blame::Guest,
            true,
            false,
        ),
        (code(HttpError::ConnectionRefused), 502, "connection_refused", Blame::Guest, true, false),
        (code(HttpError::DnsTimeout), 504, "dns_timeout", Blame::Guest, true, false),
        (FailureKind::InterimStatus, 502, "http_protocol_error", Blame::Guest, true, false),
        (FailureKind::BodyTooLong, 502, "http_response_body_size", Blame::Guest, true, false),
        (FailureKind::BodyUnfinished, 502, "http_response_incomplete", Blame::Guest, true, false),
        (FailureKind::Timeout, 504, "timeout", Blame::Guest, true, true),
        (FailureKind::NotLoaded, 503, "component_unavailable", Blame::Host, true, false),
        (FailureKind::WorkerFailed { is_innocent: true }, 500, "worker_failed", Blame::Guest, true, true),
        (FailureKind::Overloaded, 503, "overloaded", Blame::Host, true, false),
        (FailureKind::Shutdown, 503, "shutdown", Blame::Host, true, false),
        (FailureKind::Internal, 500, "internal", Blame::Host, true, false),
        (FailureKind::ClientTookTooLong, 408, "timeout", Blame::Client, true, false),
        (FailureKind::ClientTimeout, 408, "client_timeout", Blame::Client, true, false),
        (FailureKind::ClientDisconnected, 400, "client_disconnected", Blame::Client, true, false),
        (FailureKind::BadRequest, 400, "bad_request", Blame::Client, false, false),
        (FailureKind::RequestBodyTooLarge, 413, "", Blame::Client, false, false),
        (FailureKind::HeadTooLarge, 431, "", Blame::Client, false, false),
        (FailureKind::TargetTooLong, 414, "", Blame::Client, false, false),
        (FailureKind::ExpectationFailed, 417, "", Blame::Client, false, false),
        (FailureKind::NotImplemented, 501, "", Blame::Client, false, false),
    ] {
        let found = (kind.status().as_u16(), kind.error_type().unwrap_or_default(), kind.blame());
        assert_eq!(found, (status, error_type, blame), "{kind:?}");
        assert_eq!(kind.is_guest_trap(), is_trap, "{kind:?}");
        let failure = Failure::new(kind, "what happened");
        let exception = failure.exception().map(|exception| (exception.kind, exception.message));
        let expected = fails.then(|| (error_type.to_owned(), "what happened".to_owned()));
        assert_eq!(exception, expected, "{failure:?}");
    }
}
