//! Guest stdout and stderr: cut into lines, bounded in length and rate, and logged with the request they belong to; and the
//! last words of a guest that panics.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::guest_log::{GuestLog, MAX_LINE, Stream};
use pounce_telemetry::ServerSpan;

/// What a guest may write in one call.
const WRITE_BUDGET: usize = 64 * 1024;
/// How the message of a panic begins: Rust's and Go's.
const PANICS: [&str; 2] = [" panicked at ", "panic: "];
/// Bytes of such a message that are kept.
const MAX_PANIC: usize = 2048;

/// What the guest of one store writes to both of its streams.
///
/// In a store that serves one request at a time that one writes. In one that serves several, the caller of each write is
/// looked up (`host/output.rs`): guests cache their handles, so the handle says nothing.
pub(crate) struct StoreOutput {
    log: Arc<GuestLog>,
    output: Mutex<Output>,
}

#[derive(Default)]
struct Output {
    /// The request that writes; off where it is not known whose output it is.
    writer: ServerSpan,
    /// The message of a panic of the writer's, as far as it has been written.
    panic: String,
    /// In the order of [`Stream`].
    partials: [Partial; 2],
}

/// A line without its end, and whose it is. All handles that the guest opens share it, so that a line written through two
/// of them stays one line.
#[derive(Default)]
struct Partial {
    line: Vec<u8>,
    span: ServerSpan,
}

impl StoreOutput {
    /// The output of a guest that writes for the request of `writer`.
    pub(super) fn new(log: Arc<GuestLog>, writer: ServerSpan) -> Self {
        Self { log, output: Mutex::new(Output { writer, ..Output::default() }) }
    }

    /// From now on this request writes; off when it is not known whose output it is.
    pub(super) fn set_writer(&self, span: &ServerSpan) {
        let mut output = self.lock();
        if !output.writer.is_same(span) {
            output.writer = span.clone();
            output.panic.clear();
        }
    }

    /// A new request writes, and nothing of an earlier one is left: its last line is told as its own.
    pub(super) fn begin(&self, span: ServerSpan) {
        let mut output = self.lock();
        output.finish_lines(&self.log);
        output.writer = span;
        output.panic.clear();
    }

    /// What `culprit` wrote to stderr when it panicked, as languages that end in a trap do.
    pub(super) fn panic_of(&self, culprit: &ServerSpan) -> Option<String> {
        let mut output = self.lock();
        output.finish_lines(&self.log);
        (!output.panic.is_empty() && output.writer.is_same(culprit)).then(|| output.panic.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output {
    fn push(&mut self, log: &GuestLog, stream: Stream, bytes: &[u8]) {
        let at = stream as usize;
        if !self.partials[at].span.is_same(&self.writer) {
            // Somebody else's line, which nobody will end.
            self.finish_line(log, stream);
            self.partials[at].span = self.writer.clone();
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for piece in piece.chunks(MAX_LINE) {
                let line = &mut self.partials[at].line;
                line.extend_from_slice(piece);
                if line.last() == Some(&b'\n') || line.len() >= MAX_LINE {
                    self.finish_line(log, stream);
                }
            }
        }
    }

    /// Logs what was written without a newline; at the end of a request, so that it is told as that request's.
    fn finish_lines(&mut self, log: &GuestLog) {
        self.finish_line(log, Stream::Stdout);
        self.finish_line(log, Stream::Stderr);
    }

    fn finish_line(&mut self, log: &GuestLog, stream: Stream) {
        let Partial { line, span } = &mut self.partials[stream as usize];
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if !text.is_empty() {
            let text = String::from_utf8_lossy(text);
            // The rest of somebody else's line says nothing of the writer.
            if stream == Stream::Stderr && self.writer.is_same(span) {
                overhear(&mut self.panic, &text);
            }
            log.line(stream, span.context().as_ref(), &text);
        }
        line.clear();
    }
}

/// Looks for the message of a panic, which goes on to the end of what its request writes.
fn overhear(panic: &mut String, line: &str) {
    if PANICS.iter().any(|begins| line.contains(begins)) {
        line.clone_into(panic);
    } else if !panic.is_empty() && !line.starts_with("note: ") && line.len() < MAX_PANIC {
        panic.push('\n');
        panic.push_str(line);
    }
    panic.truncate(panic.floor_char_boundary(MAX_PANIC));
}

/// The guest is gone: what it wrote without a newline, it still said.
impl Drop for StoreOutput {
    fn drop(&mut self) {
        self.output.get_mut().unwrap_or_else(PoisonError::into_inner).finish_lines(&self.log);
    }
}

/// One of the two streams of a store, as the guest opens it.
#[derive(Clone)]
pub(super) struct GuestStream {
    pub(super) store: Arc<StoreOutput>,
    pub(super) stream: Stream,
}

impl GuestStream {
    fn push(&self, bytes: &[u8]) {
        self.store.lock().push(&self.store.log, self.stream, bytes);
    }
}

impl IsTerminal for GuestStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestStream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    // A stream of 0.3 belongs to whoever opens it: what it carries is written later, by the event loop.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        let opener = self.store.lock().writer.clone();
        let store = Arc::new(StoreOutput::new(self.store.log.clone(), opener));
        Box::new(Self { store, stream: self.stream })
    }
}

#[async_trait::async_trait]
impl Pollable for GuestStream {
    async fn ready(&mut self) {}
}

impl OutputStream for GuestStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BUDGET)
    }
}

impl AsyncWrite for GuestStream {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = &bytes[..bytes.len().min(WRITE_BUDGET)];
        self.push(taken);
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
