//! Guest stdout and stderr: cut into lines, bounded in length and rate, and logged with the request they belong to; what is
//! said of a failure is remembered for who finds that the guest has failed (`host/last_words`).

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::guest_log::{GuestLog, MAX_LINE, Stream};
use super::last_words::{End, LastWords, Raised};
use pounce_telemetry::ServerSpan;

/// What a guest may write in one call.
const WRITE_BUDGET: usize = 64 * 1024;

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
    /// What the writer says of a failure.
    words: LastWords,
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
    pub(super) fn new(log: Arc<GuestLog>, writer: ServerSpan, words: LastWords) -> Self {
        Self { log, output: Mutex::new(Output { writer, words, ..Output::default() }) }
    }

    /// From now on this request writes; off when it is not known whose output it is.
    pub(super) fn set_writer(&self, span: &ServerSpan) {
        let mut output = self.lock();
        if !output.writer.is_same(span) {
            output.end_words(&self.log);
            output.writer = span.clone();
        }
    }

    /// A new request writes, and nothing of an earlier one is left: its last line is told as its own.
    pub(super) fn begin(&self, span: ServerSpan) {
        let mut output = self.lock();
        output.finish(&self.log);
        output.writer = span;
    }

    /// What `culprit` wrote to stderr of its failure, which came to it in this way.
    pub(super) fn last_words(&self, culprit: &ServerSpan, end: End) -> Option<Raised> {
        let mut output = self.lock();
        output.finish_lines(&self.log);
        if output.writer.is_same(culprit) { output.words.of(end) } else { None }
    }

    /// The writer writes no more.
    pub(super) fn finish(&self) {
        self.lock().finish(&self.log);
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

    /// Nothing of what the writer wrote is left to be told.
    fn finish(&mut self, log: &GuestLog) {
        self.finish_lines(log);
        self.end_words(log);
    }

    fn end_words(&mut self, log: &GuestLog) {
        self.words.end(|raised| log.survived(&self.writer, raised));
    }

    /// Logs what was written without a newline; at the end of a request, so that it is told as that request's.
    fn finish_lines(&mut self, log: &GuestLog) {
        self.finish_line(log, Stream::Stdout);
        self.finish_line(log, Stream::Stderr);
    }

    fn finish_line(&mut self, log: &GuestLog, stream: Stream) {
        let Partial { line, span } = &mut self.partials[stream as usize];
        if line.is_empty() {
            return;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text));
        // The rest of somebody else's line says nothing of the writer.
        if stream == Stream::Stderr && self.writer.is_same(span) {
            self.words.hear(&text, |raised| log.survived(&self.writer, raised));
        }
        if !text.is_empty() {
            span.hear(stream == Stream::Stderr, &text);
            log.line(stream, span.context().as_ref(), &text);
        }
        line.clear();
    }
}

/// The guest is gone: what it wrote without a newline, it still said.
impl Drop for StoreOutput {
    fn drop(&mut self) {
        self.output.get_mut().unwrap_or_else(PoisonError::into_inner).finish(&self.log);
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
        let store = Arc::new(StoreOutput::new(self.store.log.clone(), opener, LastWords::default()));
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
