//! Calls of wasi:otel as a test spells them out: `do` is a JSON list of steps, done in order.
//!
//! | step | does |
//! | --- | --- |
//! | `{"see": true}` | notes what both names of the host's context give |
//! | `{"start": SPAN}`, `{"end": SPAN}` | `on-start`, `on-end` |
//! | `{"flood": N}` | N different `on-start`s |
//! | `{"send": URL, "traceparent": ID}` | calls URL, with the traceparent of that span if there is one |
//!
//! SPAN: `span` and `trace` (its ids; the trace is the host's by default), `state`, `parent` (`host` is the host's), `name`,
//! `kind` (`client`), `from` and `to` (`[seconds, nanoseconds]`; now by default), `attributes` (key to JSON text), `events`
//! (`[{"name", "at", "attributes"}]`), `links` (`[{"span", "trace", "state", "remote"}]`), `error`, `ok`, `scope`, `omitted`.
//! Any text may be `["a", N, "b"]`: N times `a`, then N times `b`.
//!
//! Answers `{"seen": [{"outer", "current"}], "sent": [STATUS]}`.

use std::time::SystemTime;

use guest_http::Call;
use serde_json::{Value as Json, json};

use crate::bindings::Datetime;
use crate::bindings::tracing::{self, Event, Link, SpanContext, SpanData, SpanKind, Status, TraceFlags};
use crate::bindings::types::{InstrumentationScope, KeyValue};
use crate::convert;

/// Does the steps of `script`.
pub(crate) async fn perform(
    script: &str,
    host: &SpanContext,
    mut send: impl AsyncFnMut(Call) -> Json,
) -> Vec<u8> {
    let (mut seen, mut sent) = (Vec::new(), Vec::new());
    let steps: Vec<Json> = serde_json::from_str(script).unwrap_or_default();
    for step in &steps {
        if step["see"].is_boolean() {
            let (outer, current) = (tracing::outer_span_context(), tracing::current_span_context());
            seen.push(json!({ "outer": told(&outer), "current": told(&current) }));
        }
        if step["start"].is_object() {
            tracing::on_start(&context(&step["start"], host));
        }
        if step["end"].is_object() {
            tracing::on_end(&span(&step["end"], host));
        }
        for number in 0..step["flood"].as_u64().unwrap_or(0) {
            let id = json!({ "span": format!("{:016x}", 0xf100d_0000 + number) });
            tracing::on_start(&context(&id, host));
        }
        if let Some(call) = step["send"].as_str().and_then(Call::get) {
            let parent = step["traceparent"].as_str();
            let call = parent.iter().fold(call, |call, parent| {
                call.header("traceparent", format!("00-{}-{parent}-01", host.trace_id))
            });
            sent.push(send(call).await);
        }
    }
    json!({ "seen": seen, "sent": sent }).to_string().into_bytes()
}

fn told(context: &SpanContext) -> Json {
    json!({
        "trace_id": context.trace_id,
        "span_id": context.span_id,
        "sampled": context.trace_flags.contains(TraceFlags::SAMPLED),
        "is_remote": context.is_remote,
        "state": context.trace_state,
    })
}

fn text(json: &Json) -> String {
    match json {
        Json::Array(parts) => {
            let times = parts.get(1).and_then(Json::as_u64).unwrap_or(0) as usize;
            let part = |at: usize| parts.get(at).and_then(Json::as_str).unwrap_or_default().repeat(times);
            part(0) + &part(2)
        }
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

fn time(json: &Json) -> Datetime {
    match (json[0].as_u64(), json[1].as_u64()) {
        (Some(seconds), Some(nanoseconds)) => Datetime { seconds, nanoseconds: nanoseconds as u32 },
        _ => convert::time(SystemTime::now()),
    }
}

fn attributes(json: &Json) -> Vec<KeyValue> {
    let entries = json.as_object().into_iter().flatten();
    entries.map(|(key, value)| KeyValue { key: key.clone(), value: text(value) }).collect()
}

fn context(json: &Json, host: &SpanContext) -> SpanContext {
    let state = json["state"].as_object().into_iter().flatten();
    SpanContext {
        trace_id: if json["trace"].is_null() { host.trace_id.clone() } else { text(&json["trace"]) },
        span_id: text(&json["span"]),
        trace_flags: TraceFlags::SAMPLED,
        is_remote: json["remote"] == true,
        trace_state: state.map(|(key, value)| (key.clone(), text(value))).collect(),
    }
}

fn span(json: &Json, host: &SpanContext) -> SpanData {
    let list = |key: &str| json[key].as_array().cloned().unwrap_or_default();
    let event = |event: &Json| Event {
        name: text(&event["name"]),
        time: time(&event["at"]),
        attributes: attributes(&event["attributes"]),
    };
    let link =
        |link: &Json| Link { span_context: context(link, host), attributes: attributes(&link["attributes"]) };
    let omitted = json["omitted"].as_u64().unwrap_or(0) as u32;
    SpanData {
        span_context: context(json, host),
        parent_span_id: if json["parent"] == "host" { host.span_id.clone() } else { text(&json["parent"]) },
        span_kind: if json["kind"] == "client" { SpanKind::Client } else { SpanKind::Internal },
        name: text(&json["name"]),
        start_time: time(&json["from"]),
        end_time: time(&json["to"]),
        attributes: attributes(&json["attributes"]),
        events: list("events").iter().map(event).collect(),
        links: list("links").iter().map(link).collect(),
        status: match (&json["error"], &json["ok"]) {
            (Json::String(message), _) => Status::Error(message.clone()),
            (_, Json::Bool(true)) => Status::Ok,
            _ => Status::Unset,
        },
        instrumentation_scope: InstrumentationScope {
            name: text(&json["scope"]),
            version: None,
            schema_url: None,
            attributes: Vec::new(),
        },
        dropped_attributes: omitted,
        dropped_events: omitted,
        dropped_links: omitted,
    }
}
