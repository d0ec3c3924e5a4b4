//! Values and attributes as the messages of OTLP that are not on a hot path.

use super::value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value};

/// The message `KeyValue`.
pub(super) fn key_value(key: &str, value: &Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any_value_of(value)), ..KeyValue::default() }
}

/// The message `AnyValue`.
pub(super) fn any_value_of(value: &Value) -> AnyValue {
    use any_value::Value as Any;
    let value = match value {
        Value::Text(text) => Any::StringValue(text.clone()),
        Value::Bool(bool) => Any::BoolValue(*bool),
        Value::Int(int) => Any::IntValue(*int),
        Value::Double(double) => Any::DoubleValue(*double),
        Value::Bytes(bytes) => Any::BytesValue(bytes.clone()),
        Value::Texts(texts) => array(texts, |text| Any::StringValue(text.clone())),
        Value::Bools(bools) => array(bools, |bool| Any::BoolValue(*bool)),
        Value::Ints(ints) => array(ints, |int| Any::IntValue(*int)),
        Value::Doubles(doubles) => array(doubles, |double| Any::DoubleValue(*double)),
        Value::Null => return AnyValue::default(),
        Value::List(values) => {
            Any::ArrayValue(ArrayValue { values: values.iter().map(any_value_of).collect() })
        }
        Value::Map(entries) => {
            let values = entries.iter().map(|(key, value)| key_value(key, value)).collect();
            Any::KvlistValue(KeyValueList { values })
        }
    };
    AnyValue { value: Some(value) }
}

fn array<T>(elements: &[T], any: impl Fn(&T) -> any_value::Value) -> any_value::Value {
    let values = elements.iter().map(|element| AnyValue { value: Some(any(element)) }).collect();
    any_value::Value::ArrayValue(ArrayValue { values })
}
