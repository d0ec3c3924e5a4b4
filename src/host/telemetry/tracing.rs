//! `pounce:telemetry/tracing`: what a guest says about the span of its request, and handles on spans.

use wasmtime::component::Resource;

use super::propagation::context_of;
use super::{GuestScope, GuestSpan, Host, Telemetry, convert, current, span, unsupported};
use crate::host::HostState;
use crate::host::bindings::{tracing as wit, types};
use crate::telemetry::{ServerSpan, Status};

impl wit::Host for &mut HostState {}
impl wit::HostSpan for &mut HostState {}
impl wit::HostScope for &mut HostState {}

/// The server span that a handle names. Child spans and requests that are over do nothing.
fn server_span(host: &mut Host<'_>, handle: &Resource<GuestSpan>) -> wasmtime::Result<ServerSpan> {
    let span = host.data_mut().table.get(handle)?;
    if span.child {
        unsupported(host);
        return Ok(ServerSpan::off());
    }
    Ok(span.trace.as_ref().map_or_else(ServerSpan::off, |trace| trace.span.clone()))
}

impl wit::HostWithStore<HostState> for Telemetry {
    fn is_recording(mut host: Host<'_>) -> wasmtime::Result<bool> {
        Ok(span(&mut host).is_recording())
    }

    fn current_context(mut host: Host<'_>) -> wasmtime::Result<types::SpanContext> {
        Ok(context_of(current(&mut host).as_ref()))
    }

    fn current(mut host: Host<'_>) -> wasmtime::Result<Resource<GuestSpan>> {
        let trace = current(&mut host);
        Ok(host.data_mut().table.push(GuestSpan { trace, child: false })?)
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
        span(&mut host).add_event(&name, convert::attributes(list));
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
        Ok(context_of(span.trace.as_ref()))
    }

    fn is_recording(mut host: Host<'_>, this: Resource<GuestSpan>) -> wasmtime::Result<bool> {
        let span = host.data_mut().table.get(&this)?;
        Ok(!span.child && span.trace.as_ref().is_some_and(|trace| trace.span.is_recording()))
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
        server_span(&mut host, &this)?.add_event_at(&name, convert::attributes(list), time);
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

    fn set_status(
        mut host: Host<'_>,
        this: Resource<GuestSpan>,
        status: types::Status,
    ) -> wasmtime::Result<()> {
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
    let trace = current(host);
    unsupported(host);
    Ok(host.data_mut().table.push(GuestSpan { trace, child: true })?)
}

impl wit::HostScopeWithStore<HostState> for Telemetry {
    fn drop(mut host: Host<'_>, this: Resource<GuestScope>) -> wasmtime::Result<()> {
        host.data_mut().table.delete(this)?;
        Ok(())
    }
}
