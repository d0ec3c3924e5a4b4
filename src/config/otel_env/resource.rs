//! `OTEL_RESOURCE_ATTRIBUTES`, and the service's name, which may be one of them.

use percent_encoding::percent_decode_str;

use super::reader::Reader;
use crate::config::declared::Standard;

/// The resource attribute that has an option of its own.
const SERVICE_NAME: &str = "service.name";

/// The variable of this meaning, then the resource attribute.
pub(crate) fn service_name(reader: &mut Reader<'_>, variables: &[&'static str]) -> Standard<Option<String>> {
    let [own, attributes] = *variables else { return Ok(None) };
    if let Some(name) = reader.vars.set(own) {
        return Ok(Some((Some(name.to_owned()), own)));
    }
    let of_all = reader.vars.set(attributes).and_then(|text| pairs(reader, attributes, text));
    let name = of_all.into_iter().flatten().find(|(key, value)| key == SERVICE_NAME && !value.is_empty());
    Ok(name.map(|(_, name)| (Some(name), attributes)))
}

/// The attributes without the service's name.
pub(super) fn attributes(
    reader: &mut Reader<'_>,
    variable: &'static str,
    text: &str,
) -> Option<Vec<(String, String)>> {
    let pairs = pairs(reader, variable, text)?;
    Some(pairs.into_iter().filter(|(key, _)| key != SERVICE_NAME).collect())
}

/// `key=value,…`, percent-decoded; on any error the whole value is discarded.
fn pairs(reader: &mut Reader<'_>, variable: &str, text: &str) -> Option<Vec<(String, String)>> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let read = || {
            let (key, value) = entry.split_once('=').ok_or("has no `=`")?;
            let (key, value) = (decode(key.trim())?, decode(value.trim())?);
            if key.is_empty() { Err("has no key") } else { Ok((key, value)) }
        };
        match read() {
            Ok((key, value)) => {
                attributes.retain(|(known, _)| *known != key);
                attributes.push((key, value));
            }
            Err(what) => {
                let hint = "write key=value,key=value with other characters percent-encoded";
                reader.warn(format!("{variable}: `{entry}` {what}; the whole value is ignored ({hint})"));
                return None;
            }
        }
    }
    Some(attributes)
}

fn decode(text: &str) -> Result<String, &'static str> {
    let mut rest = text;
    while let Some(percent) = rest.find('%') {
        rest = &rest[percent + 1..];
        if !rest.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
            return Err("has a % without two hexadecimal digits");
        }
    }
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| "is not UTF-8 once decoded")
}
