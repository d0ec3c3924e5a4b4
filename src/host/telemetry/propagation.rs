//! `pounce:telemetry/propagation`: the trace of a request, for calls that the host cannot see.

use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::component::Resource;

use super::span::named;
use super::{GuestSpan, Host, Telemetry, convert, current, invalid};
use crate::host::bindings::{propagation as wit, types};
use crate::host::{HostState, Trace};
use pounce_telemetry::{Baggage, Propagator, SpanContext};

/// `context`; while telemetry is off, that of the request's caller; else all zero.
pub(in crate::host) fn context_of(trace: Option<&Trace>, context: Option<SpanContext>) -> types::SpanContext {
    let context = context.or_else(|| {
        let mut headers = HeaderMap::new();
        for (name, value) in trace.into_iter().flat_map(incoming) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
        Propagator::default().extract(&headers).context
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
    let pair = trace.incoming.as_ref();
    let parent = pair.and_then(|pair| pair.traceparent.as_ref()).map(|value| ("traceparent", value));
    let state = pair.and_then(|pair| pair.tracestate.as_ref()).map(|value| ("tracestate", value));
    parent.into_iter().chain(state)
}

/// The headers that continue the trace of a request under `context`, or the caller's as they came.
fn headers_of(
    propagator: &Propagator,
    trace: Option<&Trace>,
    context: Option<SpanContext>,
    baggage: &Baggage,
) -> Vec<types::Header> {
    let Some(trace) = trace else {
        return Vec::new();
    };
    let mut headers = HeaderMap::new();
    match context {
        Some(context) => propagator.inject(&context, baggage, &mut headers),
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
        let trace = current.as_ref().map(|current| &current.trace);
        let baggage = trace.map(|trace| trace.baggage()).unwrap_or_default();
        Ok(headers_of(&host.data_mut().capabilities.propagator, trace, context, &baggage))
    }

    fn inject_for(mut host: Host<'_>, this: Resource<GuestSpan>) -> wasmtime::Result<Vec<types::Header>> {
        let propagator = host.data_mut().capabilities.propagator.clone();
        let span = named(&mut host, &this);
        // The baggage, too, is of the span's request, whoever calls.
        let baggage = span.trace().map(|trace| trace.baggage()).unwrap_or_default();
        Ok(headers_of(&propagator, span.trace(), span.context(), &baggage))
    }

    fn extract(
        mut host: Host<'_>,
        headers: Vec<types::Header>,
    ) -> wasmtime::Result<Option<types::SpanContext>> {
        let propagator = &host.data_mut().capabilities.propagator;
        let mut map = HeaderMap::new();
        for header in &headers {
            // Whatever else a message carries does not matter, and need not be a header that HTTP would take.
            let name = propagator.fields().find(|name| header.name.eq_ignore_ascii_case(name.as_str()));
            if let (Some(name), Ok(value)) = (name, HeaderValue::from_str(&header.value)) {
                map.append(name, value);
            }
        }
        Ok(propagator.extract(&map).context.as_ref().map(convert::context))
    }

    fn baggage(mut host: Host<'_>) -> wasmtime::Result<Vec<types::Header>> {
        let baggage = current(&mut host).map(|current| current.trace.baggage()).unwrap_or_default();
        Ok(baggage.entries().into_iter().map(|(name, value)| types::Header { name, value }).collect())
    }

    fn set_baggage(mut host: Host<'_>, name: String, value: String) -> wasmtime::Result<bool> {
        let Some(current) = current(&mut host) else {
            return Ok(false);
        };
        // What no request would carry is not taken.
        if !current.trace.span.is_on() || !host.data_mut().capabilities.propagator.carries_baggage() {
            return Ok(false);
        }
        let set = current.trace.set_baggage(&name, &value);
        if !set {
            invalid(&mut host);
        }
        Ok(set)
    }
}
