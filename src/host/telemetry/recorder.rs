//! Where metrics and log records of a component's guests go, and on whose behalf each is made.

use std::sync::Arc;

use wasmtime::AsContextMut;

use super::Host;
use crate::host::GuestLog;
use crate::host::current::{self, Current};
use pounce_telemetry::{LogRecord, Quota, Severity, Signals, SpanContext};

/// Shared by all stores of a component.
pub(crate) struct Recorder {
    pub(in crate::host) signals: Signals,
    pub(crate) log: Arc<GuestLog>,
}

impl Recorder {
    pub(crate) fn new(signals: Signals, log: Arc<GuestLog>) -> Self {
        Self { signals, log }
    }

    /// Whether a record of this severity goes anywhere.
    pub(in crate::host) fn takes(&self, severity: Severity) -> bool {
        self.exports(severity) || GuestLog::keeps(severity)
    }

    /// Our own log keeps what `log.level` says. The endpoint also gets whatever is `info` or more severe: a server that
    /// is told to be quiet on its terminal still owes its backend what guests say.
    fn exports(&self, severity: Severity) -> bool {
        self.signals.logs.is_some() && (severity >= Severity::Info || GuestLog::keeps(severity))
    }

    /// Writes a record to our own log, and hands it over for export if `quota` has one left.
    pub(in crate::host) fn log(&self, record: &LogRecord, context: Option<&SpanContext>, quota: &Quota) {
        self.log.record(record, context);
        let Some(logs) = self.signals.logs.as_ref().filter(|_| self.exports(record.severity)) else {
            return;
        };
        if quota.log_record() {
            logs.emit(record, context);
        } else {
            logs.refuse();
        }
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
