//! `wasi:otel/logs`: records that the guest's SDK emits.

use std::sync::Arc;

use super::bindings::logs as wit;
use super::convert::{self, attributes, nanos};
use crate::config::GuestParents;
use crate::host::HostState;
use crate::host::telemetry::{Caller, Host, Telemetry};
use pounce_telemetry::{
    LogRecord, SdkRecord, SdkScope, Severity, SpanContext, SpanId, TraceId, TraceState, Value, json_value,
};

impl wit::Host for &mut HostState {}

/// The attribute of the resource, and of a record where the guest's name for its service is not ours.
const SERVICE_NAME: &str = "service.name";

impl wit::HostWithStore<HostState> for Telemetry {
    fn on_emit(mut host: Host<'_>, data: wit::LogRecord) -> wasmtime::Result<()> {
        let number = data.severity_number.unwrap_or(0);
        let severity = Severity::of_number(number);
        let capabilities = Arc::clone(&host.data_mut().capabilities);
        let recorder = &capabilities.recorder;
        if !recorder.takes(severity) {
            return Ok(());
        }
        let caller = Caller::of(&mut host);
        let context = context(&data, caller.context(), capabilities.guest_parents);
        let (scope, omitted) = data.instrumentation_scope.map(convert::scope).unzip();
        let mut all: Vec<_> = scope.into_iter().flat_map(|scope: SdkScope| scope.attributes()).collect();
        all.extend(convert::omitted(omitted.unwrap_or(0)));
        all.extend(data.resource.and_then(convert::service).map(|name| (SERVICE_NAME.to_owned(), name)));
        all.extend(attributes(data.attributes.unwrap_or_default()));
        let body = data.body.map_or(Value::Null, json_value);
        let record = LogRecord::new(severity, body, data.event_name, all).of_sdk(SdkRecord {
            severity_number: number,
            severity_text: data.severity_text,
            time: data.timestamp.map(nanos),
            observed: data.observed_timestamp.map(nanos),
        });
        recorder.log(&record, context.as_ref(), caller.quota(&host.data_mut().quota));
        Ok(())
    }
}

/// The span that a record names, where its guest may name it; else the one that is current.
fn context(data: &wit::LogRecord, current: Option<SpanContext>, rule: GuestParents) -> Option<SpanContext> {
    let trace_id = data.trace_id.as_ref().and_then(|id| TraceId::from_hex(id.as_bytes()));
    let span_id = data.span_id.as_ref().and_then(|id| SpanId::from_hex(id.as_bytes()));
    let (Some(current), Some(trace_id), Some(span_id)) = (&current, trace_id, span_id) else {
        return current;
    };
    let (is_own, flags) = (trace_id == current.trace_id, current.flags);
    let named = SpanContext { trace_id, span_id, flags, trace_state: TraceState::default() };
    Some(if is_own || rule == GuestParents::Adopt { named } else { current.clone() })
}
