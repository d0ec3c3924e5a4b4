//! Where metrics and log records of a component's guests go, and on whose behalf each is made.

use std::sync::Arc;

use wasmtime::AsContextMut;

use super::Host;
use crate::host::GuestLog;
use crate::host::current::{self, Current};
use crate::telemetry::{Quota, Signals, SpanContext};

/// Shared by all stores of a component.
pub(crate) struct Recorder {
    pub(in crate::host) signals: Signals,
    pub(in crate::host) log: Arc<GuestLog>,
}

impl Recorder {
    pub(crate) fn new(signals: Signals, log: Arc<GuestLog>) -> Self {
        Self { signals, log }
    }
}

/// Who records something: the current request, or the component itself where there is none. Unlike a span's attribute,
/// a measurement or a log record is true without a request; it only belongs to no trace then.
pub(in crate::host) struct Caller(Option<Current>);

impl Caller {
    /// To be asked before the first await of a host function, as [`current::current`] has it.
    pub(in crate::host) fn of(host: &mut Host<'_>) -> Self {
        Self(current::current(&mut host.as_context_mut()))
    }

    /// The innermost span that the caller has entered.
    pub(in crate::host) fn context(&self) -> Option<SpanContext> {
        self.0.as_ref()?.context()
    }

    /// What the request may still record; `of_store` holds for what is done on nobody's behalf.
    pub(in crate::host) fn quota<'a>(&'a self, of_store: &'a Quota) -> &'a Quota {
        self.0.as_ref().map_or(of_store, |current| &current.trace.quota)
    }
}
