//! From what wasmtime reports to what the client, the span and the operator are told.

use std::fmt::Write as _;

use wasmtime::{FrameSymbol, PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::config::ByteSize;
use crate::host::{
    End, Failure, FailureKind, HeldTooMuch, HostState, MAX_HELD, Raised, Refused, Trace, WriteTooLarge,
};

/// Bytes of a stack trace that go on a span; further frames are left out.
const MAX_STACKTRACE: usize = 8 * 1024;

/// Why a request is shed for want of memory.
pub(super) const TOTAL_REACHED: &str = "all guests together reached guest.max-total-memory";

/// Why a client's requests are shed for want of memory, while there is some for others.
pub(super) const SHARE_REACHED: &str = "the guests that work for this client hold all that they may of guest.max-total-memory \
                                        (its share is that of http.max-in-flight-per-peer)";

/// Why a request is shed for want of an instance, while there are some for other components.
pub(super) const SLOTS_REACHED: &str =
    "the component has all the instances that it may have, and the other slots are kept for other components";

/// Whether the guest left of its own accord, without a complaint: after its answer that is no failure.
pub(super) fn exited_well(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref::<I32Exit>(), Some(I32Exit(0)))
}

/// Whether a task ended without its result; by then the engine has let go of it.
pub(super) fn is_missing_result(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref::<Trap>(), Some(Trap::NoAsyncResult))
}

/// Classifies the error that ended a guest's work for `culprit`, or nobody knows whom, in a store of this state.
pub(super) fn classify(error: &wasmtime::Error, state: &HostState, culprit: Option<&Trace>) -> Failure {
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return Failure::overloaded("every instance slot is taken");
    }
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return match code {
            0 => Failure::new(FailureKind::NoResponse, "the guest exited before it answered"),
            code => {
                let said = culprit.and_then(|culprit| state.last_words(&culprit.span, End::Exit));
                Failure::said(FailureKind::Exit, said, format!("the guest exited with status {code}"), None)
            }
        };
    }
    let backtrace = error.downcast_ref::<WasmBacktrace>().map(stacktrace);
    let trap = error.downcast_ref::<Trap>().copied();
    // A panic ends in this trap, which says nothing of it.
    let is_panic = trap == Some(Trap::UnreachableCodeReached);
    let said = culprit.filter(|_| is_panic).and_then(|culprit| state.last_words(&culprit.span, End::Trap));
    let held_too_much = error.downcast_ref::<HeldTooMuch>().map(|HeldTooMuch(refused)| *refused);
    if let Some(refused) = held_too_much.or_else(|| state.refused(culprit)) {
        return out_of_memory(refused, state, culprit, said, backtrace);
    }
    match trap {
        // What a handler of 0.2 does by returning without one.
        Some(Trap::NoAsyncResult) => {
            Failure::new(FailureKind::NoResponse, "the handler ended without a response")
        }
        Some(trap) => Failure::said(FailureKind::Trap(trap), said, trap.to_string(), backtrace),
        None if error.downcast_ref::<WriteTooLarge>().is_some() => {
            Failure::traced(FailureKind::WriteTooLarge, error.root_cause().to_string(), backtrace)
        }
        // An error of a host function: what it says is for the guest's author.
        None => Failure::traced(FailureKind::HostError, error.root_cause().to_string(), backtrace),
    }
}

/// The failure of a guest that returned and left the response of `culprit` unfinished, or gave none: what its runtime
/// reported, if that explains it.
pub(super) fn classify_return(state: &HostState, culprit: &Trace) -> Option<Failure> {
    let said = state.last_words(&culprit.span, End::Return);
    if !culprit.is_answered() {
        let message = "the handler returned without a response";
        return Some(Failure::said(FailureKind::NoResponse, said, message, None));
    }
    let said = said?;
    Some(match state.refused(Some(culprit)) {
        Some(refused) => out_of_memory(refused, state, Some(culprit), Some(said), None),
        None => Failure::said(FailureKind::Exception, Some(said), "", None),
    })
}

/// The failure of a guest that could not do with the memory that it was refused.
fn out_of_memory(
    refused: Refused,
    state: &HostState,
    culprit: Option<&Trace>,
    said: Option<Raised>,
    backtrace: Option<String>,
) -> Failure {
    let message = match refused {
        Refused::Instance => {
            format!("the guest needs more than {} of memory (guest.max-memory)", ByteSize(state.limits.max()))
        }
        Refused::Host => format!(
            "the host keeps more than {} for the guest: header fields, bodies, calls, streams, tasks",
            ByteSize(MAX_HELD)
        ),
        // It is not this guest's fault, and the client may try again.
        Refused::Total | Refused::Share => {
            let message = if refused == Refused::Share { SHARE_REACHED } else { TOTAL_REACHED };
            if !culprit.is_some_and(|culprit| culprit.is_answered()) {
                return Failure::overloaded(message);
            }
            message.to_owned()
        }
    };
    // A panic for want of memory says less than the host knows.
    let said = said.filter(|said| said.kind.is_some());
    Failure::said(FailureKind::OutOfMemory, said, message, backtrace)
}

/// The failure to make an instance in a store of this state.
pub(super) fn classify_instantiation(error: &wasmtime::Error, state: Option<&HostState>) -> Failure {
    match state {
        Some(state) if state.limits.refused() == Some(Refused::Total) => Failure::overloaded(TOTAL_REACHED),
        Some(state) => classify(error, state, None),
        None => Failure::new(FailureKind::Internal, format!("no store: {error:#}")),
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
