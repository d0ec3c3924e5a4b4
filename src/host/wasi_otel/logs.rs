//! `wasi:otel/logs`: records that the guest's SDK emits.

use super::bindings::logs as wit;
use crate::host::HostState;
use crate::host::telemetry::{Host, Telemetry, unsupported};

impl wit::Host for &mut HostState {}

impl wit::HostWithStore<HostState> for Telemetry {
    fn on_emit(mut host: Host<'_>, _record: wit::LogRecord) -> wasmtime::Result<()> {
        unsupported(&mut host);
        Ok(())
    }
}
