//! Attributes as tests read them, and exact comparison with a diff.
//!
//! Expected attributes are written one a line, `key = value`, the way [`Value`] prints: text in quotes, integers bare,
//! doubles with a point, lists in brackets. A line that starts with `?` may be missing. In place of a value:
//! `<port>`, `<bytes>` (an integer from 0), `<seconds>` (a double from 0), `<text>` (not empty), `<bool>`, `<any>`;
//! `key ~ "part"` is a text that contains the part.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// Attributes by key.
pub(crate) type Attributes = BTreeMap<String, Value>;

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// string
    Text(String),
    /// bool
    Bool(bool),
    /// i64
    Int(i64),
    /// f64
    Double(f64),
    /// bytes
    Bytes(Vec<u8>),
    /// array
    List(Vec<Value>),
    /// map
    Map(Attributes),
    /// absent, or a kind that nobody here sends
    Other(String),
}

/// Fails unless `actual` is exactly the `expected` lines, and shows where not.
pub(crate) fn expect(what: &str, actual: &Attributes, expected: &str) {
    if let Some(difference) = difference(actual, expected) {
        panic!("{what} differ\n{difference}");
    }
}

fn difference(actual: &Attributes, expected: &str) -> Option<String> {
    let mut lines = BTreeMap::new();
    for line in expected.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (optional, rule) = line.strip_prefix('?').map_or((false, line), |rule| (true, rule.trim_start()));
        let (key, rest) = rule.split_once(' ').expect("`key = value` or `key ~ \"part\"`");
        assert!(lines.insert(key, (optional, rest)).is_none(), "{key} is expected twice");
    }
    let mut text = String::new();
    let mut wrong = false;
    for (key, value) in actual {
        let (mark, note) = match lines.remove(key.as_str()) {
            Some((_, rule)) if value.fits(rule) => ("  ", String::new()),
            Some((_, rule)) => ("! ", format!("    expected {rule}")),
            None => ("+ ", "    not expected".to_owned()),
        };
        wrong |= mark != "  ";
        writeln!(text, "{mark}{key} = {value}{note}").unwrap();
    }
    for (key, (_, rule)) in lines.into_iter().filter(|(_, (optional, _))| !optional) {
        wrong = true;
        writeln!(text, "- {key} {rule}    missing").unwrap();
    }
    wrong.then_some(text)
}

impl Value {
    fn fits(&self, rule: &str) -> bool {
        let (operator, wanted) = rule.split_once(' ').expect("an operator and a value");
        match (operator, wanted, self) {
            ("~", part, Value::Text(text)) => text.contains(part.trim_matches('"')),
            ("=", "<any>", _) => true,
            ("=", "<text>", Value::Text(text)) => !text.is_empty(),
            ("=", "<bool>", Value::Bool(_)) => true,
            ("=", "<port>", Value::Int(n)) => (1..=65535).contains(n),
            ("=", "<bytes>", Value::Int(n)) => *n >= 0,
            ("=", "<seconds>", Value::Double(s)) => (0.0..3600.0).contains(s),
            ("=", wanted, value) => value.to_string() == wanted,
            _ => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Double(value) => write!(f, "{value:?}"),
            Value::Bytes(bytes) => write!(f, "0x{}", hex(bytes)),
            Value::List(values) => {
                let values: Vec<_> = values.iter().map(Value::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
            Value::Map(entries) => {
                let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                write!(f, "{{{}}}", entries.join(", "))
            }
            Value::Other(kind) => write!(f, "<{kind}>"),
        }
    }
}

/// Reads the attributes of a message; a key that comes twice is a failure.
pub(crate) fn read(list: Vec<KeyValue>) -> Attributes {
    let mut map = Attributes::new();
    for pair in list {
        let earlier = map.insert(pair.key.clone(), value(pair.value.unwrap_or_default()));
        assert!(earlier.is_none(), "{} is there twice", pair.key);
    }
    map
}

fn value(any: AnyValue) -> Value {
    use any_value::Value as V;
    match any.value {
        Some(V::StringValue(text)) => Value::Text(text),
        Some(V::BoolValue(value)) => Value::Bool(value),
        Some(V::IntValue(value)) => Value::Int(value),
        Some(V::DoubleValue(value)) => Value::Double(value),
        Some(V::BytesValue(bytes)) => Value::Bytes(bytes),
        Some(V::ArrayValue(list)) => Value::List(list.values.into_iter().map(value).collect()),
        Some(V::KvlistValue(map)) => Value::Map(read(map.values)),
        other => Value::Other(format!("{other:?}")),
    }
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The comparison must be able to fail, or no test that uses it can.
#[test]
fn comparison_finds_each_kind_of_difference() {
    let map = |pairs: &[(&str, Value)]| {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect::<Attributes>()
    };
    let actual = map(&[("a", Value::Int(7)), ("b", Value::Text("seven".into())), ("c", Value::Double(0.5))]);
    let same = "a = 7\n b = \"seven\"\n c = <seconds>\n ? d = 1";
    assert_eq!(difference(&actual, same), None);
    for (wrong, shown) in [
        ("a = 7\n b = \"seven\"", "+ c = 0.5    not expected"),
        ("a = \"7\"\n b = \"seven\"\n c = 0.5", "! a = 7    expected = \"7\""),
        ("a = 7\n b ~ \"eight\"\n c = 0.5", "! b = \"seven\"    expected ~ \"eight\""),
        ("a = <seconds>\n b = <text>\n c = <any>", "! a = 7    expected = <seconds>"),
        ("a = 7\n b = <text>\n c = 0.5\n d = 1", "- d = 1    missing"),
        ("a = 7\n b = <text>\n ? c = 1.5", "! c = 0.5    expected = 1.5"),
    ] {
        let difference = difference(&actual, wrong).unwrap_or_default();
        assert!(difference.contains(shown), "{wrong:?} gave\n{difference}");
    }
}
