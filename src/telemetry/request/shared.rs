//! What the records of all requests share: who reads them.

use super::access::AccessLog;
use super::record::Record;
use super::spans::Spans;
use crate::telemetry::exceptions::ExceptionLog;
use crate::telemetry::methods::Methods;
use crate::telemetry::metrics::host::Host;
use crate::telemetry::spans::open::Registry;
use std::sync::Arc;

/// What the records of all requests share.
pub(in crate::telemetry) struct Shared {
    pub(in crate::telemetry) component: Box<str>,
    /// Methods that may be named.
    pub(in crate::telemetry) methods: Methods,
    /// None where spans are neither exported nor shown.
    pub(in crate::telemetry) spans: Option<Spans>,
    /// Requests that have spans under their own.
    pub(in crate::telemetry) families: Registry<Record>,
    /// None where metrics are neither exported nor shown.
    pub(in crate::telemetry) metrics: Option<Arc<Host>>,
    /// None where there is no access log.
    pub(in crate::telemetry) access: Option<AccessLog>,
    /// None where exceptions are events of spans only.
    pub(in crate::telemetry) exceptions: Option<Arc<ExceptionLog>>,
}

impl Shared {
    /// Whether something else than its span is to be told of every request.
    pub(in crate::telemetry) fn reads_all_requests(&self) -> bool {
        self.metrics.is_some() || self.access.is_some() || self.exceptions.is_some()
    }
}
