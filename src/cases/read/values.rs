//! Values of TOML as JSON, and as what is expected of JSON and of attributes.

use serde_json::{Number, Value as Json};
use toml::de::{DeTable, DeValue};

use crate::cases::expect::Want;
use crate::cases::pattern::Pattern;

/// An integer, where it is one of 64 bits.
pub(super) fn integer(value: &DeValue<'_>) -> Option<i64> {
    let DeValue::Integer(number) = value else { return None };
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A value as JSON.
pub(super) fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::String(text.clone().into_owned()),
        DeValue::Integer(number) => match integer(value) {
            Some(number) => number.into(),
            None => Json::String(number.to_string()),
        },
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            number.map_or(Json::Null, Json::Number)
        }
        DeValue::Boolean(value) => Json::Bool(*value),
        DeValue::Datetime(time) => Json::String(time.to_string()),
        DeValue::Array(list) => list.iter().map(|value| json(value.get_ref())).collect(),
        DeValue::Table(table) => {
            let entries = table.iter();
            Json::Object(
                entries.map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref()))).collect(),
            )
        }
    }
}

/// What is expected where `value` is: texts in it are patterns.
pub(super) fn want(value: Json) -> Want {
    match value {
        Json::String(text) => Want::Text(Pattern::new(&text)),
        Json::Array(list) => Want::List(list.into_iter().map(want).collect()),
        Json::Object(entries) => {
            Want::Object(entries.into_iter().map(|(key, value)| (key, want(value))).collect())
        }
        plain @ (Json::Null | Json::Bool(_) | Json::Number(_)) => Want::Plain(plain),
    }
}

/// Names with what each is to be, in the order of the file.
pub(super) fn wants(table: &DeTable<'_>) -> Vec<(String, Want)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        (key.to_string(), want(json(value.get_ref())))
    };
    entries.into_iter().map(entry).collect()
}
