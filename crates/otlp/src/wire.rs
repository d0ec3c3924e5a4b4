//! The protobuf of OTLP: a span written once, straight into the buffer from which it is sent, and fields read back.
//!
//! [`SpanWriter`] writes a span as an entry of `ScopeSpans.spans`, key and length first, so that buffers of several
//! threads can be joined without another pass. The messages are those of `opentelemetry/proto/trace/v1/trace.proto` and
//! `opentelemetry/proto/common/v1/common.proto`.

use crate::id::{SpanId, TraceId};
use crate::value::Value;
use prost::encoding::{WireType, decode_key, decode_varint};

/// Number of the field `ScopeSpans.spans` (and of `ScopeLogs.log_records`), which is the key of an entry in a buffer.
pub const ITEM: u8 = 2;
/// Number of an entry that names its own instrumentation scope: the message `ScopeSpans` (or `ScopeLogs`), whose item
/// is its last field.
///
/// `ScopeSpans` and `ScopeLogs` have no repeated field 1, so that no other entry of a buffer has this key.
pub const SCOPED: u8 = 1;

/// Number of the field which stands before an entry that is of another origin than its buffer's envelope
/// ([`Envelope::add_origin`](crate::Envelope::add_origin)), of type varint.
const ORIGIN: u8 = 3;
/// Key of that field.
pub(crate) const ORIGIN_KEY: u8 = field(ORIGIN, VARINT);

/// Writes that the entry which follows is of this origin; 0 is the envelope's own, for which nothing is written.
pub fn origin(out: &mut Vec<u8>, origin: u32) {
    if origin > 0 {
        out.push(ORIGIN_KEY);
        prost::encoding::encode_varint(origin.into(), out);
    }
}

/// Bit of the flags of a span or a link which says that bit [`IS_REMOTE`] is known.
pub const HAS_IS_REMOTE: u32 = 0x100;
/// Bit of the flags of a span or a link which says that its parent, or the span it points at, is in another process.
pub const IS_REMOTE: u32 = 0x200;

/// Field keys: the field's number and its wire type, as one byte.
const fn field(number: u8, wire: u8) -> u8 {
    number << 3 | wire
}
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;
/// Key of `Span.flags`, field 16 of type fixed32: too large for one byte.
const FLAGS: [u8; 2] = [0x85, 0x01];

/// `Span.SpanKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work within the service.
    Internal = 1,
    /// A request served.
    Server = 2,
    /// A request made.
    Client = 3,
    /// A message sent.
    Producer = 4,
    /// A message taken.
    Consumer = 5,
}

/// `Status.StatusCode`, but for `UNSET`, which is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The operation succeeded, as somebody has said.
    Ok = 1,
    /// The operation failed.
    Error = 2,
}

/// Identity of a span on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// Flags of W3C Trace Context: bit 0 is *sampled*.
    pub flags: u8,
    /// `tracestate` as it stands in the header; empty for none.
    pub trace_state: &'a str,
}

/// What is known of a span before its name and its attributes.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The span itself.
    pub context: Context<'a>,
    /// Its parent; `None` for the root of a trace.
    pub parent: Option<SpanId>,
    /// Whether the parent is in another process.
    pub parent_is_remote: bool,
    /// `SpanKind`.
    pub kind: Kind,
    /// Start, in nanoseconds of Unix time.
    pub start_unix_nanos: u64,
    /// End, in nanoseconds of Unix time.
    pub end_unix_nanos: u64,
}

/// Counts of what was left out of a span: `dropped_attributes_count` and its siblings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dropped {
    /// Attributes.
    pub attributes: u32,
    /// Events.
    pub events: u32,
    /// Links.
    pub links: u32,
}

/// A borrowed attribute value.
#[derive(Clone, Copy, Debug)]
pub enum Borrowed<'a> {
    /// Text.
    Text(&'a str),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// A value of any kind.
    Any(&'a Value),
}

/// Writes one span as an entry of a buffer; [`SpanWriter::finish`] completes it.
#[derive(Debug)]
#[must_use = "an entry is whole only once it is finished"]
pub struct SpanWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Where the span's fields begin; the length stands before.
    start: usize,
}

/// Bytes kept for a span's length: enough for 128 to 16383 bytes, which most spans have.
const LENGTH_ROOM: usize = 2;

impl<'a> SpanWriter<'a> {
    /// Starts a span at the end of `out`.
    pub fn start(out: &'a mut Vec<u8>, head: &Head<'_>) -> Self {
        out.reserve(1024);
        out.extend_from_slice(&[field(ITEM, BYTES), 0, 0]);
        let start = out.len();
        bytes(out, 1, &head.context.trace_id.0);
        bytes(out, 2, &head.context.span_id.0);
        if !head.context.trace_state.is_empty() {
            bytes(out, 3, head.context.trace_state.as_bytes());
        }
        if let Some(parent) = head.parent {
            bytes(out, 4, &parent.0);
        }
        out.extend_from_slice(&[field(6, VARINT), head.kind as u8]);
        fixed64(out, 7, head.start_unix_nanos);
        fixed64(out, 8, head.end_unix_nanos);
        let remote = if head.parent_is_remote { IS_REMOTE } else { 0 };
        out.extend_from_slice(&FLAGS);
        out.extend_from_slice(&(u32::from(head.context.flags) | HAS_IS_REMOTE | remote).to_le_bytes());
        SpanWriter { out, start }
    }

    /// Writes the name, which is the concatenation of three parts.
    pub fn name(&mut self, parts: [&str; 3]) {
        self.out.push(field(5, BYTES));
        varint(self.out, parts.iter().map(|part| part.len() as u64).sum());
        parts.iter().for_each(|part| self.out.extend_from_slice(part.as_bytes()));
    }

    /// Writes an attribute; the caller sees to it that keys differ.
    pub fn attribute(&mut self, key: &str, value: Borrowed<'_>) {
        attribute(self.out, 9, key, value);
    }

    /// Writes a text attribute with a constant key. Inlined, so that all but the text is written as constants: most of
    /// a span is this.
    #[inline(always)]
    pub fn text(&mut self, key: &'static str, text: &str) {
        let len = key.len() + text.len() + 6;
        if len >= 0x80 {
            return self.attribute(key, Borrowed::Text(text));
        }
        self.key(key, len);
        let lens = [text.len() as u8 + 2, text.len() as u8];
        self.out.extend_from_slice(&[field(2, BYTES), lens[0], field(1, BYTES), lens[1]]);
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Writes a whole number with a constant key, which is shorter than 100 bytes.
    #[inline(always)]
    pub fn int(&mut self, key: &'static str, int: u64) {
        let value_len = 1 + varint_len(int);
        self.key(key, key.len() + value_len + 4);
        self.out.extend_from_slice(&[field(2, BYTES), value_len as u8, field(3, VARINT)]);
        varint(self.out, int);
    }

    #[inline(always)]
    fn key(&mut self, key: &'static str, len: usize) {
        self.out.extend_from_slice(&[field(9, BYTES), len as u8, field(1, BYTES), key.len() as u8]);
        self.out.extend_from_slice(key.as_bytes());
    }

    /// Writes an event at `time` (nanoseconds of Unix time), of which `dropped` attributes were left out.
    pub fn event<K: AsRef<str>>(&mut self, time: u64, name: &str, attributes: &[(K, Value)], dropped: u32) {
        let len = 9 + 1 + with_length(name.len()) + attributes_len(attributes) + count_len(dropped);
        self.out.push(field(11, BYTES));
        varint(self.out, len as u64);
        fixed64(self.out, 1, time);
        bytes(self.out, 2, name.as_bytes());
        for (key, value) in attributes {
            attribute(self.out, 3, key.as_ref(), Borrowed::Any(value));
        }
        count(self.out, 4, dropped);
    }

    /// Writes a link to another span, which is in another process or not (`None` where that is unknown), and of which
    /// `dropped` attributes were left out.
    pub fn link<K: AsRef<str>>(
        &mut self,
        context: Context<'_>,
        is_remote: Option<bool>,
        attributes: &[(K, Value)],
        dropped: u32,
    ) {
        let remote = match is_remote {
            None => 0,
            Some(false) => HAS_IS_REMOTE,
            Some(true) => HAS_IS_REMOTE | IS_REMOTE,
        };
        let state = context.trace_state;
        let state_len = if state.is_empty() { 0 } else { 1 + with_length(state.len()) };
        let len = 18 + 10 + state_len + attributes_len(attributes) + count_len(dropped) + 5;
        self.out.push(field(13, BYTES));
        varint(self.out, len as u64);
        bytes(self.out, 1, &context.trace_id.0);
        bytes(self.out, 2, &context.span_id.0);
        if !state.is_empty() {
            bytes(self.out, 3, state.as_bytes());
        }
        for (key, value) in attributes {
            attribute(self.out, 4, key.as_ref(), Borrowed::Any(value));
        }
        count(self.out, 5, dropped);
        self.out.push(field(6, FIXED32));
        self.out.extend_from_slice(&(u32::from(context.flags) | remote).to_le_bytes());
    }

    /// Writes the status; an unset one is not written.
    pub fn status(&mut self, code: Code, message: &str) {
        let message_len = if message.is_empty() { 0 } else { 1 + with_length(message.len()) };
        self.out.push(field(15, BYTES));
        varint(self.out, (message_len + 2) as u64);
        if !message.is_empty() {
            bytes(self.out, 2, message.as_bytes());
        }
        self.out.extend_from_slice(&[field(3, VARINT), code as u8]);
    }

    /// Writes how many attributes, events and links were left out, and completes the entry.
    pub fn finish(self, dropped: Dropped) {
        count(self.out, 10, dropped.attributes);
        count(self.out, 12, dropped.events);
        count(self.out, 14, dropped.links);
        let len = self.out.len() - self.start;
        let mut length = [0; 10];
        let used = put_varint(&mut length, len as u64);
        let place = self.start - LENGTH_ROOM;
        if used == LENGTH_ROOM {
            self.out[place..self.start].copy_from_slice(&length[..used]);
        } else {
            self.out.splice(place..self.start, length[..used].iter().copied());
        }
    }
}

/// Writes the message `KeyValue` as field `number`, which is below 16.
#[inline]
pub fn attribute(out: &mut Vec<u8>, number: u8, key: &str, value: Borrowed<'_>) {
    out.push(field(number, BYTES));
    varint(out, attribute_len(key, value) as u64);
    bytes(out, 1, key.as_bytes());
    out.push(field(2, BYTES));
    varint(out, value_len(value) as u64);
    put_value(out, value);
}

fn attributes_len<K: AsRef<str>>(attributes: &[(K, Value)]) -> usize {
    let len = |(key, value): &(K, Value)| 1 + with_length(attribute_len(key.as_ref(), Borrowed::Any(value)));
    attributes.iter().map(len).sum()
}

fn attribute_len(key: &str, value: Borrowed<'_>) -> usize {
    2 + with_length(key.len()) + with_length(value_len(value))
}

/// Length of the message `AnyValue`; a choice is written even when it holds zero.
#[inline]
fn value_len(value: Borrowed<'_>) -> usize {
    match value {
        Borrowed::Text(text) => 1 + with_length(text.len()),
        Borrowed::Bool(_) => 2,
        Borrowed::Int(int) => 1 + varint_len(int as u64),
        Borrowed::Double(_) => 9,
        Borrowed::Any(value) => match value {
            Value::Text(text) => value_len(Borrowed::Text(text)),
            Value::Bool(bool) => value_len(Borrowed::Bool(*bool)),
            Value::Int(int) => value_len(Borrowed::Int(*int)),
            Value::Double(double) => value_len(Borrowed::Double(*double)),
            Value::Bytes(bytes) => 1 + with_length(bytes.len()),
            Value::Null => 0,
            Value::Map(entries) => 1 + with_length(entries_len(entries)),
            _ => 1 + with_length(elements(value).map(|element| 1 + with_length(value_len(element))).sum()),
        },
    }
}

#[inline]
fn put_value(out: &mut Vec<u8>, value: Borrowed<'_>) {
    match value {
        Borrowed::Text(text) => bytes(out, 1, text.as_bytes()),
        Borrowed::Bool(bool) => out.extend_from_slice(&[field(2, VARINT), bool.into()]),
        Borrowed::Int(int) => {
            out.push(field(3, VARINT));
            varint(out, int as u64);
        }
        Borrowed::Double(double) => fixed64(out, 4, double.to_bits()),
        Borrowed::Any(value) => match value {
            Value::Text(text) => put_value(out, Borrowed::Text(text)),
            Value::Bool(bool) => put_value(out, Borrowed::Bool(*bool)),
            Value::Int(int) => put_value(out, Borrowed::Int(*int)),
            Value::Double(double) => put_value(out, Borrowed::Double(*double)),
            Value::Bytes(raw) => bytes(out, 7, raw),
            // A message without a choice.
            Value::Null => {}
            Value::Map(entries) => {
                out.push(field(6, BYTES));
                varint(out, entries_len(entries) as u64);
                for (key, value) in entries {
                    attribute(out, 1, key, Borrowed::Any(value));
                }
            }
            _ => {
                out.push(field(5, BYTES));
                let len: usize = elements(value).map(|element| 1 + with_length(value_len(element))).sum();
                varint(out, len as u64);
                for element in elements(value) {
                    out.push(field(1, BYTES));
                    varint(out, value_len(element) as u64);
                    put_value(out, element);
                }
            }
        },
    }
}

/// The elements of an array; none for a value that is not one.
fn elements(value: &Value) -> impl Iterator<Item = Borrowed<'_>> {
    let len = match value {
        Value::Texts(texts) => texts.len(),
        Value::Bools(bools) => bools.len(),
        Value::Ints(ints) => ints.len(),
        Value::Doubles(doubles) => doubles.len(),
        Value::List(values) => values.len(),
        _ => 0,
    };
    (0..len).map(move |at| match value {
        Value::Texts(texts) => Borrowed::Text(&texts[at]),
        Value::Bools(bools) => Borrowed::Bool(bools[at]),
        Value::Ints(ints) => Borrowed::Int(ints[at]),
        Value::Doubles(doubles) => Borrowed::Double(doubles[at]),
        Value::List(values) => Borrowed::Any(&values[at]),
        _ => Borrowed::Any(value),
    })
}

/// Length of the message `KeyValueList`.
fn entries_len(entries: &[(String, Value)]) -> usize {
    entries.iter().map(|(key, value)| 1 + with_length(attribute_len(key, Borrowed::Any(value)))).sum()
}

/// Writes field `number`, which is below 16, with `value` as its content: text, bytes or a message.
#[inline]
pub fn bytes(out: &mut Vec<u8>, number: u8, value: &[u8]) {
    out.push(field(number, BYTES));
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn fixed64(out: &mut Vec<u8>, number: u8, value: u64) {
    out.push(field(number, FIXED64));
    out.extend_from_slice(&value.to_le_bytes());
}

/// A counter field, left out when zero.
fn count(out: &mut Vec<u8>, number: u8, value: u32) {
    if value > 0 {
        out.push(field(number, VARINT));
        varint(out, value.into());
    }
}

fn count_len(value: u32) -> usize {
    if value > 0 { 1 + varint_len(value.into()) } else { 0 }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_varint(bytes: &mut [u8; 10], mut value: u64) -> usize {
    let mut used = 0;
    while value >= 0x80 {
        bytes[used] = value as u8 | 0x80;
        value >>= 7;
        used += 1;
    }
    bytes[used] = value as u8;
    used + 1
}

/// Bytes of `value` as a varint.
#[must_use]
pub fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Bytes of a length-delimited field's length and content, without its key.
#[must_use]
pub fn with_length(len: usize) -> usize {
    varint_len(len as u64) + len
}

/// Error of bytes that are not the protobuf of OTLP.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf")]
pub struct Malformed;

/// The content of a field.
#[derive(Clone, Copy)]
pub(crate) enum Wire<'a> {
    /// A varint, or a fixed number of 32 or 64 bits.
    Number(u64),
    /// What has a length: text, bytes, a message, or numbers packed together.
    Bytes(&'a [u8]),
}

/// Takes the next field, its number and its content, off the start of `from`, which is not empty.
///
/// # Errors
/// `from` does not begin with a field, or with one of a kind that OTLP has not.
pub(crate) fn next<'a>(from: &mut &'a [u8]) -> Result<(u32, Wire<'a>), Malformed> {
    let (number, wire) = decode_key(from).map_err(|_| Malformed)?;
    let wire = match wire {
        WireType::Varint => Wire::Number(decode_varint(from).map_err(|_| Malformed)?),
        WireType::ThirtyTwoBit => Wire::Number(fixed::<4>(from)?),
        WireType::SixtyFourBit => Wire::Number(fixed::<8>(from)?),
        WireType::LengthDelimited => {
            let len = decode_varint(from).map_err(|_| Malformed)?;
            let len = usize::try_from(len).map_err(|_| Malformed)?;
            let (bytes, rest) = from.split_at_checked(len).ok_or(Malformed)?;
            *from = rest;
            Wire::Bytes(bytes)
        }
        // Groups are of a protobuf before OTLP.
        WireType::StartGroup | WireType::EndGroup => return Err(Malformed),
    };
    Ok((number, wire))
}

/// Takes a number of `N` bytes, of which there are eight at most, off the start of `from`.
///
/// # Errors
/// `from` is shorter than that.
pub(crate) fn fixed<const N: usize>(from: &mut &[u8]) -> Result<u64, Malformed> {
    let (bytes, rest) = from.split_first_chunk::<N>().ok_or(Malformed)?;
    *from = rest;
    Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests;
