//! The attributes that tell one series of an instrument from another.

use crate::limits::{MAX_NAME, MAX_VALUE};
use crate::semconv::{self, is_reserved};
use crate::value::{Length, Value};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Attributes of one point.
pub(super) const MAX_ATTRIBUTES: usize = 32;

/// Bytes of the attributes of one point: each may have thousands of others beside it.
pub(super) const MAX_SIZE: usize = 16 * 1024;

/// Attributes with distinct keys, sorted by them; equal sets are the same series. Shared by a series and its place in the
/// map.
#[derive(Clone, Debug, Default)]
pub struct AttributeSet(Arc<[(Box<str>, Value)]>);

impl AttributeSet {
    /// The set that a guest gives, and how many attributes of it could not be kept. The last value of a key wins; keys
    /// beyond the limits of number and size are those that came last.
    pub fn of_guest(given: Vec<(String, Value)>) -> (Self, u64) {
        let mut kept: Vec<(Box<str>, Value)> = Vec::with_capacity(given.len().min(MAX_ATTRIBUTES));
        let (mut dropped, mut room) = (0, MAX_SIZE);
        for (key, mut value) in given {
            let is_ours = is_reserved(&key) || key == semconv::OTEL_METRIC_OVERFLOW;
            if key.is_empty() || key.len() > MAX_NAME || is_ours {
                dropped += 1;
                continue;
            }
            value.cut(Length::bytes(MAX_VALUE));
            let size = value.size();
            match kept.iter().position(|(known, _)| **known == *key) {
                Some(at) if size <= room + kept[at].1.size() => {
                    room = room + kept[at].1.size() - size;
                    kept[at].1 = value;
                }
                None if kept.len() < MAX_ATTRIBUTES && key.len() + size <= room => {
                    room -= key.len() + size;
                    kept.push((key.into(), value));
                }
                Some(_) | None => dropped += 1,
            }
        }
        kept.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        (AttributeSet(kept.into()), dropped)
    }

    /// The set that the host gives, with distinct keys.
    pub fn of_host(given: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let mut kept: Vec<(Box<str>, Value)> =
            given.into_iter().map(|(key, value)| (key.into(), value)).collect();
        kept.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        AttributeSet(kept.into())
    }

    /// The set of the series that stands for all for which there was no room.
    pub(super) fn overflow() -> Self {
        AttributeSet([(semconv::OTEL_METRIC_OVERFLOW.into(), Value::Bool(true))].into())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// Memory it takes, roughly.
    pub(super) fn size(&self) -> usize {
        self.0.len() * size_of::<(Box<str>, Value)>() + self.content()
    }

    /// Bytes of keys and values; at most [`MAX_SIZE`].
    pub(super) fn content(&self) -> usize {
        self.iter().map(|(key, value)| key.len() + value.size()).sum()
    }
}

/// Numbers are the same when their bits are, so that a NaN equals itself.
fn same(one: &Value, other: &Value) -> bool {
    let bits = |doubles: &[f64]| doubles.iter().map(|double| double.to_bits()).collect::<Vec<_>>();
    match (one, other) {
        (Value::Double(one), Value::Double(other)) => one.to_bits() == other.to_bits(),
        (Value::Doubles(one), Value::Doubles(other)) => bits(one) == bits(other),
        _ => one == other,
    }
}

impl PartialEq for AttributeSet {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|((key, value), (other_key, other_value))| key == other_key && same(value, other_value))
    }
}

impl Eq for AttributeSet {}

impl Hash for AttributeSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (key, value) in self.iter() {
            key.hash(state);
            std::mem::discriminant(value).hash(state);
            match value {
                Value::Text(text) => text.hash(state),
                Value::Bool(bool) => bool.hash(state),
                Value::Int(int) => int.hash(state),
                Value::Double(double) => double.to_bits().hash(state),
                Value::Bytes(bytes) => bytes.hash(state),
                Value::Texts(texts) => texts.hash(state),
                Value::Bools(bools) => bools.hash(state),
                Value::Ints(ints) => ints.hash(state),
                Value::Doubles(doubles) => doubles.iter().for_each(|double| double.to_bits().hash(state)),
                // Rare enough for their length to do.
                Value::List(values) => values.len().hash(state),
                Value::Map(entries) => entries.len().hash(state),
                Value::Null => {}
            }
        }
    }
}
