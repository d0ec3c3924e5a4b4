//! What the tests of spans and exporters share.

use super::*;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use std::collections::BTreeMap;
use std::time::Duration;

mod exporting;
mod spans;

/// Settings that record everything and have no exporter.
pub(super) fn settings() -> config::Otel {
    config::Otel::default()
}

/// The attributes that are text.
pub(super) fn text_attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.clone()?.value? {
        any_value::Value::StringValue(text) => Some((attribute.key.clone(), text)),
        _ => None,
    };
    attributes.iter().filter_map(text).collect()
}

/// The head of a request to `uri`.
fn head(method: &str, uri: &str, headers: &[(&'static str, &str)]) -> http::request::Parts {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// A peer at 10.0.0.1:1234 that called port 8080 here.
fn peer() -> Peer {
    Peer {
        remote: Some("10.0.0.1:1234".parse().unwrap()),
        local: Some("127.0.0.1:8080".parse().unwrap()),
        tls: false,
    }
}

fn second() -> Instant {
    Instant::now() + Duration::from_secs(1)
}
