//! What identifies a span to others: its ids, its flags and the trace state it carries along.

use pounce_otlp::id::{SpanId, TraceId, write_hex};
use pounce_otlp::wire as encode;
use std::fmt;
use std::sync::Arc;

/// Bit of the flags that says the trace is recorded.
pub(crate) const SAMPLED: u8 = 0x01;
/// Bit of the flags that says the last seven bytes of the trace id are random (level 2).
pub(crate) const RANDOM: u8 = 0x02;

/// W3C Trace Context of a span, ours or a remote parent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// The span itself.
    pub span_id: SpanId,
    /// [`Self::SAMPLED`] and [`Self::RANDOM`]; no other bit is ever set.
    pub flags: u8,
    /// Wire form of `tracestate`, already checked; empty when there is none.
    pub trace_state: TraceState,
}

/// A span that another one points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// The span.
    pub context: SpanContext,
    /// Whether it is of another process; `None` where nobody knows.
    pub is_remote: Option<bool>,
}

impl Linked {
    /// A span of another process.
    pub fn remote(context: SpanContext) -> Self {
        Linked { context, is_remote: Some(true) }
    }

    /// A span of this server.
    pub fn local(context: SpanContext) -> Self {
        Linked { context, is_remote: Some(false) }
    }
}

/// Whose span it is, nobody has said.
impl From<SpanContext> for Linked {
    fn from(context: SpanContext) -> Self {
        Linked { context, is_remote: None }
    }
}

/// A checked `tracestate`, shared by all spans of a request; making an empty one costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceState(Option<Arc<str>>);

impl TraceState {
    /// Takes a text that has passed the grammar's checks.
    pub(super) fn checked(text: String) -> Self {
        TraceState((!text.is_empty()).then(|| text.into()))
    }

    /// The wire form; empty when there is none.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// Nothing to send.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl SpanContext {
    /// Bit of the flags that says the trace is recorded.
    pub const SAMPLED: u8 = SAMPLED;
    /// Bit of the flags that says the last seven bytes of the trace id are random (level 2).
    pub const RANDOM: u8 = RANDOM;

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The identity of this span as it is written.
    pub(super) fn wire(&self) -> encode::Context<'_> {
        let SpanContext { trace_id, span_id, flags, trace_state } = self;
        encode::Context {
            trace_id: *trace_id,
            span_id: *span_id,
            flags: *flags,
            trace_state: trace_state.as_str(),
        }
    }

    /// The `traceparent` header of this span, version 00.
    pub fn traceparent(&self) -> String {
        let bytes = self.traceparent_bytes();
        std::str::from_utf8(&bytes).expect("hex digits and dashes are ASCII").to_owned()
    }

    pub(super) fn traceparent_bytes(&self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&self.trace_id.0, &mut text[3..35]);
        write_hex(&self.span_id.0, &mut text[36..52]);
        write_hex(&[self.flags], &mut text[53..55]);
        text
    }
}
