//! `pounce:telemetry/logs`: linked, not recorded yet; every call is counted.

use super::{Host, Telemetry, unsupported};
use crate::host::HostState;
use crate::host::bindings::{logs, types};

impl logs::Host for &mut HostState {}

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
