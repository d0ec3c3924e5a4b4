//! `pounce:telemetry`: what a guest says about its own request.
//!
//! Every function is total: without a current request, when nothing is recorded or over a limit it does nothing, and
//! counts it. Child spans, metrics and logs are linked and do nothing yet; that is counted too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::AsContextMut;
use wasmtime::component::{Access, HasData, Linker, Resource};

use super::bindings::{logs, metrics, propagation as wit_propagation, tracing as wit, types};
use super::scope::RequestScope;
use super::state::{HostState, current_request};
use crate::telemetry::{Exception, ServerSpan, SpanContext, Status, Value, propagation};

/// Calls that did nothing, by reason; said at exit.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    /// No current request: a start function, work after the response, a subtask whose request is not certain.
    pub(crate) unattributed: AtomicU64,
    /// Child spans, metrics and logs, which this version does not record yet.
    pub(crate) unsupported: AtomicU64,
}

/// A handle on a span: the server span of a request, or a child span, which is not recorded yet.
pub struct GuestSpan {
    scope: Option<Arc<RequestScope>>,
    child: bool,
}

/// What `span.enter` gives.
pub struct GuestScope;

/// Names the host's data to the linker.
pub(crate) struct Telemetry;

impl HasData for Telemetry {
    type Data<'a> = &'a mut HostState;
}

/// Links the whole package.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    types::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    wit::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    wit_propagation::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    metrics::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    logs::add_to_linker::<HostState, Telemetry>(linker, |state| state)
}

type Host<'a> = Access<'a, HostState, Telemetry>;

/// The current request, or a count.
fn current(host: &mut Host<'_>) -> Option<Arc<RequestScope>> {
    let scope = current_request(&mut host.as_context_mut());
    if scope.is_none() {
        host.data_mut().ignored.unattributed.fetch_add(1, Ordering::Relaxed);
    }
    scope
}

/// The server span of the current request; one that is off where there is none.
fn span(host: &mut Host<'_>) -> ServerSpan {
    current(host).map_or_else(ServerSpan::off, |scope| scope.span.clone())
}

fn unsupported(host: &mut Host<'_>) {
    host.data_mut().ignored.unsupported.fetch_add(1, Ordering::Relaxed);
}

/// The server span that a handle names. Child spans and requests that are over do nothing.
fn server_span(host: &mut Host<'_>, handle: &Resource<GuestSpan>) -> wasmtime::Result<ServerSpan> {
    let span = host.data_mut().table.get(handle)?;
    if span.child {
        unsupported(host);
        return Ok(ServerSpan::off());
    }
    Ok(span.scope.as_ref().map_or_else(ServerSpan::off, |scope| scope.span.clone()))
}

impl From<types::Value> for Value {
    fn from(value: types::Value) -> Self {
        match value {
            types::Value::Text(value) => Self::Text(value),
            types::Value::Boolean(value) => Self::Bool(value),
            types::Value::Int(value) => Self::Int(value),
            types::Value::Double(value) => Self::Double(value),
            types::Value::Bytes(value) => Self::Bytes(value),
            types::Value::Texts(value) => Self::Texts(value),
            types::Value::Booleans(value) => Self::Bools(value),
            types::Value::Ints(value) => Self::Ints(value),
            types::Value::Doubles(value) => Self::Doubles(value),
        }
    }
}

fn attributes(attributes: Vec<types::Attribute>) -> Vec<(String, Value)> {
    attributes.into_iter().map(|attribute| (attribute.key, attribute.value.into())).collect()
}

impl From<types::Exception> for Exception {
    fn from(exception: types::Exception) -> Self {
        Self {
            kind: exception.kind,
            message: exception.message,
            stacktrace: exception.stacktrace,
            attributes: attributes(exception.attributes),
        }
    }
}

impl From<types::Status> for Status {
    fn from(status: types::Status) -> Self {
        match status {
            types::Status::Unset => Self::Unset,
            types::Status::Ok => Self::Ok,
            types::Status::Error(message) => Self::Error(message),
        }
    }
}

fn wit_context(context: &SpanContext) -> types::SpanContext {
    types::SpanContext {
        trace_id: context.trace_id.to_string(),
        span_id: context.span_id.to_string(),
        trace_flags: context.flags,
        trace_state: context.trace_state.to_string(),
    }
}

/// The context of a request's server span; while telemetry is off, that of its caller; else all zero.
fn context_of(scope: Option<&RequestScope>) -> types::SpanContext {
    let context = scope.and_then(|scope| {
        scope.span.context().or_else(|| {
            let mut headers = HeaderMap::new();
            for (name, value) in incoming(scope) {
                headers.insert(HeaderName::from_static(name), value.clone());
            }
            propagation::extract(&headers)
        })
    });
    context.as_ref().map_or_else(
        || types::SpanContext {
            trace_id: "0".repeat(32),
            span_id: "0".repeat(16),
            trace_flags: 0,
            trace_state: String::new(),
        },
        wit_context,
    )
}

fn incoming(scope: &RequestScope) -> impl Iterator<Item = (&'static str, &HeaderValue)> {
    let pair = &scope.incoming;
    [("traceparent", &pair.traceparent), ("tracestate", &pair.tracestate)]
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| (name, value)))
}

/// The headers that continue the trace of a request: of its server span, or the caller's as they came.
fn headers_of(scope: Option<&RequestScope>) -> Vec<types::Header> {
    let Some(scope) = scope else { return Vec::new() };
    let mut headers = HeaderMap::new();
    match scope.span.context() {
        Some(context) => propagation::inject(&context, &mut headers),
        None => {
            for (name, value) in incoming(scope) {
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

impl types::Host for &mut HostState {}
impl wit::Host for &mut HostState {}
impl wit::HostSpan for &mut HostState {}
impl wit::HostScope for &mut HostState {}
impl wit_propagation::Host for &mut HostState {}
impl metrics::Host for &mut HostState {}
impl logs::Host for &mut HostState {}

impl wit::HostWithStore<HostState> for Telemetry {
    fn is_recording(mut host: Host<'_>) -> wasmtime::Result<bool> {
        Ok(span(&mut host).is_recording())
    }

    fn current_context(mut host: Host<'_>) -> wasmtime::Result<types::SpanContext> {
        Ok(context_of(current(&mut host).as_deref()))
    }

    fn current(mut host: Host<'_>) -> wasmtime::Result<Resource<GuestSpan>> {
        let scope = current(&mut host);
        Ok(host.data_mut().table.push(GuestSpan { scope, child: false })?)
    }

    fn set_attribute(mut host: Host<'_>, key: String, value: types::Value) -> wasmtime::Result<()> {
        span(&mut host).set_attribute(&key, value.into());
        Ok(())
    }

    fn set_attributes(mut host: Host<'_>, list: Vec<types::Attribute>) -> wasmtime::Result<()> {
        set_all(&span(&mut host), list);
        Ok(())
    }

    fn add_event(mut host: Host<'_>, name: String, list: Vec<types::Attribute>) -> wasmtime::Result<()> {
        span(&mut host).add_event(&name, attributes(list));
        Ok(())
    }

    fn record_exception(mut host: Host<'_>, error: types::Exception) -> wasmtime::Result<()> {
        record(&span(&mut host), error);
        Ok(())
    }

    fn set_status(mut host: Host<'_>, status: types::Status) -> wasmtime::Result<()> {
        span(&mut host).set_status(status.into());
        Ok(())
    }

    fn set_route(mut host: Host<'_>, route: String) -> wasmtime::Result<()> {
        span(&mut host).set_route(&route);
        Ok(())
    }

    fn update_name(mut host: Host<'_>, name: String) -> wasmtime::Result<()> {
        span(&mut host).update_name(&name);
        Ok(())
    }
}

fn set_all(span: &ServerSpan, list: Vec<types::Attribute>) {
    if span.is_recording() {
        for attribute in list {
            span.set_attribute(&attribute.key, attribute.value.into());
        }
    }
}

/// `record-exception`: the event, and the error status with the exception's message.
fn record(span: &ServerSpan, error: types::Exception) {
    if span.is_recording() {
        let message = error.message.clone();
        span.record_exception(error.into());
        span.set_status(Status::Error(message));
    }
}

impl wit::HostSpanWithStore<HostState> for Telemetry {
    fn new(mut host: Host<'_>, _name: String) -> wasmtime::Result<Resource<GuestSpan>> {
        child(&mut host)
    }

    fn with_options(
        mut host: Host<'_>,
        _name: String,
        _options: wit::SpanOptions,
    ) -> wasmtime::Result<Resource<GuestSpan>> {
        child(&mut host)
    }

    fn context(mut host: Host<'_>, this: Resource<GuestSpan>) -> wasmtime::Result<types::SpanContext> {
        let span = host.data_mut().table.get(&this)?;
        Ok(context_of(span.scope.as_deref()))
    }

    fn is_recording(mut host: Host<'_>, this: Resource<GuestSpan>) -> wasmtime::Result<bool> {
        let span = host.data_mut().table.get(&this)?;
        Ok(!span.child && span.scope.as_ref().is_some_and(|scope| scope.span.is_recording()))
    }

    fn set_attribute(
        mut host: Host<'_>,
        this: Resource<GuestSpan>,
        key: String,
        value: types::Value,
    ) -> wasmtime::Result<()> {
        server_span(&mut host, &this)?.set_attribute(&key, value.into());
        Ok(())
    }

    fn set_attributes(
        mut host: Host<'_>,
        this: Resource<GuestSpan>,
        list: Vec<types::Attribute>,
    ) -> wasmtime::Result<()> {
        set_all(&server_span(&mut host, &this)?, list);
        Ok(())
    }

    fn add_event(
        mut host: Host<'_>,
        this: Resource<GuestSpan>,
        name: String,
        list: Vec<types::Attribute>,
        time: Option<u64>,
    ) -> wasmtime::Result<()> {
        server_span(&mut host, &this)?.add_event_at(&name, attributes(list), time);
        Ok(())
    }

    fn add_link(mut host: Host<'_>, this: Resource<GuestSpan>, _link: types::Link) -> wasmtime::Result<()> {
        host.data_mut().table.get(&this)?;
        unsupported(&mut host);
        Ok(())
    }

    fn record_exception(
        mut host: Host<'_>,
        this: Resource<GuestSpan>,
        error: types::Exception,
    ) -> wasmtime::Result<()> {
        record(&server_span(&mut host, &this)?, error);
        Ok(())
    }

    fn set_status(mut host: Host<'_>, this: Resource<GuestSpan>, status: types::Status) -> wasmtime::Result<()> {
        server_span(&mut host, &this)?.set_status(status.into());
        Ok(())
    }

    fn update_name(mut host: Host<'_>, this: Resource<GuestSpan>, name: String) -> wasmtime::Result<()> {
        server_span(&mut host, &this)?.update_name(&name);
        Ok(())
    }

    fn enter(mut host: Host<'_>, this: Resource<GuestSpan>) -> wasmtime::Result<Resource<GuestScope>> {
        host.data_mut().table.get(&this)?;
        Ok(host.data_mut().table.push(GuestScope)?)
    }

    fn end(mut host: Host<'_>, this: Resource<GuestSpan>, _time: Option<u64>) -> wasmtime::Result<()> {
        // The host ends the server span; a child is not recorded.
        host.data_mut().table.get(&this)?;
        Ok(())
    }

    fn drop(mut host: Host<'_>, this: Resource<GuestSpan>) -> wasmtime::Result<()> {
        host.data_mut().table.delete(this)?;
        Ok(())
    }
}

fn child(host: &mut Host<'_>) -> wasmtime::Result<Resource<GuestSpan>> {
    let scope = current(host);
    unsupported(host);
    Ok(host.data_mut().table.push(GuestSpan { scope, child: true })?)
}

impl wit::HostScopeWithStore<HostState> for Telemetry {
    fn drop(mut host: Host<'_>, this: Resource<GuestScope>) -> wasmtime::Result<()> {
        host.data_mut().table.delete(this)?;
        Ok(())
    }
}

impl wit_propagation::HostWithStore<HostState> for Telemetry {
    fn inject(mut host: Host<'_>) -> wasmtime::Result<Vec<types::Header>> {
        Ok(headers_of(current(&mut host).as_deref()))
    }

    fn inject_for(mut host: Host<'_>, this: Resource<GuestSpan>) -> wasmtime::Result<Vec<types::Header>> {
        let span = host.data_mut().table.get(&this)?;
        Ok(headers_of(span.scope.as_deref()))
    }

    fn extract(_host: Host<'_>, headers: Vec<types::Header>) -> wasmtime::Result<Option<types::SpanContext>> {
        let mut map = HeaderMap::new();
        for header in &headers {
            // Whatever else a message carries does not matter, and need not be a header that HTTP would take.
            let name = ["traceparent", "tracestate"].into_iter().find(|name| header.name.eq_ignore_ascii_case(name));
            if let (Some(name), Ok(value)) = (name, HeaderValue::from_str(&header.value)) {
                map.append(HeaderName::from_static(name), value);
            }
        }
        Ok(propagation::extract(&map).as_ref().map(wit_context))
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

impl metrics::HostWithStore<HostState> for Telemetry {
    fn add_counter(mut host: Host<'_>, _: String, _: u64, _: Vec<types::Attribute>) -> wasmtime::Result<()> {
        unsupported(&mut host);
        Ok(())
    }

    fn add_up_down(mut host: Host<'_>, _: String, _: i64, _: Vec<types::Attribute>) -> wasmtime::Result<()> {
        unsupported(&mut host);
        Ok(())
    }

    fn record_histogram(mut host: Host<'_>, _: String, _: f64, _: Vec<types::Attribute>) -> wasmtime::Result<()> {
        unsupported(&mut host);
        Ok(())
    }

    fn set_gauge(mut host: Host<'_>, _: String, _: f64, _: Vec<types::Attribute>) -> wasmtime::Result<()> {
        unsupported(&mut host);
        Ok(())
    }
}

impl logs::HostWithStore<HostState> for Telemetry {
    fn is_enabled(_host: Host<'_>, _severity: logs::Severity) -> wasmtime::Result<bool> {
        Ok(false)
    }

    fn emit(
        mut host: Host<'_>,
        _severity: logs::Severity,
        _body: types::Value,
        _event_name: Option<String>,
        _attributes: Vec<types::Attribute>,
    ) -> wasmtime::Result<()> {
        unsupported(&mut host);
        Ok(())
    }
}
