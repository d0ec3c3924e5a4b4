//! Values that come as JSON text, as `wasi:otel` has them.
//!
//! A guest may hand over anything for JSON, and is never told that it is wrong: what does not parse, or is larger than
//! a value may be, is kept as the text that it is.

use super::limits::MAX_NAME;
use super::value::Value;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// Lists and maps inside each other.
const MAX_DEPTH: u32 = 8;
/// Values inside one value: each takes ten times the memory that its text did.
const MAX_INNER: u32 = 1024;
/// What a text begins with that stands for bytes.
const BYTES: &str = "data:application/octet-stream;base64,";
/// With padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const LENIENT: GeneralPurposeConfig =
    general_purpose::PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// The value that `text` means; `text` itself where it is no JSON, or more of it than a value may hold.
pub fn value(text: String) -> Value {
    let mut left = MAX_INNER;
    let mut json = serde_json::Deserializer::from_str(&text);
    let parsed = Node { depth: 0, left: &mut left }.deserialize(&mut json);
    match parsed.and_then(|value| json.end().map(|()| value)) {
        Ok(value) => value,
        Err(_) => Value::Text(text),
    }
}

/// One value, so deep inside others, with room for so many more.
struct Node<'a> {
    depth: u32,
    left: &'a mut u32,
}

impl Node<'_> {
    /// One inside this one.
    fn inner<E: Error>(&mut self) -> Result<Node<'_>, E> {
        if self.depth >= MAX_DEPTH || *self.left == 0 {
            return Err(E::custom("larger than a value may be"));
        }
        *self.left -= 1;
        Ok(Node { depth: self.depth + 1, left: self.left })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Double(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(match text.strip_prefix(BYTES).map(|base64| BASE64.decode(base64)) {
            Some(Ok(bytes)) => Value::Bytes(bytes),
            _ => Value::Text(text.to_owned()),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        // The depth of an empty list counts too.
        while let Some(value) = list.next_element_seed(self.inner()?)? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        // The last of equal keys wins.
        let mut entries = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if key.len() > MAX_NAME {
                return Err(A::Error::custom("a key longer than it may be"));
            }
            entries.insert(key, map.next_value_seed(self.inner()?)?);
        }
        Ok(Value::Map(entries.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn each_kind_of_json_is_its_value() {
        for (json, expected) in [
            ("null", Value::Null),
            (" true ", Value::Bool(true)),
            ("-9223372036854775808", Value::Int(i64::MIN)),
            ("9223372036854775807", Value::Int(i64::MAX)),
            ("9223372036854775808", Value::Double(9_223_372_036_854_775_808.0)),
            ("18446744073709551616", Value::Double(18_446_744_073_709_551_616.0)),
            ("0.5", Value::Double(0.5)),
            ("1.0", Value::Double(1.0)),
            ("1e3", Value::Double(1000.0)),
            (r#""a\u00e4\n""#, text("aä\n")),
            ("[]", Value::List(vec![])),
            (
                r#"[1,"two",null,[3]]"#,
                Value::List(vec![Value::Int(1), text("two"), Value::Null, Value::List(vec![Value::Int(3)])]),
            ),
            (
                r#"{"b":{"c":false},"a":1,"a":2}"#,
                Value::Map(vec![
                    ("a".into(), Value::Int(2)),
                    ("b".into(), Value::Map(vec![("c".into(), Value::Bool(false))])),
                ]),
            ),
            (r#""data:application/octet-stream;base64,AAH/""#, Value::Bytes(vec![0, 1, 255])),
            (r#""data:application/octet-stream;base64,AAE=""#, Value::Bytes(vec![0, 1])),
            (r#""data:application/octet-stream;base64,AAE""#, Value::Bytes(vec![0, 1])),
            (r#""data:application/octet-stream;base64,""#, Value::Bytes(vec![])),
            (
                r#""data:application/octet-stream;base64,!!!""#,
                text("data:application/octet-stream;base64,!!!"),
            ),
        ] {
            assert_eq!(value(json.to_owned()), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_json_stays_what_it_is() {
        let long_key = format!("{{\"{}\":1}}", "k".repeat(MAX_NAME + 1));
        for raw in [
            "",
            " ",
            "not json",
            "{\"open\":",
            "[1,]",
            "1 2",
            "1e999",
            "NaN",
            "Infinity",
            "\"\\ud800\"",
            "'a'",
            "\u{feff}1",
            &long_key,
        ] {
            assert_eq!(value(raw.to_owned()), text(raw));
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_ne!(value(deep(MAX_DEPTH as usize)), text(&deep(MAX_DEPTH as usize)));
        for depth in [MAX_DEPTH as usize + 1, 100, 1_000_000] {
            assert_eq!(value(deep(depth)), text(&deep(depth)));
        }
        let maps = "{\"a\":".repeat(100) + "1" + &"}".repeat(100);
        assert_eq!(value(maps.clone()), text(&maps));
        let list = |len: usize| format!("[{}1]", "1,".repeat(len - 1));
        let Value::List(values) = value(list(1000)) else { panic!("a list") };
        assert_eq!(values.len(), 1000);
        assert_eq!(value(list(1_000_000)), text(&list(1_000_000)));
    }

    fn depth(value: &Value) -> u32 {
        match value {
            Value::List(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
            Value::Map(entries) => 1 + entries.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn inner(value: &Value) -> u32 {
        match value {
            Value::List(values) => values.iter().map(|value| 1 + inner(value)).sum(),
            Value::Map(entries) => entries.iter().map(|(_, value)| 1 + inner(value)).sum(),
            _ => 0,
        }
    }

    /// What serde_json's own tree is as a value.
    fn of_tree(tree: &serde_json::Value) -> Value {
        match tree {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(bool) => Value::Bool(*bool),
            serde_json::Value::Number(number) => {
                number.as_i64().map_or_else(|| Value::Double(number.as_f64().unwrap()), Value::Int)
            }
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(values) => Value::List(values.iter().map(of_tree).collect()),
            serde_json::Value::Object(entries) => {
                let mut entries: Vec<_> = entries.iter().map(|(k, v)| (k.clone(), of_tree(v))).collect();
                entries.sort_by(|(one, _), (other, _)| one.cmp(other));
                Value::Map(entries)
            }
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".{0,20}".prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(serde_json::Value::Array),
                proptest::collection::btree_map(".{0,20}", inner, 0..8)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_text_is_some_value_within_the_bounds(
            raw in prop_oneof![".{0,200}", "[\\[\\]{}\",:0-9a-z\\\\ .e+-]{0,400}"],
        ) {
            let value = value(raw);
            prop_assert!(depth(&value) <= MAX_DEPTH && inner(&value) <= MAX_INNER);
        }

        #[test]
        fn any_json_is_the_value_that_a_tree_of_it_is(json in any_json()) {
            // The text decides: a double may print as one that reads back as its neighbour.
            let text = json.to_string();
            let tree = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(value(text), of_tree(&tree));
        }
    }
}
