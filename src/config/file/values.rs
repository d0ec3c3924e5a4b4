//! TOML values as the texts that a flag or a variable would have.

use toml::de::DeValue;

/// A value as the texts it would be typed as; else what was expected.
pub(super) fn texts(value: &DeValue<'_>, list: bool) -> Result<Vec<String>, &'static str> {
    match value {
        DeValue::Array(items) if list => {
            items.iter().map(|item| text(item.get_ref()).ok_or("a list of texts")).collect()
        }
        value => match text(value) {
            Some(text) => Ok(vec![text]),
            None if list => Err("a list of texts"),
            None => Err("a text or a number"),
        },
    }
}

/// A value that is neither a list nor a table, as the text it would be typed as.
pub(crate) fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => number.as_str().to_owned(),
        }),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// What a value is, for messages.
pub(crate) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
        DeValue::Datetime(_) => "a date",
        _ => "a value",
    }
}
