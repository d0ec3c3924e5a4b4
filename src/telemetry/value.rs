//! What a guest may say on a span: typed values, exceptions, a status.

/// A typed attribute value, as OTLP knows them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Text.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number, not-a-number included.
    Double(f64),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// Several texts.
    Texts(Vec<String>),
    /// Several booleans.
    Bools(Vec<bool>),
    /// Several whole numbers.
    Ints(Vec<i64>),
    /// Several floating-point numbers.
    Doubles(Vec<f64>),
    /// Nothing: what a guest's SDK writes as `null`.
    Null,
    /// Several values of any kind.
    List(Vec<Value>),
    /// Values by key; no key comes twice.
    Map(Vec<(String, Value)>),
}

/// Something that went wrong, recorded as an `exception` event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exception {
    /// `exception.type`, of few different values.
    pub(crate) kind: String,
    /// `exception.message`.
    pub(crate) message: String,
    /// `exception.stacktrace`.
    pub(crate) stacktrace: Option<String>,
    /// Whatever else belongs to it.
    pub(crate) attributes: Vec<(String, Value)>,
}

/// Status of a span as a guest sets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing said.
    #[default]
    Unset,
    /// Went well, whatever it looks like.
    Ok,
    /// Failed, with a description.
    Error(String),
}

impl Value {
    /// Cuts long texts and bytes to `limit`, each element of an array or map alone.
    pub(super) fn cut(&mut self, limit: usize) {
        match self {
            Value::Text(text) => cut(text, limit),
            Value::Texts(texts) => texts.iter_mut().for_each(|text| cut(text, limit)),
            Value::Bytes(bytes) => bytes.truncate(limit),
            Value::List(values) => values.iter_mut().for_each(|value| value.cut(limit)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| value.cut(limit)),
            _ => {}
        }
    }

    /// Memory it takes, roughly as many bytes as it takes on the wire.
    pub(super) fn size(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Texts(texts) => texts.iter().map(|text| text.len() + size_of::<String>()).sum(),
            Value::Bools(bools) => bools.len() * 4,
            Value::Ints(ints) => ints.len() * 12,
            Value::Doubles(doubles) => doubles.len() * 12,
            Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Null => 8,
            Value::List(values) => values.iter().map(|value| value.size() + size_of::<Value>()).sum(),
            Value::Map(entries) => {
                let size =
                    |(key, value): &(String, Value)| key.len() + value.size() + size_of::<(String, Value)>();
                entries.iter().map(size).sum()
            }
        }
    }
}

/// The longest start of `text` that has at most `limit` bytes and ends between characters.
pub(super) fn shortened(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.shrink_to_fit();
    }
}
