//! `OTEL_RESOURCE_ATTRIBUTES`, and the service's name, which may be one of them.

use percent_encoding::percent_decode_str;

use super::warn;
use crate::config::declared::Standard;
use crate::config::vars::Vars;

/// The resource attribute that has an option of its own.
pub(crate) const SERVICE_NAME: &str = "service.name";

const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The variable of this meaning, then the resource attribute.
pub(crate) fn service_name(vars: &Vars, warnings: &mut Vec<String>) -> Standard<Option<String>> {
    const VARIABLE: &str = "OTEL_SERVICE_NAME";
    if let Some(name) = vars.set(VARIABLE) {
        return Ok(Some((Some(name.to_owned()), VARIABLE)));
    }
    let attributes = resource_attributes(vars, warnings);
    let name = attributes.into_iter().find(|(key, value)| key == SERVICE_NAME && !value.is_empty());
    Ok(name.map(|(_, name)| (Some(name), RESOURCE_ATTRIBUTES)))
}

/// `key=value,…`, percent-decoded; on any error the whole value is discarded.
pub(crate) fn resource_attributes(vars: &Vars, warnings: &mut Vec<String>) -> Vec<(String, String)> {
    let Some(text) = vars.set(RESOURCE_ATTRIBUTES) else {
        return Vec::new();
    };
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
                warn(
                    warnings,
                    format!("{RESOURCE_ATTRIBUTES}: `{entry}` {what}; the whole value is ignored ({hint})"),
                );
                return Vec::new();
            }
        }
    }
    attributes
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
