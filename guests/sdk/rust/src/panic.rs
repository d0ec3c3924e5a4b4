//! Panics, told to the span that they happen in.

use std::panic::PanicHookInfo;
use std::sync::Once;

use crate::{Exception, Scope, tracing};

/// Has each panic recorded as an exception on the span that is entered when it happens, before the panic ends the
/// guest: `exception.type` is `panic`, `exception.message` what was said, and `code.file.path`, `code.line.number` and
/// `code.column.number` are the place. The hook that was there before runs afterwards, so the panic is printed as well.
///
/// Where no span of the guest's own is entered, nothing is recorded here: the host puts the panic on the request's span
/// by itself, with the guest's backtrace, whether there is a hook or not.
///
/// Call it when a request begins; each call after the first does nothing.
///
/// ```no_run
/// pounce_guest::set_panic_hook();
/// ```
pub fn set_panic_hook() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if Scope::is_any_entered() {
                tracing::current().record_exception(exception(panic));
            }
            before(panic);
        }));
    });
}

fn exception(panic: &PanicHookInfo<'_>) -> Exception {
    let exception = Exception::new("panic", panic.payload_as_str().unwrap_or("a value that is no text"));
    match panic.location() {
        Some(place) => exception
            .attribute("code.file.path", place.file())
            .attribute("code.line.number", place.line())
            .attribute("code.column.number", place.column()),
        None => exception,
    }
}
