//! From what wasmtime reports to what the client, the span and the operator are told.

use std::fmt::Write as _;

use wasmtime::{FrameSymbol, PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::host::{Failure, FailureKind, HeldTooMuch, HostState, MAX_HELD, Refused, Trace};

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
            code => Failure::new(FailureKind::Exit, format!("the guest exited with status {code}")),
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
            Refused::Total | Refused::Share => {
                let message = if refused == Refused::Share { SHARE_REACHED } else { TOTAL_REACHED };
                if !culprit.is_some_and(|culprit| culprit.is_answered()) {
                    return Failure::overloaded(message);
                }
                message.to_owned()
            }
        };
        return Failure::traced(FailureKind::OutOfMemory, message, backtrace);
    }
    match trap {
        // What a handler of 0.2 does by returning without one.
        Some(Trap::NoAsyncResult) => {
            Failure::new(FailureKind::NoResponse, "the handler ended without a response")
        }
        Some(trap) => {
            // A panic ends in this trap, which says nothing of it.
            let is_panic = trap == Trap::UnreachableCodeReached;
            let said = culprit.filter(|_| is_panic).and_then(|culprit| state.panic_of(&culprit.span));
            let message = said.unwrap_or_else(|| trap.to_string());
            Failure::traced(FailureKind::Trap(trap), message, backtrace)
        }
        // An error of a host function: what it says is for the guest's author.
        None => Failure::traced(FailureKind::HostError, error.root_cause().to_string(), backtrace),
    }
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
