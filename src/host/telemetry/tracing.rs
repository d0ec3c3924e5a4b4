//! `pounce:telemetry/tracing`: what a guest says about the span of its request, and spans of its own.

use wasmtime::component::Resource;

use super::propagation::context_of;
use super::span::{self, GuestSpan, forget_nothing, give, named, nothing, take};
use super::{GuestScope, Host, Telemetry, convert, current, invalid, on_span, scopes};
use crate::config::GuestParents;
use crate::host::HostState;
use crate::host::bindings::{tracing as wit, types};
use pounce_telemetry::{ChildOptions, Linked, ServerSpan, Span, SpanContext};

impl wit::Host for &mut HostState {}
impl wit::HostSpan for &mut HostState {}
impl wit::HostScope for &mut HostState {}

type Result<T> = wasmtime::Result<T>;

impl wit::HostWithStore<HostState> for Telemetry {
    fn is_recording(mut host: Host<'_>) -> Result<bool> {
        Ok(on_span(&mut host, |span| span.is_recording()))
    }

    fn current_context(mut host: Host<'_>) -> Result<types::SpanContext> {
        let current = current(&mut host);
        let context = current.as_ref().and_then(|current| current.context());
        Ok(context_of(current.as_ref().map(|current| &current.trace), context))
    }

    fn current(mut host: Host<'_>) -> Result<Resource<GuestSpan>> {
        let handle = GuestSpan::of(current(&mut host));
        Ok(give(&mut host, handle))
    }

    fn set_attribute(mut host: Host<'_>, key: String, value: types::Value) -> Result<()> {
        on_span(&mut host, |span| span.set_attribute(&key, value.into()));
        Ok(())
    }

    fn set_attributes(mut host: Host<'_>, list: Vec<types::Attribute>) -> Result<()> {
        on_span(&mut host, |span| span::set_attributes(span, list));
        Ok(())
    }

    fn add_event(mut host: Host<'_>, name: String, list: Vec<types::Attribute>) -> Result<()> {
        on_span(&mut host, |span| span::add_event(span, &name, list, None));
        Ok(())
    }

    fn record_exception(mut host: Host<'_>, error: types::Exception) -> Result<()> {
        on_span(&mut host, |span| span::record_exception(span, error));
        Ok(())
    }

    fn set_status(mut host: Host<'_>, status: types::Status) -> Result<()> {
        on_span(&mut host, |span| span.set_status(status.into()));
        Ok(())
    }

    fn set_route(mut host: Host<'_>, route: String) -> Result<()> {
        on_span(&mut host, |span| span.set_route(&route));
        Ok(())
    }

    fn update_name(mut host: Host<'_>, name: String) -> Result<()> {
        on_span(&mut host, |span| span.update_name(&name));
        Ok(())
    }
}

/// Starts a span of the guest's own.
fn start(host: &mut Host<'_>, name: &str, wanted: Option<wit::SpanOptions>) -> Result<Resource<GuestSpan>> {
    let handle = match current(host) {
        None => GuestSpan::new(None, Span::off()),
        Some(current) => {
            let server = &current.trace.span;
            let mut options = ChildOptions::default();
            let mut parent = current.context();
            if let Some(wanted) = wanted.filter(|_| server.is_recording_children()) {
                options.kind = Some(wanted.kind.into());
                options.start = wanted.start_time;
                options.attributes = convert::attributes(wanted.attributes);
                for link in wanted.links {
                    match convert::remote(&link.context) {
                        Some(context) => {
                            options.links.push((context.into(), convert::attributes(link.attributes)));
                        }
                        None => invalid(host),
                    }
                }
                parent = match wanted.parent {
                    wit::Parent::Current => parent,
                    wit::Parent::Invocation => server.context(),
                    wit::Parent::Remote(remote) => remote_parent(host, server, &remote, &mut options),
                };
            }
            let child = server.child(parent.as_ref(), name, options);
            GuestSpan::new(Some(current.trace), child)
        }
    };
    Ok(give(host, handle))
}

/// What a context that the guest holds is to its new span: the parent where it is this request's or may be adopted,
/// else a link.
fn remote_parent(
    host: &mut Host<'_>,
    server: &ServerSpan,
    remote: &types::SpanContext,
    options: &mut ChildOptions,
) -> Option<SpanContext> {
    let Some(context) = convert::remote(remote) else {
        invalid(host);
        return server.context();
    };
    if server.owns(&context) {
        return Some(context);
    }
    match host.data_mut().capabilities.guest_parents {
        GuestParents::Adopt => {
            options.parent_is_remote = true;
            // What leads back from the other trace to the request.
            options.links.extend(server.context().map(|own| (Linked::local(own), Vec::new())));
            Some(context)
        }
        GuestParents::Link => {
            options.links.insert(0, (Linked::remote(context), Vec::new()));
            server.context()
        }
    }
}

impl wit::HostSpanWithStore<HostState> for Telemetry {
    fn new(mut host: Host<'_>, name: String) -> Result<Resource<GuestSpan>> {
        start(&mut host, &name, None)
    }

    fn with_options(
        mut host: Host<'_>,
        name: String,
        options: wit::SpanOptions,
    ) -> Result<Resource<GuestSpan>> {
        start(&mut host, &name, Some(options))
    }

    fn context(mut host: Host<'_>, this: Resource<GuestSpan>) -> Result<types::SpanContext> {
        let span = named(&mut host, &this);
        Ok(context_of(span.trace(), span.context()))
    }

    fn is_recording(mut host: Host<'_>, this: Resource<GuestSpan>) -> Result<bool> {
        Ok(named(&mut host, &this).span().is_recording())
    }

    fn set_attribute(
        mut host: Host<'_>,
        this: Resource<GuestSpan>,
        key: String,
        value: types::Value,
    ) -> Result<()> {
        named(&mut host, &this).span().set_attribute(&key, value.into());
        Ok(())
    }

    fn set_attributes(
        mut host: Host<'_>,
        this: Resource<GuestSpan>,
        list: Vec<types::Attribute>,
    ) -> Result<()> {
        span::set_attributes(named(&mut host, &this).span(), list);
        Ok(())
    }

    fn add_event(
        mut host: Host<'_>,
        this: Resource<GuestSpan>,
        name: String,
        list: Vec<types::Attribute>,
        time: Option<u64>,
    ) -> Result<()> {
        span::add_event(named(&mut host, &this).span(), &name, list, time);
        Ok(())
    }

    fn add_link(mut host: Host<'_>, this: Resource<GuestSpan>, link: types::Link) -> Result<()> {
        let span = named(&mut host, &this).span();
        match convert::remote(&link.context) {
            Some(context) => span::add_link(span, context, link.attributes),
            // A span of ours has an invalid context too, where nothing is recorded.
            None if span.takes_writes() => invalid(&mut host),
            None => {}
        }
        Ok(())
    }

    fn record_exception(
        mut host: Host<'_>,
        this: Resource<GuestSpan>,
        error: types::Exception,
    ) -> Result<()> {
        span::record_exception(named(&mut host, &this).span(), error);
        Ok(())
    }

    fn set_status(mut host: Host<'_>, this: Resource<GuestSpan>, status: types::Status) -> Result<()> {
        named(&mut host, &this).span().set_status(status.into());
        Ok(())
    }

    fn update_name(mut host: Host<'_>, this: Resource<GuestSpan>, name: String) -> Result<()> {
        named(&mut host, &this).span().update_name(&name);
        Ok(())
    }

    fn enter(mut host: Host<'_>, this: Resource<GuestSpan>) -> Result<Resource<GuestScope>> {
        // What entered nothing needs no place in the table.
        let Some(key) = scopes::enter(&mut host, &this) else {
            return Ok(nothing(&mut host));
        };
        let given = host.data_mut().table.push(GuestScope(key));
        Ok(given.unwrap_or_else(|_| {
            // Nobody could leave it again.
            host.data_mut().requests.leave(key);
            invalid(&mut host);
            nothing(&mut host)
        }))
    }

    fn end(mut host: Host<'_>, this: Resource<GuestSpan>, time: Option<u64>) -> Result<()> {
        named(&mut host, &this).end(time);
        Ok(())
    }

    fn drop(mut host: Host<'_>, this: Resource<GuestSpan>) -> Result<()> {
        if let Some(span) = take(&mut host, this) {
            span.dropped();
        }
        Ok(())
    }
}

impl wit::HostScopeWithStore<HostState> for Telemetry {
    fn drop(mut host: Host<'_>, this: Resource<GuestScope>) -> Result<()> {
        forget_nothing(&mut host, &this);
        let state = host.data_mut();
        if let Ok(GuestScope(key)) = state.table.delete(this) {
            state.requests.leave(key);
        }
        Ok(())
    }
}
