//! Guest stdout and stderr: cut into lines, bounded in length and rate, and logged with the request they belong to.
//!
//! Writing never blocks a guest: the log's own writer is lossy and counts (see `telemetry/logs.rs`), and what exceeds
//! the rate is counted here and said once a second.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::telemetry::ServerSpan;

/// A longer line is cut into pieces of this size, each a line of its own in the log.
const MAX_LINE: usize = 8 * 1024;
/// Lines a second that one component may log; further ones are counted and dropped.
const MAX_LINES_PER_SECOND: u64 = 1000;
/// What a guest may write in one call.
const WRITE_BUDGET: usize = 64 * 1024;

/// Which stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// The log of one component's guests: its name, and the rate they share.
#[derive(Debug)]
pub(crate) struct GuestLog {
    component: String,
    window: Mutex<Instant>,
    lines: AtomicU64,
    dropped: AtomicU64,
    dropped_total: AtomicU64,
}

impl GuestLog {
    pub(crate) fn new(component: &str) -> Self {
        Self {
            component: component.to_owned(),
            window: Mutex::new(Instant::now()),
            lines: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            dropped_total: AtomicU64::new(0),
        }
    }

    /// Lines dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped_total.load(Ordering::Relaxed)
    }

    fn admit(&self) -> bool {
        {
            let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
            if window.elapsed().as_secs() >= 1 {
                *window = Instant::now();
                self.lines.store(0, Ordering::Relaxed);
                let dropped = self.dropped.swap(0, Ordering::Relaxed);
                if dropped > 0 {
                    tracing::warn!(
                        component = self.component,
                        dropped,
                        "guest output dropped: more than {MAX_LINES_PER_SECOND} lines a second"
                    );
                }
            }
        }
        if self.lines.fetch_add(1, Ordering::Relaxed) < MAX_LINES_PER_SECOND {
            return true;
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.dropped_total.fetch_add(1, Ordering::Relaxed);
        false
    }

    fn line(&self, stream: Stream, span: &ServerSpan, line: &[u8]) {
        if !self.admit() {
            return;
        }
        let line = String::from_utf8_lossy(line);
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        match span.context() {
            Some(context) => tracing::info!(
                target: "guest",
                component = self.component,
                stream,
                trace_id = %context.trace_id,
                span_id = %context.span_id,
                "{line}"
            ),
            None => tracing::info!(target: "guest", component = self.component, stream, "{line}"),
        }
    }
}

/// Whose output it is now: the request of a store that serves one at a time, none in an instance that serves several
/// (guests cache their stdout handle, so there a line cannot be told to belong to a request).
pub(crate) type Owner = Arc<Mutex<ServerSpan>>;

/// One of the two streams of a store.
#[derive(Clone)]
pub(crate) struct GuestOutput {
    log: Arc<GuestLog>,
    owner: Owner,
    stream: Stream,
    /// Shared by all handles that the guest opens, so that a line written through two of them stays one line.
    partial: Arc<Mutex<Vec<u8>>>,
}

impl GuestOutput {
    pub(crate) fn new(log: Arc<GuestLog>, owner: Owner, stream: Stream) -> Self {
        Self { log, owner, stream, partial: Arc::default() }
    }

    /// Logs what was written without a newline; at the end of a request, so that it is told as that request's.
    pub(crate) fn finish_line(&self) {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        if !partial.is_empty() {
            self.emit(&mut partial);
        }
    }

    fn push(&self, bytes: &[u8]) {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for piece in piece.chunks(MAX_LINE) {
                partial.extend_from_slice(piece);
                let whole = partial.last() == Some(&b'\n');
                if whole || partial.len() >= MAX_LINE {
                    self.emit(&mut partial);
                }
            }
        }
    }

    fn emit(&self, partial: &mut Vec<u8>) {
        let line = partial.strip_suffix(b"\n").unwrap_or(partial);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            let span = self.owner.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.log.line(self.stream, &span, line);
        }
        partial.clear();
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

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
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
