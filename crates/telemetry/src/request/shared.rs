//! What the records of all requests share: who reads them.

use super::access::AccessLog;
use super::record::Record;
use super::spans::Spans;
use crate::exceptions::ExceptionLog;
use crate::methods::Methods;
use crate::metrics::host::Host;
use crate::spans::open::Registry;
use std::sync::Arc;

/// What the records of all requests share.
pub(crate) struct Shared {
    pub(crate) component: Box<str>,
    /// Methods that may be named.
    pub(crate) methods: Methods,
    /// None where spans are neither exported nor shown.
    pub(crate) spans: Option<Spans>,
    /// Requests that have spans under their own.
    pub(crate) families: Registry<Record>,
    /// None where metrics are neither exported nor shown.
    pub(crate) metrics: Option<Arc<Host>>,
    /// None where there is no access log.
    pub(crate) access: Option<AccessLog>,
    /// Whether the last lines that guests write are kept with their requests.
    pub(crate) keeps_output: bool,
    /// None where exceptions are events of spans only.
    pub(crate) exceptions: Option<Arc<ExceptionLog>>,
}

impl Shared {
    /// Whether something else than its span is to be told of every request.
    pub(crate) fn reads_all_requests(&self) -> bool {
        self.metrics.is_some() || self.access.is_some() || self.exceptions.is_some() || self.keeps_output
    }
}
