//! Exceptions as log records, for who asks for that (`OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN`): what kept a request from
//! being answered as it should, of the SERVER span that is the request's, or of the CLIENT span of one that a guest has
//! made. Sampled or not, there is a record: what went wrong is no matter of shares.
//!
//! They go straight into the pipeline, as records of the access log do: our own log has lines of its own for them. What
//! a guest records by itself stays an event of the span that it names.

use super::context::SpanContext;
use super::log_records::{LogRecord, LogRecords, Severity};
use super::quota::Quota;
use super::semconv;
use super::value::{Exception, Value};
use crate::settings::ExceptionSignal;
use std::sync::Arc;

/// Where exceptions go that are log records.
pub(super) struct ExceptionLog {
    records: Arc<LogRecords>,
    component: Box<str>,
    /// They are events of spans all the same.
    is_on_spans: bool,
}

impl ExceptionLog {
    /// None where exceptions are events of spans only: that is what they stay where no log records are exported, rather
    /// than vanish.
    pub(super) fn new(
        signal: ExceptionSignal,
        component: &str,
        records: Option<&Arc<LogRecords>>,
    ) -> Option<Arc<Self>> {
        let is_on_spans = match signal {
            ExceptionSignal::Events => return None,
            ExceptionSignal::Logs => false,
            ExceptionSignal::LogsDup => true,
        };
        let records = Arc::clone(records?);
        Some(Arc::new(ExceptionLog { records, component: component.into(), is_on_spans }))
    }

    /// A request failed; gives back what is to be an event of its span.
    pub(super) fn of_server(&self, exception: Exception, context: Option<&SpanContext>) -> Option<Exception> {
        self.emit(semconv::HTTP_SERVER_REQUEST_EXCEPTION, Severity::Error, exception.clone(), context);
        self.is_on_spans.then_some(exception)
    }

    /// An outgoing request failed. Its span says so by its status; there is no event that this could stand for.
    pub(super) fn of_client(
        &self,
        error_type: &str,
        message: &str,
        context: Option<&SpanContext>,
        quota: Option<&Quota>,
    ) {
        if quota.is_some_and(|quota| !quota.log_record()) {
            return self.records.refuse();
        }
        let exception =
            Exception { kind: error_type.to_owned(), message: message.to_owned(), ..Exception::default() };
        self.emit(semconv::HTTP_CLIENT_REQUEST_EXCEPTION, Severity::Warn, exception, context);
    }

    fn emit(
        &self,
        event: &'static str,
        severity: Severity,
        exception: Exception,
        context: Option<&SpanContext>,
    ) {
        let Exception { kind, message, stacktrace, attributes } = exception;
        let text = |key: &str, text: String| (key.to_owned(), Value::Text(text));
        let body = message.clone();
        let all = [
            Some(text(semconv::EXCEPTION_TYPE, kind)),
            Some(text(semconv::EXCEPTION_MESSAGE, message)),
            stacktrace.map(|trace| text(semconv::EXCEPTION_STACKTRACE, trace)),
            Some(text(semconv::POUNCE_COMPONENT, self.component.to_string())),
        ];
        let all = all.into_iter().flatten().chain(attributes).collect();
        let record = LogRecord::of_host(severity, &body, Some(event), all);
        self.records.emit_own(&record, context);
    }
}
