//! Panics of Rust and Go. Runtimes that are written in Rust panic as well, and quote the exception that made them.

use super::{Raised, python, quoted};

/// How componentize-py says that it has printed a traceback.
const AFTER_TRACEBACK: &str = "Python function threw an unexpected exception";
/// How rquickjs prints an exception, `Debug` of it.
const OF_QUICKJS: &str = "Exception { message: Some(";
/// How pyo3 prints one.
const OF_PYTHON: &str = "PyErr { type: <class '";
/// How the stack of a Go panic begins.
const OF_GO: &str = "goroutine ";

/// Whether a panic begins with this line.
pub(super) fn begins(line: &str) -> bool {
    line.starts_with("thread '") && line.contains(" panicked at ") || line.starts_with("panic: ")
}

/// What is told by the text of a panic, before which there was this traceback.
pub(super) fn read(text: &str, traceback: Option<&str>) -> Raised {
    let after = |begin: &str| text.find(begin).map(|at| (at, &text[at + begin.len()..]));
    let raised = match (traceback, after(OF_PYTHON), after(OF_QUICKJS)) {
        // A line of its own: an exception that is quoted may tell of another runtime's.
        (Some(traceback), ..) if text.lines().any(|line| line.starts_with(AFTER_TRACEBACK)) => {
            python::read(traceback)
        }
        // The message of either may quote the other.
        (_, Some((at, quoted)), other) if other.is_none_or(|(other, _)| at < other) => python::quoted(quoted),
        (_, _, Some((_, quoted))) => of_quickjs(quoted),
        (_, None | Some(_), None) => of_go(text),
    };
    raised.unwrap_or_else(|| {
        let said: Vec<_> =
            text.lines().filter(|line| !line.starts_with("note: ") && !line.is_empty()).collect();
        Raised::new(None, &said.join("\n"), None)
    })
}

/// The exception that rquickjs quotes, after `Exception { message: Some(`. It prints no type.
fn of_quickjs(source: &str) -> Option<Raised> {
    let (message, rest) = quoted::read(source)?;
    const STACK: &str = "stack: Some(";
    let stack = rest.find(STACK).and_then(|at| quoted::read(&rest[at + STACK.len()..]));
    let stack: Option<Vec<_>> = stack.as_ref().map(|(stack, _)| stack.lines().map(str::trim).collect());
    Some(Raised::new(Some("Error"), &message, stack.map(|lines| lines.join("\n")).as_deref()))
}

/// What is told by the text of a Go panic.
pub(super) fn of_go(text: &str) -> Option<Raised> {
    let said = text.strip_prefix("panic: ")?;
    let (message, stack) = match said.find(OF_GO) {
        Some(at) => (&said[..at], Some(&said[at..])),
        None => (said, None),
    };
    Some(Raised::new(Some("panic"), message, stack))
}
