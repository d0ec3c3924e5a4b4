//! `wasi:otel/metrics`: what a reader of the guest's SDK has collected.

use super::bindings::metrics as wit;
use crate::host::HostState;
use crate::host::telemetry::{Host, Telemetry, unsupported};

impl wit::Host for &mut HostState {}

impl wit::HostWithStore<HostState> for Telemetry {
    fn export(
        mut host: Host<'_>,
        _metrics: wit::ResourceMetrics,
    ) -> wasmtime::Result<Result<(), wit::Error>> {
        unsupported(&mut host);
        Ok(Ok(()))
    }
}
