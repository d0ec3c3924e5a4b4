//! What the tests of spans and exporters share.

use super::*;
use crate::settings::Semconv;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode as Code};
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

mod exporting;
mod interfaces;
mod kept;
mod outcome;
mod sdk_spans;
mod spans;

/// Settings that record everything and have no exporter.
pub(super) fn settings() -> Settings {
    Settings::default()
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
pub(super) fn head(method: &str, uri: &str, headers: &[(&'static str, &str)]) -> http::request::Parts {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// A peer at 10.0.0.1:1234 that called port 8080 here.
pub(super) fn peer() -> Peer {
    Peer {
        remote: Some("10.0.0.1:1234".parse().unwrap()),
        local: Some("127.0.0.1:8080".parse().unwrap()),
        ..Peer::default()
    }
}

fn second() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

/// What `run` logs on this thread.
pub(super) fn logged(run: impl FnOnce()) -> String {
    let lines = Screen::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, run);
    lines.text()
}

/// A place to print to.
#[derive(Clone, Default)]
struct Screen(Arc<std::sync::Mutex<Vec<u8>>>);

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Telemetry whose spans stay in the buffers.
fn recording(change: impl FnOnce(&mut Settings)) -> Telemetry {
    let mut otel = settings();
    change(&mut otel);
    let sources = Sources::of_spans(Pipeline::new(2048, 512));
    Telemetry::new(&otel, "hello", sources, None)
}

pub(super) fn spans(telemetry: &Telemetry) -> Vec<Span> {
    let pipeline = &telemetry.spans().unwrap().pipeline;
    export::read(&pipeline.drain(false)).into_iter().flat_map(|of_scope| of_scope.spans).collect()
}

fn one(telemetry: &Telemetry) -> Span {
    let spans = spans(telemetry);
    assert_eq!(spans.len(), 1);
    let span = spans.into_iter().next().unwrap();
    let keys: std::collections::BTreeSet<_> = span.attributes.iter().map(|a| &a.key).collect();
    assert_eq!(keys.len(), span.attributes.len(), "keys differ: {:?}", span.attributes);
    span
}

/// `key = value` of every attribute, sorted.
fn lines(span: &Span) -> Vec<String> {
    let show = |value: &any_value::Value| match value {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(int) => int.to_string(),
        any_value::Value::BoolValue(bool) => bool.to_string(),
        any_value::Value::DoubleValue(double) => double.to_string(),
        other => format!("{other:?}"),
    };
    let mut lines: Vec<_> = span
        .attributes
        .iter()
        .map(|attribute| {
            let value = attribute.value.as_ref().unwrap().value.as_ref().unwrap();
            format!("{} = {}", attribute.key, show(value))
        })
        .collect();
    lines.sort();
    lines
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let prefix = format!("{key} = ");
    lines(span).iter().find_map(|line| Some(line.strip_prefix(&prefix)?.to_owned()))
}

fn status(span: &Span) -> (Code, &str) {
    span.status.as_ref().map_or((Code::Unset, ""), |status| (status.code(), &status.message))
}
