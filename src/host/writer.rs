//! Who writes to a guest's stdout and stderr, and the last words of one that panics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::telemetry::ServerSpan;

/// How the message of a panic begins: Rust's and Go's.
const PANICS: [&str; 2] = [" panicked at ", "panic: "];
/// Bytes of such a message that are kept.
const MAX_PANIC: usize = 2048;

/// Who writes in a store, and how what it writes may turn out to be its last words.
///
/// In a store that serves one request at a time that one does. In one that serves several, the caller of each write is
/// looked up (`host/output.rs`): guests cache their handles, so the handle says nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer(Arc<Mutex<Writing>>);

#[derive(Debug, Default)]
struct Writing {
    span: ServerSpan,
    /// The message of a panic, as far as it has been written.
    panic: String,
}

impl Writer {
    /// From now on this request writes; none when it is not known whose output it is.
    pub(super) fn set(&self, span: ServerSpan) {
        let mut writing = self.lock();
        if !writing.span.is_same(&span) {
            *writing = Writing { span, panic: String::new() };
        }
    }

    /// A new request writes, and nothing of an earlier one is left.
    pub(super) fn begin(&self, span: ServerSpan) {
        *self.lock() = Writing { span, panic: String::new() };
    }

    pub(super) fn span(&self) -> ServerSpan {
        self.lock().span.clone()
    }

    /// What `culprit` wrote to stderr when it panicked, as languages that end in a trap do.
    pub(super) fn panic_of(&self, culprit: &ServerSpan) -> Option<String> {
        let writing = self.lock();
        (!writing.panic.is_empty() && writing.span.is_same(culprit)).then(|| writing.panic.clone())
    }

    /// Looks for the message of a panic, which goes on to the end of what its request writes.
    pub(super) fn overhear(&self, span: &ServerSpan, line: &str) {
        let mut writing = self.lock();
        if !writing.span.is_same(span) {
            // The rest of somebody else's line.
            return;
        }
        if PANICS.iter().any(|begins| line.contains(begins)) {
            line.clone_into(&mut writing.panic);
        } else if !writing.panic.is_empty() && !line.starts_with("note: ") && line.len() < MAX_PANIC {
            writing.panic.push('\n');
            writing.panic.push_str(line);
        }
        let cut = writing.panic.floor_char_boundary(MAX_PANIC);
        writing.panic.truncate(cut);
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
