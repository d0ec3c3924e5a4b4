//! What the tests of spans and exporters share.

use super::*;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use std::collections::BTreeMap;
use std::io::Write;
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
