//! The types that the interfaces share: values, attributes, exceptions, contexts.

use std::error::Error;
use std::fmt::Write as _;

pub use crate::bindings::types::{Attribute, Exception, Link, SpanContext, SpanKind, Status, Value};

/// A list of [`Attribute`]s: `attributes! { "order.id" => 42, "order.kind" => "express" }`.
#[macro_export]
macro_rules! attributes {
    ($($key:expr => $value:expr),* $(,)?) => {{
        let list: [$crate::Attribute; _] = [$($crate::Attribute::new($key, $value)),*];
        list
    }};
}

impl Attribute {
    /// An attribute; `value` is anything that makes a [`Value`].
    pub fn new(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { key: key.into(), value: value.into() }
    }
}

impl<K: Into<String>, V: Into<Value>> From<(K, V)> for Attribute {
    fn from((key, value): (K, V)) -> Self {
        Self::new(key, value)
    }
}

/// Gathers what the functions of this crate take as attributes.
pub(crate) fn collect(attributes: impl IntoIterator<Item = impl Into<Attribute>>) -> Vec<Attribute> {
    attributes.into_iter().map(Into::into).collect()
}

macro_rules! value_from {
    ($($from:ty => |$name:ident| $value:expr),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from($name: $from) -> Self {
                $value
            }
        }
    )*};
}

value_from! {
    String => |text| Value::Text(text),
    &String => |text| Value::Text(text.clone()),
    &str => |text| Value::Text(text.to_owned()),
    char => |text| Value::Text(text.to_string()),
    std::borrow::Cow<'_, str> => |text| Value::Text(text.into_owned()),
    bool => |yes| Value::Boolean(yes),
    i8 => |number| Value::Int(number.into()),
    i16 => |number| Value::Int(number.into()),
    i32 => |number| Value::Int(number.into()),
    i64 => |number| Value::Int(number),
    u8 => |number| Value::Int(number.into()),
    u16 => |number| Value::Int(number.into()),
    u32 => |number| Value::Int(number.into()),
    f32 => |number| Value::Double(number.into()),
    f64 => |number| Value::Double(number),
    Vec<u8> => |bytes| Value::Bytes(bytes),
    &[u8] => |bytes| Value::Bytes(bytes.to_vec()),
    Vec<String> => |list| Value::Texts(list),
    Vec<&str> => |list| Value::Texts(list.into_iter().map(str::to_owned).collect()),
    &[String] => |list| Value::Texts(list.to_vec()),
    &[&str] => |list| Value::Texts(list.iter().map(|text| (*text).to_owned()).collect()),
    Vec<bool> => |list| Value::Booleans(list),
    &[bool] => |list| Value::Booleans(list.to_vec()),
    Vec<i64> => |list| Value::Ints(list),
    &[i64] => |list| Value::Ints(list.to_vec()),
    Vec<f64> => |list| Value::Doubles(list),
    &[f64] => |list| Value::Doubles(list.to_vec()),
}

// OTLP has no unsigned integer: what does not fit an i64 is kept as text, not as another number.
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or_else(|_| Value::Text(number.to_string()), Value::Int)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        (number as u64).into()
    }
}

impl Exception {
    /// An exception of a kind (`exception.type`: low in cardinality, like a type's name) with a message.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), stacktrace: None, attributes: Vec::new() }
    }

    /// With a stack trace, in whatever form the guest has one.
    pub fn stacktrace(mut self, stacktrace: impl Into<String>) -> Self {
        self.stacktrace = Some(stacktrace.into());
        self
    }

    /// With one more attribute.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.push(Attribute::new(key, value));
        self
    }
}

/// The error's type, message and, as the stack trace, what caused it. The type of a `dyn Error` is not known: it counts
/// as `error`; use [`Exception::new`] to name a better one.
impl<E: Error + ?Sized> From<&E> for Exception {
    fn from(error: &E) -> Self {
        let kind = crate::__private::kind::<E>();
        let mut causes = String::new();
        let mut source = error.source();
        while let Some(cause) = source {
            // Writing to a String does not fail.
            let _ = writeln!(causes, "caused by: {cause}");
            source = cause.source();
        }
        let exception = Self::new(kind, error.to_string());
        if causes.is_empty() { exception } else { exception.stacktrace(causes) }
    }
}

impl SpanContext {
    /// Whether the trace is sampled.
    pub fn is_sampled(&self) -> bool {
        self.trace_flags & 1 == 1
    }

    /// Whether it names a span: both ids are there and not zero.
    pub fn is_valid(&self) -> bool {
        let names = |id: &str| id.bytes().any(|digit| digit != b'0');
        names(&self.trace_id) && names(&self.span_id)
    }

    /// The W3C `traceparent` that names this span.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace_id, self.span_id, self.trace_flags)
    }
}

impl Link {
    /// A link to a span, without attributes.
    pub fn to(context: SpanContext) -> Self {
        Self { context, attributes: Vec::new() }
    }

    /// With one more attribute.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.push(Attribute::new(key, value));
        self
    }
}
