//! Guest stdout and stderr: cut into lines, bounded in length and rate, and logged with the request they belong to.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::guest_log::{GuestLog, MAX_LINE, Stream};
use super::writer::Writer;
use crate::telemetry::ServerSpan;

/// What a guest may write in one call.
const WRITE_BUDGET: usize = 64 * 1024;

/// One of the two streams of a store.
#[derive(Clone)]
pub(crate) struct GuestOutput {
    log: Arc<GuestLog>,
    writer: Writer,
    stream: Stream,
    /// Shared by all handles that the guest opens, so that a line written through two of them stays one line.
    partial: Arc<Mutex<Partial>>,
}

/// A line without its end, and whose it is.
#[derive(Default)]
struct Partial {
    line: Vec<u8>,
    span: ServerSpan,
}

impl GuestOutput {
    pub(crate) fn new(log: Arc<GuestLog>, writer: Writer, stream: Stream) -> Self {
        Self { log, writer, stream, partial: Arc::default() }
    }

    /// Logs what was written without a newline; at the end of a request, so that it is told as that request's.
    pub(crate) fn finish_line(&self) {
        self.emit(&mut self.lock());
    }

    fn push(&self, bytes: &[u8]) {
        let mut partial = self.lock();
        let span = self.writer.span();
        if !partial.span.is_same(&span) {
            // Somebody else's line, which nobody will end.
            self.emit(&mut partial);
            partial.span = span;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for piece in piece.chunks(MAX_LINE) {
                partial.line.extend_from_slice(piece);
                let whole = partial.line.last() == Some(&b'\n');
                if whole || partial.line.len() >= MAX_LINE {
                    self.emit(&mut partial);
                }
            }
        }
    }

    fn emit(&self, partial: &mut Partial) {
        let line = partial.line.strip_suffix(b"\n").unwrap_or(&partial.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            let line = String::from_utf8_lossy(line);
            if self.stream == Stream::Stderr {
                self.writer.overhear(&partial.span, &line);
            }
            self.log.line(self.stream, partial.span.context().as_ref(), &line);
        }
        partial.line.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Partial> {
        self.partial.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for GuestOutput {
    fn drop(&mut self) {
        // The last handle: a guest that ends without a newline still said something.
        if Arc::strong_count(&self.partial) == 1 {
            self.finish_line();
        }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    // A stream of 0.3 belongs to whoever opens it: what it carries is written later, by the event loop.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        let opener = Writer::default();
        opener.set(self.writer.span());
        Box::new(Self::new(self.log.clone(), opener, self.stream))
    }
}

#[async_trait::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl OutputStream for GuestOutput {
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

impl AsyncWrite for GuestOutput {
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
