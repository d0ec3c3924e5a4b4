//! From what wasmtime reports to what the client, the span and the operator are told.

use std::fmt::Write as _;

use http::StatusCode;
use wasmtime::{FrameSymbol, PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi_http::Error as HttpError;

use crate::host::{self, Failure, HeldTooMuch, HostState, MAX_HELD, Refused, RequestScope};

/// Bytes of a stack trace that go on a span; further frames are left out.
const MAX_STACKTRACE: usize = 8 * 1024;

/// Why a request is shed for want of memory.
pub(super) const TOTAL_REACHED: &str = "all guests together reached guest.max-total-memory";

/// Whether the guest left of its own accord, without a complaint: after its answer that is no failure.
pub(super) fn exited_well(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref::<I32Exit>(), Some(I32Exit(0)))
}

/// Whether a task ended without its result; by then the engine has let go of it.
pub(super) fn is_missing_result(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref::<Trap>(), Some(Trap::NoAsyncResult))
}

/// Classifies the error that ended a guest's work for `culprit`, or nobody knows whom, in a store of this state.
pub(super) fn classify(
    error: &wasmtime::Error,
    state: &HostState,
    culprit: Option<&RequestScope>,
) -> Failure {
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return Failure::overloaded("every instance slot is taken");
    }
    // The worker loop of 0.3 catches our panics, and says no more than this.
    if error.to_string() == "worker panicked" {
        return Failure::internal("the host panicked while it ran the guest");
    }
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return match code {
            0 => Failure::no_response("the guest exited before it answered"),
            code => Failure::trap("exit", format!("the guest exited with status {code}"), None),
        };
    }
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(stacktrace);
    let trap = error.downcast_ref::<Trap>().copied();
    let held_too_much = error.downcast_ref::<HeldTooMuch>().map(|HeldTooMuch(refused)| *refused);
    if let Some(refused) = held_too_much.or_else(|| state.refused(culprit)) {
        let message = match refused {
            Refused::Instance => {
                format!("the guest needs more than {} bytes of memory (guest.max-memory)", state.limits.max())
            }
            Refused::Host => format!(
                "the host keeps more than {MAX_HELD} bytes for the guest: header fields, bodies, calls, streams, tasks"
            ),
            // It is not this guest's fault, and the client may try again.
            Refused::Total if !culprit.is_some_and(RequestScope::is_answered) => {
                return Failure::overloaded(TOTAL_REACHED);
            }
            Refused::Total => TOTAL_REACHED.to_owned(),
        };
        return Failure::out_of_memory(message, backtrace);
    }
    match trap {
        // What a handler of 0.2 does by returning without one.
        Some(Trap::NoAsyncResult) => Failure::no_response("the handler ended without a response"),
        Some(trap) => {
            // A panic ends in this trap, which says nothing of it.
            let is_panic = trap == Trap::UnreachableCodeReached;
            let said = culprit.filter(|_| is_panic).and_then(|culprit| state.panic_of(culprit.span()));
            Failure::trap(kind(trap), said.unwrap_or_else(|| trap.to_string()), backtrace)
        }
        // An error of a host function: what it says is for the guest's author.
        None => Failure::trap("host_error", error.root_cause().to_string(), backtrace),
    }
}

/// The failure to make an instance in a store of this state.
pub(super) fn classify_instantiation(error: &wasmtime::Error, state: Option<&HostState>) -> Failure {
    match state {
        Some(state) if state.limits.refused() == Some(Refused::Total) => Failure::overloaded(TOTAL_REACHED),
        Some(state) => classify(error, state, None),
        None => Failure::internal(format!("no store: {error:#}")),
    }
}

/// The name of a trap in `error.type` and `exception.type`.
fn kind(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "stack_overflow",
        Trap::MemoryOutOfBounds => "out_of_bounds",
        Trap::TableOutOfBounds => "table_out_of_bounds",
        Trap::IndirectCallToNull => "indirect_call_to_null",
        Trap::BadSignature => "bad_signature",
        Trap::IntegerOverflow => "integer_overflow",
        Trap::IntegerDivisionByZero => "integer_divide_by_zero",
        Trap::BadConversionToInteger => "bad_conversion_to_integer",
        Trap::UnreachableCodeReached => "unreachable",
        Trap::HeapMisaligned => "unaligned_atomic",
        Trap::NullReference => "null_reference",
        Trap::AllocationTooLarge => "allocation_too_large",
        Trap::Interrupt => "interrupt",
        // The component model's own rules: a re-entered instance, a misused handle.
        _ => "component_model",
    }
}

/// A wasm backtrace, innermost frame first, names demangled, with file and line where the component has DWARF.
fn stacktrace(backtrace: &WasmBacktrace) -> String {
    let mut out = String::new();
    for (number, frame) in backtrace.frames().iter().enumerate() {
        let before = out.len();
        let demangled = |name: &str| format!("{:#}", rustc_demangle::demangle(name));
        let function = frame.func_name().map(demangled);
        let function = function.unwrap_or_else(|| format!("<wasm function {}>", frame.func_index()));
        // With DWARF a frame has a symbol for each function inlined into it, innermost first; the last is its own.
        let symbols = frame.symbols();
        let inlined = symbols.len().saturating_sub(1);
        _ = write!(out, "{number:>3}: "); // writing to a String cannot fail
        for symbol in &symbols[..inlined] {
            let name = symbol.name().map_or_else(|| "<unknown>".to_owned(), demangled);
            _ = writeln!(out, "{name} (inlined)");
            at(symbol, &mut out);
            out.push_str("     ");
        }
        out.push_str(&function);
        if let Some(offset) = frame.module_offset() {
            _ = write!(out, " @ {offset:#x}");
        }
        out.push('\n');
        if let Some(symbol) = symbols.last() {
            at(symbol, &mut out);
        }
        if out.len() > MAX_STACKTRACE {
            out.truncate(before);
            break;
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Where in the source, if that is known.
fn at(symbol: &FrameSymbol, out: &mut String) {
    if let (Some(file), Some(line)) = (symbol.file(), symbol.line()) {
        _ = writeln!(out, "       at {file}:{line}");
    }
}

/// A guest that answers with a wasi:http error code: DESIGN §2.2 gives 502 and 504 where the code says so.
pub(super) fn error_code(error: &HttpError) -> Failure {
    let name = host::error_type(error);
    let status = match error {
        HttpError::DnsTimeout
        | HttpError::ConnectionTimeout
        | HttpError::ConnectionReadTimeout
        | HttpError::ConnectionWriteTimeout
        | HttpError::HttpResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
        HttpError::DnsError { .. }
        | HttpError::DestinationNotFound
        | HttpError::DestinationUnavailable
        | HttpError::DestinationIpUnroutable
        | HttpError::ConnectionRefused
        | HttpError::ConnectionTerminated
        | HttpError::TlsProtocolError
        | HttpError::TlsCertificateError
        | HttpError::TlsAlertReceived { .. }
        | HttpError::HttpResponseIncomplete
        | HttpError::HttpProtocolError
        | HttpError::HttpUpgradeFailed => StatusCode::BAD_GATEWAY,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Failure::error_code(status, name, format!("the guest answered with the error code {name}: {error}"))
}
