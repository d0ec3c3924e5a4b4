//! `pounce:telemetry/metrics`: linked, not recorded yet; every call is counted.

use super::{Host, Telemetry, unsupported};
use crate::host::HostState;
use crate::host::bindings::{metrics, types};

impl metrics::Host for &mut HostState {}

impl metrics::HostWithStore<HostState> for Telemetry {
    fn add_counter(mut host: Host<'_>, _: String, _: u64, _: Vec<types::Attribute>) -> wasmtime::Result<()> {
        unsupported(&mut host);
        Ok(())
    }

    fn add_up_down(mut host: Host<'_>, _: String, _: i64, _: Vec<types::Attribute>) -> wasmtime::Result<()> {
        unsupported(&mut host);
        Ok(())
    }

    fn record_histogram(
        mut host: Host<'_>,
        _: String,
        _: f64,
        _: Vec<types::Attribute>,
    ) -> wasmtime::Result<()> {
        unsupported(&mut host);
        Ok(())
    }

    fn set_gauge(mut host: Host<'_>, _: String, _: f64, _: Vec<types::Attribute>) -> wasmtime::Result<()> {
        unsupported(&mut host);
        Ok(())
    }
}
