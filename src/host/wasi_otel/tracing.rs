//! `wasi:otel/tracing`: spans that the guest's SDK makes.

use wasmtime::AsContextMut as _;

use super::bindings::tracing as wit;
use super::convert;
use crate::host::HostState;
use crate::host::current::{Current, enter_announced};
use crate::host::telemetry::{Host, Telemetry, context_of, count, current};
use pounce_telemetry::{SdkSpanRefused as Refused, SpanContext};

impl wit::Host for &mut HostState {}

type Result<T> = wasmtime::Result<T>;

impl wit::HostWithStore<HostState> for Telemetry {
    fn on_start(mut host: Host<'_>, context: wit::SpanContext) -> Result<()> {
        let Some(current) = recorded(&mut host) else { return Ok(()) };
        let rule = host.data_mut().capabilities.guest_parents;
        let entered = match convert::context(&context).map(|span| current.trace.span.announce(&span, rule)) {
            Some(Ok(span)) => enter_announced(&mut host.as_context_mut(), span),
            // Counted when it ends: it is one span, and two calls.
            Some(Err(Refused::Foreign)) => true,
            _ => false,
        };
        if !entered {
            count(&mut host, |ignored| &ignored.invalid);
        }
        Ok(())
    }

    fn on_end(mut host: Host<'_>, span: wit::SpanData) -> Result<()> {
        let Some(current) = recorded(&mut host) else { return Ok(()) };
        let Some(span) = convert::span(span) else {
            count(&mut host, |ignored| &ignored.invalid);
            return Ok(());
        };
        let rule = host.data_mut().capabilities.guest_parents;
        host.data_mut().requests.leave_announced(&span.context);
        match current.trace.span.take(span, rule) {
            Ok(()) => {}
            Err(Refused::Foreign) => count(&mut host, |ignored| &ignored.foreign),
            Err(Refused::NoPlace | Refused::Taken) => count(&mut host, |ignored| &ignored.invalid),
        }
        Ok(())
    }

    fn outer_span_context(mut host: Host<'_>) -> Result<wit::SpanContext> {
        let current = current(&mut host);
        let server = current.as_ref().and_then(|current| current.trace.span.context());
        Ok(context(current, server))
    }

    fn current_span_context(mut host: Host<'_>) -> Result<wit::SpanContext> {
        let current = current(&mut host);
        let innermost = current.as_ref().and_then(Current::context);
        Ok(context(current, innermost))
    }
}

/// What the guest calls for, where spans of it are recorded. Where they are not, whatever the guest's own sampler says,
/// there is nothing to count.
fn recorded(host: &mut Host<'_>) -> Option<Current> {
    current(host).filter(|current| current.trace.span.is_recording_children())
}

/// `own`; while telemetry is off, that of the request's caller; else all zero.
fn context(current: Option<Current>, own: Option<SpanContext>) -> wit::SpanContext {
    let is_own = own.is_some();
    let context = context_of(current.as_ref().map(|current| &current.trace), own);
    let is_sampled = context.trace_flags & SpanContext::SAMPLED != 0;
    wit::SpanContext {
        // All zero is nobody's, and so nobody else's.
        is_remote: !is_own && context.span_id.bytes().any(|digit| digit != b'0'),
        trace_id: context.trace_id,
        span_id: context.span_id,
        trace_flags: if is_sampled { wit::TraceFlags::SAMPLED } else { wit::TraceFlags::empty() },
        trace_state: convert::members(&context.trace_state),
    }
}
