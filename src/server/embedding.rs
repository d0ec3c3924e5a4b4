//! The program around a request that came over no connection: the context in which it asked, and that of the request, in
//! which its own code goes on.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use pounce_telemetry::ServerSpan;

use super::incoming::BoxError;

/// Contexts of OpenTelemetry around a request from this process.
#[derive(Debug)]
pub(super) struct Embedding {
    caller: opentelemetry::Context,
    /// The caller's, with the request's span; none while the request has none.
    request: OnceLock<opentelemetry::Context>,
}

impl Embedding {
    /// The embedding of a request that is made now.
    pub(super) fn current() -> Self {
        Self { caller: opentelemetry::Context::current(), request: OnceLock::new() }
    }

    /// The context of who asked.
    pub(super) fn caller(&self) -> &opentelemetry::Context {
        &self.caller
    }

    /// The request has got its span.
    pub(super) fn starts(&self, span: &ServerSpan) {
        if let Some(span) = span.context() {
            _ = self.request.set(span.within(&self.caller));
        }
    }

    /// The context of the request; none where it has no span.
    pub(super) fn request(&self) -> Option<&opentelemetry::Context> {
        self.request.get()
    }
}

/// A request's body of the program's own, which runs in the request's context.
#[derive(Debug)]
pub(crate) struct LocalBody {
    pub(super) body: UnsyncBoxBody<Bytes, BoxError>,
    pub(super) embedding: Arc<Embedding>,
}

impl Body for LocalBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let around = self.embedding.request().unwrap_or(self.embedding.caller()).clone();
        let _current = around.attach();
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
