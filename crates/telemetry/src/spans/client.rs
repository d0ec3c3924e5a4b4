//! The CLIENT span of one outgoing request: from when the guest hands it over until the response head, or until the
//! guest lets go of it.

use super::call::{Call, CallEnd, Connected};
use super::child::{Child, Facts, Start};
use crate::context::SpanContext;
use crate::exceptions::ExceptionLog;
use crate::limits::{MAX_NAME, MAX_VALUE};
use crate::quota::Quota;
use crate::request::server_span::ServerSpan;
use crate::value::shortened;
use http::{Method, StatusCode, Uri, Version};
use pounce_otlp::id::SpanId;
use pounce_otlp::wire::Kind;
use std::sync::Arc;

/// Handle on the span; a request that is dropped before its end was cancelled.
pub struct ClientSpan {
    context: Option<SpanContext>,
    record: Option<Arc<Child>>,
    exceptions: Option<Arc<ExceptionLog>>,
}

impl ServerSpan {
    /// Starts the CLIENT span of an outgoing request under `parent`, the server span when `None`. `peer_service` is what
    /// the operator calls the other side, if anything; it is asked for only where the span is recorded.
    pub fn client(
        &self,
        parent: Option<&SpanContext>,
        method: &Method,
        uri: &Uri,
        peer_service: impl FnOnce() -> Option<Arc<str>>,
    ) -> ClientSpan {
        let exceptions = self.exceptions().cloned();
        let Some(server) = self.context() else {
            return ClientSpan { context: None, record: None, exceptions };
        };
        let parent = parent.unwrap_or(&server);
        let record = self.recorded().and_then(|server| {
            let call = Call::new(method, uri, peer_service());
            server.start_child(Start {
                trace_id: parent.trace_id,
                trace_state: parent.trace_state.clone(),
                parent: Some(parent.span_id),
                parent_is_remote: false,
                id: None,
                kind: Kind::Client,
                name: server.shared().methods.name(method),
                time: None,
                facts: Facts::Call(Box::new(call)),
            })
        });
        let context = match &record {
            Some(record) => record.context().clone(),
            // Each request gets a parent id of its own, recorded or not.
            None if !self.is_recording_children() => {
                SpanContext { span_id: SpanId::random(), flags: server.flags, ..parent.clone() }
            }
            // One too many: the other side belongs under the nearest span that a backend gets to see.
            None => SpanContext { flags: server.flags, ..parent.clone() },
        };
        ClientSpan { context: Some(context), record, exceptions }
    }
}

impl ClientSpan {
    /// What the request tells its receiver; `None` when telemetry is off.
    pub fn context(&self) -> Option<&SpanContext> {
        self.context.as_ref()
    }

    /// A response head came; ends the span.
    pub fn respond(self, status: StatusCode, version: Version, connected: Option<Connected>) {
        self.end(CallEnd::Response(status, version), connected);
    }

    /// There is no response; ends the span. Its exception is a log record within `quota`, as are those of the guest,
    /// who can fail as often as it likes.
    pub fn fail(self, error_type: &str, message: &str, quota: Option<&Quota>) {
        if let Some(log) = &self.exceptions {
            log.of_client(error_type, message, self.context(), quota);
        }
        if self.record.is_some() {
            let error_type = shortened(error_type, MAX_NAME).into();
            self.end(CallEnd::Failed { error_type, message: shortened(message, MAX_VALUE).into() }, None);
        }
    }

    fn end(&self, end: CallEnd, connected: Option<Connected>) {
        if let Some(record) = &self.record {
            record.observe(|facts| {
                if let Facts::Call(call) = facts {
                    call.end(end, connected);
                }
            });
            record.end(None);
        }
    }
}

impl Drop for ClientSpan {
    fn drop(&mut self) {
        if let Some(record) = &self.record {
            record.end(None);
        }
    }
}
