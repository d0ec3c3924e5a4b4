//! `pounce:telemetry/metrics`: synchronous instruments, aggregated by the host for the whole component.

use std::sync::Arc;

use super::recorder::Caller;
use super::{Host, Telemetry, convert};
use crate::host::HostState;
use crate::host::bindings::{metrics as wit, types};
use pounce_telemetry::{Metrics, SpanContext, Value};

impl wit::Host for &mut HostState {}

/// Records a measurement if metrics are exported and the request may make another.
fn record(
    host: &mut Host<'_>,
    attributes: Vec<types::Attribute>,
    record: impl FnOnce(&Metrics, Vec<(String, Value)>, Option<&SpanContext>),
) {
    let capabilities = Arc::clone(&host.data_mut().capabilities);
    let Some(metrics) = &capabilities.recorder.signals.metrics else {
        return;
    };
    let caller = Caller::of(host);
    if caller.quota(&host.data_mut().quota).measurement() {
        record(metrics, convert::attributes(attributes), caller.context().as_ref());
    } else {
        metrics.refuse();
    }
}

impl wit::HostWithStore<HostState> for Telemetry {
    fn add_counter(
        mut host: Host<'_>,
        name: String,
        value: u64,
        attributes: Vec<types::Attribute>,
    ) -> wasmtime::Result<()> {
        record(&mut host, attributes, |metrics, attributes, context| {
            metrics.add_counter(&name, value, attributes, context);
        });
        Ok(())
    }

    fn add_up_down(
        mut host: Host<'_>,
        name: String,
        value: i64,
        attributes: Vec<types::Attribute>,
    ) -> wasmtime::Result<()> {
        record(&mut host, attributes, |metrics, attributes, context| {
            metrics.add_up_down(&name, value, attributes, context);
        });
        Ok(())
    }

    fn record_histogram(
        mut host: Host<'_>,
        name: String,
        value: f64,
        attributes: Vec<types::Attribute>,
    ) -> wasmtime::Result<()> {
        record(&mut host, attributes, |metrics, attributes, context| {
            metrics.record_histogram(&name, value, attributes, context);
        });
        Ok(())
    }

    fn set_gauge(
        mut host: Host<'_>,
        name: String,
        value: f64,
        attributes: Vec<types::Attribute>,
    ) -> wasmtime::Result<()> {
        record(&mut host, attributes, |metrics, attributes, context| {
            metrics.set_gauge(&name, value, attributes, context);
        });
        Ok(())
    }
}
