//! Who sends the spans: the OTLP resource, encoded once at the start.

use super::semconv;
use crate::settings::Settings;
use pounce_otlp::id::TraceId;
use pounce_otlp::wire::{Borrowed, attribute};

/// The message `Resource` for `component`.
///
/// `service.name` is the option, else the one among the resource attributes, else the component's name, which is empty
/// for what a server of several components tells of itself: `pounce`. What the
/// user says of the instance stands; `telemetry.sdk.*` is ours: only the SDK itself may be called `opentelemetry`.
pub(super) fn encode(settings: &Settings, component: &str) -> Vec<u8> {
    let given = |key: &str| settings.resource_attributes.iter().rev().find(|(known, _)| known == key);
    let mut attributes: Vec<(&str, &str)> = Vec::new();
    let name = settings.service_name.as_deref();
    let name = name.or(given(semconv::SERVICE_NAME).map(|(_, value)| value.as_str())).unwrap_or(component);
    let name = if name.is_empty() { "pounce" } else { name };
    let instance = match given(semconv::SERVICE_INSTANCE_ID) {
        Some((_, id)) => id.clone(),
        None => random_uuid(),
    };
    attributes.push((semconv::SERVICE_NAME, name));
    attributes.push((semconv::SERVICE_INSTANCE_ID, &instance));
    attributes.push((semconv::TELEMETRY_SDK_NAME, "pounce"));
    attributes.push((semconv::TELEMETRY_SDK_LANGUAGE, "rust"));
    attributes.push((semconv::TELEMETRY_SDK_VERSION, env!("CARGO_PKG_VERSION")));
    // Keys must differ; of the user's own, the last value of a key wins.
    for (key, value) in settings.resource_attributes.iter().rev() {
        if attributes.iter().all(|(known, _)| known != key) {
            attributes.push((key, value));
        }
    }
    let mut message = Vec::new();
    for (key, value) in attributes {
        attribute(&mut message, 1, key, Borrowed::Text(value));
    }
    message
}

/// A random UUID, version 4.
fn random_uuid() -> String {
    let mut bytes = TraceId::random().0;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = TraceId(bytes).to_string();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{settings, text_attributes};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use prost::Message;
    use std::collections::BTreeMap;

    fn resource(option: Option<&str>, given: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut settings = settings();
        settings.service_name = option.map(str::to_owned);
        settings.resource_attributes =
            given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let attributes = Resource::decode(&*encode(&settings, "hello")).unwrap().attributes;
        let count = attributes.len();
        let map = text_attributes(&attributes);
        assert_eq!(map.len(), count, "keys differ");
        map
    }

    #[test]
    fn the_option_names_the_service_before_attributes_and_component() {
        let attributes = [("service.name", "attribute")];
        assert_eq!(resource(Some("option"), &attributes)["service.name"], "option");
        assert_eq!(resource(None, &attributes)["service.name"], "attribute");
        assert_eq!(resource(None, &[])["service.name"], "hello");
    }

    #[test]
    fn the_sdk_is_ours_and_the_rest_the_users() {
        let found =
            resource(None, &[("telemetry.sdk.name", "x"), ("a", "1"), ("a", "2"), ("service.version", "3")]);
        assert_eq!(found["telemetry.sdk.name"], "pounce");
        assert_eq!(found["telemetry.sdk.language"], "rust");
        assert_eq!(found["telemetry.sdk.version"], env!("CARGO_PKG_VERSION"));
        assert_eq!((found["a"].as_str(), found["service.version"].as_str()), ("2", "3"));
        assert_eq!(resource(None, &[("service.instance.id", "me")])["service.instance.id"], "me");
    }

    #[test]
    fn instances_have_random_uuids() {
        let (one, two) = (random_uuid(), random_uuid());
        assert_ne!(one, two);
        assert_eq!((one.len(), &one[14..15]), (36, "4"));
    }
}
