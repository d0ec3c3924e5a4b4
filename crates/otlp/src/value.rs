//! Typed attribute values (`AnyValue`), and how they are kept within bounds.

/// Size of a value that is one number.
const SCALAR: usize = 8;

/// A typed attribute value: the message `AnyValue`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
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
    /// Nothing: an `AnyValue` without a value.
    Null,
    /// Several values of any kind.
    List(Vec<Value>),
    /// Values by key; no key comes twice.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// Cuts long texts and bytes to `limit`, each element of an array or map alone.
    pub fn cut(&mut self, limit: Length) {
        match self {
            Value::Text(text) => limit.cut(text),
            Value::Texts(texts) => texts.iter_mut().for_each(|text| limit.cut(text)),
            Value::Bytes(bytes) => bytes.truncate(limit.bytes.min(limit.chars)),
            Value::List(values) => values.iter_mut().for_each(|value| value.cut(limit)),
            Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| value.cut(limit)),
            _ => {}
        }
    }

    /// Cuts the value to about `limit` bytes in all, as [`Self::size`] counts them: texts lose their end, whatever has elements
    /// loses those that come last.
    pub fn bound(&mut self, limit: usize) {
        match self {
            Value::Text(text) => Length::bytes(limit).cut(text),
            Value::Bytes(bytes) => bytes.truncate(limit),
            Value::Bools(bools) => bools.truncate(limit / 4),
            Value::Ints(ints) => ints.truncate(limit / 12),
            Value::Doubles(doubles) => doubles.truncate(limit / 12),
            Value::Texts(texts) => keep(texts, limit, |text, left| {
                Length::bytes(left.checked_sub(size_of::<String>())?).cut(text);
                Some(size_of::<String>() + text.len())
            }),
            Value::List(values) => keep(values, limit, |value, left| {
                let fixed = size_of::<Value>();
                value.bound_above(left.checked_sub(fixed)?)?;
                Some(fixed + value.size())
            }),
            Value::Map(entries) => keep(entries, limit, |(key, value), left| {
                let fixed = size_of::<(String, Value)>() + key.len();
                value.bound_above(left.checked_sub(fixed)?)?;
                Some(fixed + value.size())
            }),
            Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Null => {}
        }
    }

    /// Cuts the value as [`Self::bound`] does; `None` where not even a number has room.
    fn bound_above(&mut self, limit: usize) -> Option<()> {
        (limit >= SCALAR).then(|| self.bound(limit))
    }

    /// Bytes of memory that the value takes, roughly as many as on the wire.
    #[must_use]
    pub fn size(&self) -> usize {
        match self {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Texts(texts) => texts.iter().map(|text| text.len() + size_of::<String>()).sum(),
            Value::Bools(bools) => bools.len() * 4,
            Value::Ints(ints) => ints.len() * 12,
            Value::Doubles(doubles) => doubles.len() * 12,
            Value::Bool(_) | Value::Int(_) | Value::Double(_) | Value::Null => SCALAR,
            Value::List(values) => values.iter().map(|value| value.size() + size_of::<Value>()).sum(),
            Value::Map(entries) => {
                let size =
                    |(key, value): &(String, Value)| key.len() + value.size() + size_of::<(String, Value)>();
                entries.iter().map(size).sum()
            }
        }
    }
}

/// Limit on the length of a text or a value of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// Bytes.
    pub bytes: usize,
    /// Characters of a text; values of bytes have one to each.
    pub chars: usize,
}

impl Length {
    /// A limit of so many bytes, however many characters they are.
    #[must_use]
    pub const fn bytes(bytes: usize) -> Self {
        Length { bytes, chars: usize::MAX }
    }

    /// The longest start of `text` that is within the limit.
    #[must_use]
    #[inline]
    pub fn shortened(self, text: &str) -> &str {
        if text.len() <= self.bytes.min(self.chars) { text } else { self.start_of(text) }
    }

    #[cold]
    fn start_of(self, text: &str) -> &str {
        let text = shortened(text, self.bytes);
        let end = text.char_indices().nth(self.chars).map_or(text.len(), |(at, _)| at);
        &text[..end]
    }

    fn cut(self, text: &mut String) {
        let len = self.shortened(text).len();
        if len < text.len() {
            text.truncate(len);
            text.shrink_to_fit();
        }
    }
}

/// The longest start of `text` that has at most `limit` bytes and ends between characters.
#[must_use]
pub fn shortened(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Keeps the first of `elements`, as many as fit: `bound` is given what is left, and says what it has taken of it.
fn keep<T>(elements: &mut Vec<T>, limit: usize, bound: impl Fn(&mut T, usize) -> Option<usize>) {
    let mut left = limit;
    let fits = |element: &mut T| {
        left = left.saturating_sub(bound(element, left)?);
        Some(())
    };
    let kept = elements.iter_mut().map_while(fits).count();
    elements.truncate(kept);
    elements.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(len: usize) -> Value {
        Value::Text("ä".repeat(len / 2))
    }

    #[test]
    fn structured_values_are_bounded_in_all_and_keep_what_comes_first() {
        let map = |n: i64| Value::Map(vec![("n".into(), Value::Int(n)), ("long".into(), text(4096))]);
        for mut value in [
            text(100_000),
            Value::Bytes(vec![0; 100_000]),
            Value::Texts(vec!["x".repeat(700); 1000]),
            Value::List(vec![text(4096); 1000]),
            Value::List(vec![Value::Null; 100_000]),
            Value::List((0..1000).map(map).collect()),
            Value::Map((0..1000).map(|n| (format!("{n:05}"), Value::List(vec![map(n); 3]))).collect()),
        ] {
            let given = value.clone();
            for limit in [100_000_000, 16 * 1024, 1000, 100, 8, 0] {
                value.bound(limit);
                assert!(value.size() <= limit, "{} of {limit}", value.size());
                assert!(limit < 100_000_000 || value == given, "what fits is left alone");
                assert!(limit != 16 * 1024 || value.size() > 15 * 1024, "no more is lost than must be");
            }
        }
        let mut value = Value::List(vec![Value::Int(7), text(100), Value::Int(8)]);
        value.bound(2 * size_of::<Value>() + 8 + 20);
        assert_eq!(value, Value::List(vec![Value::Int(7), text(20)]));
    }
}
