//! `pounce:telemetry/propagation`: the trace of a request, for calls that the host cannot see.

use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::component::Resource;

use super::span::named;
use super::{GuestSpan, Host, Telemetry, convert, current, unsupported};
use crate::host::bindings::{propagation as wit, types};
use crate::host::{HostState, Trace};
use crate::telemetry::{SpanContext, propagation};

/// `context`; while telemetry is off, that of the request's caller; else all zero.
pub(in crate::host) fn context_of(trace: Option<&Trace>, context: Option<SpanContext>) -> types::SpanContext {
    let context = context.or_else(|| {
        let mut headers = HeaderMap::new();
        for (name, value) in trace.into_iter().flat_map(incoming) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
        propagation::extract(&headers)
    });
    context.as_ref().map_or_else(
        || types::SpanContext {
            trace_id: "0".repeat(32),
            span_id: "0".repeat(16),
            trace_flags: 0,
            trace_state: String::new(),
        },
        convert::context,
    )
}

fn incoming(trace: &Trace) -> impl Iterator<Item = (&'static str, &HeaderValue)> {
    let pair = trace.incoming.as_deref();
    let parent = pair.and_then(|pair| pair.traceparent.as_ref()).map(|value| ("traceparent", value));
    let state = pair.and_then(|pair| pair.tracestate.as_ref()).map(|value| ("tracestate", value));
    parent.into_iter().chain(state)
}

/// The headers that continue the trace of a request under `context`, or the caller's as they came.
fn headers_of(trace: Option<&Trace>, context: Option<SpanContext>) -> Vec<types::Header> {
    let Some(trace) = trace else {
        return Vec::new();
    };
    let mut headers = HeaderMap::new();
    match context {
        Some(context) => propagation::inject(&context, &mut headers),
        None => {
            for (name, value) in incoming(trace) {
                headers.insert(HeaderName::from_static(name), value.clone());
            }
        }
    }
    headers
        .iter()
        .map(|(name, value)| types::Header {
            name: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        })
        .collect()
}

impl wit::Host for &mut HostState {}

impl wit::HostWithStore<HostState> for Telemetry {
    fn inject(mut host: Host<'_>) -> wasmtime::Result<Vec<types::Header>> {
        let current = current(&mut host);
        let context = current.as_ref().and_then(|current| current.context());
        Ok(headers_of(current.as_ref().map(|current| &current.trace), context))
    }

    fn inject_for(mut host: Host<'_>, this: Resource<GuestSpan>) -> wasmtime::Result<Vec<types::Header>> {
        let span = named(&mut host, &this);
        Ok(headers_of(span.trace(), span.context()))
    }

    fn extract(_host: Host<'_>, headers: Vec<types::Header>) -> wasmtime::Result<Option<types::SpanContext>> {
        let mut map = HeaderMap::new();
        for header in &headers {
            // Whatever else a message carries does not matter, and need not be a header that HTTP would take.
            let name =
                ["traceparent", "tracestate"].into_iter().find(|name| header.name.eq_ignore_ascii_case(name));
            if let (Some(name), Ok(value)) = (name, HeaderValue::from_str(&header.value)) {
                map.append(HeaderName::from_static(name), value);
            }
        }
        Ok(propagation::extract(&map).as_ref().map(convert::context))
    }

    fn baggage(mut host: Host<'_>) -> wasmtime::Result<Vec<types::Header>> {
        unsupported(&mut host);
        Ok(Vec::new())
    }

    fn set_baggage(mut host: Host<'_>, _name: String, _value: String) -> wasmtime::Result<bool> {
        unsupported(&mut host);
        Ok(false)
    }
}
