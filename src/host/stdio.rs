//! Guest stdout and stderr: cut into lines, bounded in length and rate, and logged with the request they belong to.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use super::guest_log::{GuestLog, MAX_LINE, Stream};
use crate::telemetry::ServerSpan;

/// What a guest may write in one call.
const WRITE_BUDGET: usize = 64 * 1024;

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
            self.log.line(self.stream, span.context().as_ref(), line);
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
