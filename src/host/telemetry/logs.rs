//! `pounce:telemetry/logs`: records that carry the trace they belong to, to our own log and to the endpoint.
//!
//! Our own log keeps what `log.level` says. The endpoint also gets whatever is `info` or more severe: a server that is
//! told to be quiet on its terminal still owes its backend what guests say.

use std::sync::Arc;

use super::recorder::{Caller, Recorder};
use super::{Host, Telemetry, convert};
use crate::host::bindings::{logs as wit, types};
use crate::host::{GuestLog, HostState};
use crate::telemetry::{LogRecord, Severity};

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

/// Whether a record of this severity is exported.
pub(in crate::host) fn is_exported(recorder: &Recorder, severity: Severity) -> bool {
    recorder.signals.logs.is_some() && (severity >= Severity::Info || GuestLog::keeps(severity))
}

impl wit::HostWithStore<HostState> for Telemetry {
    fn is_enabled(mut host: Host<'_>, severity: wit::Severity) -> wasmtime::Result<bool> {
        let severity = severity.into();
        Ok(GuestLog::keeps(severity) || is_exported(&host.data_mut().recorder, severity))
    }

    fn emit(
        mut host: Host<'_>,
        severity: wit::Severity,
        body: types::Value,
        event_name: Option<String>,
        attributes: Vec<types::Attribute>,
    ) -> wasmtime::Result<()> {
        let severity = severity.into();
        let recorder = Arc::clone(&host.data_mut().recorder);
        let exported = is_exported(&recorder, severity);
        if !exported && !GuestLog::keeps(severity) {
            return Ok(());
        }
        let caller = Caller::of(&mut host);
        let context = caller.context();
        let record = LogRecord::new(severity, body.into(), event_name, convert::attributes(attributes));
        recorder.log.record(&record, context.as_ref());
        if let Some(logs) = recorder.signals.logs.as_ref().filter(|_| exported) {
            if caller.quota(&host.data_mut().quota).log_record() {
                logs.emit(&record, context.as_ref());
            } else {
                logs.refuse();
            }
        }
        Ok(())
    }
}
