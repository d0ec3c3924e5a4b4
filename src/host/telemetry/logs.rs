//! `pounce:telemetry/logs`: records that carry the trace they belong to, to our own log and to the endpoint.

use std::sync::Arc;

use super::recorder::Caller;
use super::{Host, Telemetry, convert};
use crate::host::HostState;
use crate::host::bindings::{logs as wit, types};
use pounce_telemetry::{LogRecord, Severity};

impl wit::Host for &mut HostState {}

impl From<wit::Severity> for Severity {
    fn from(severity: wit::Severity) -> Self {
        match severity {
            wit::Severity::Trace => Self::Trace,
            wit::Severity::Debug => Self::Debug,
            wit::Severity::Info => Self::Info,
            wit::Severity::Warn => Self::Warn,
            wit::Severity::Error => Self::Error,
            wit::Severity::Fatal => Self::Fatal,
        }
    }
}

/// Records what a guest logs, made by `record` only where records of that severity go anywhere.
pub(in crate::host) fn emit(
    host: &mut Host<'_>,
    severity: Severity,
    record: impl FnOnce(Severity) -> LogRecord,
) {
    let capabilities = Arc::clone(&host.data_mut().capabilities);
    let recorder = &capabilities.recorder;
    if recorder.takes(severity) {
        let caller = Caller::of(host);
        let record = record(severity);
        recorder.log(&record, caller.context().as_ref(), caller.quota(&host.data_mut().quota));
    }
}

impl wit::HostWithStore<HostState> for Telemetry {
    fn is_enabled(mut host: Host<'_>, severity: wit::Severity) -> wasmtime::Result<bool> {
        Ok(host.data_mut().capabilities.recorder.takes(severity.into()))
    }

    fn emit(
        mut host: Host<'_>,
        severity: wit::Severity,
        body: types::Value,
        event_name: Option<String>,
        attributes: Vec<types::Attribute>,
    ) -> wasmtime::Result<()> {
        emit(&mut host, severity.into(), |severity| {
            LogRecord::new(severity, body.into(), event_name, convert::attributes(attributes))
        });
        Ok(())
    }
}
