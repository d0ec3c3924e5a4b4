//! A span for a request that reached the guest by a way the host doesn't see.

use std::cell::Cell;

use crate::{Attribute, Exception, Parent, Scope, Span, SpanContext, SpanKind, Status, Value};
use crate::{propagation, tracing};

/// The span of one request that the guest handles by itself: a message it took from a queue, a request inside a batch, a
/// call over a protocol of its own. (The HTTP request that the guest was called with has its server span already.)
///
/// It ends when it is dropped, or by [`end`](RequestSpan::end).
///
/// ```no_run
/// use pounce_guest::RequestSpan;
///
/// let headers = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
/// let mut span = RequestSpan::start("POST", "/orders/7", headers).service("orders");
/// span.set_route("/orders/{id}");
/// span.set_attribute("order.id", 7);
/// let status = span.in_scope(|| 201);
/// span.record_status(status);
/// ```
#[derive(Debug)]
pub struct RequestSpan {
    span: Span,
    method: String,
    // Whether an error was said that a status must not overwrite: the first is the more precise one.
    failed: Cell<bool>,
}

impl RequestSpan {
    /// Starts the span, named `method`, with `http.request.method` and `url.path` (a query is left out: it may hold
    /// secrets).
    ///
    /// The parent is taken from `headers` as [`propagation::extract`] does. A context of another trace makes it a server
    /// span with that remote parent (see [`Parent::Remote`] for what the host makes of it). With none, or one of the
    /// trace that is under way, it is an internal child of the current span: two server spans for one request would
    /// count it twice.
    pub fn start<N: AsRef<str>, V: AsRef<[u8]>>(
        method: &str,
        path: &str,
        headers: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let options = Span::options().attribute("http.request.method", method).attribute("url.path", path);
        let elsewhere = propagation::extract(headers)
            .filter(|context| context.trace_id != tracing::current_context().trace_id);
        let options = match elsewhere {
            Some(context) => options.kind(SpanKind::Server).parent(Parent::Remote(context)),
            None => options,
        };
        Self { span: options.start(method), method: method.to_owned(), failed: Cell::new(false) }
    }

    /// Says which service handles it, as the name of this span's instrumentation scope. The service name of all that
    /// the component exports is the operator's: `otel.service-name`.
    #[must_use = "it returns the span"]
    pub fn service(self, name: &str) -> Self {
        self.span.set_attribute("otel.scope.name", name);
        self
    }

    /// Names the route, a template low in cardinality: sets `http.route`, and the name to `{method} {route}`.
    pub fn set_route(&self, template: &str) {
        self.span.set_attribute("http.route", template);
        self.span.update_name(&format!("{} {template}", self.method));
    }

    /// Sets an attribute; the last value of a key wins.
    pub fn set_attribute(&self, key: &str, value: impl Into<Value>) {
        self.span.set_attribute(key, value);
    }

    /// Adds an event.
    pub fn add_event(&self, name: &str, attributes: impl IntoIterator<Item = impl Into<Attribute>>) {
        self.span.add_event(name, attributes);
    }

    /// Adds an `exception` event and sets the status to error with its message. Takes an [`Exception`] or any `&error`.
    pub fn record_exception(&self, exception: impl Into<Exception>) {
        let exception = exception.into();
        if !self.failed.replace(true) {
            self.span.set_status(Status::Error(exception.message.clone()));
            self.span.set_attribute("error.type", exception.kind.as_str());
        }
        self.span.record_exception(exception);
    }

    /// Records the HTTP status answered, as `http.response.status_code`. From 500 on the span failed, with the status
    /// as its `error.type`, unless an exception said so already.
    pub fn record_status(&self, status: u16) {
        self.span.set_attribute("http.response.status_code", status);
        if status >= 500 && !self.failed.replace(true) {
            self.span.set_attribute("error.type", status.to_string());
            self.span.set_status(Status::Error(String::new()));
        }
    }

    /// The span's ids, flags and state.
    pub fn context(&self) -> SpanContext {
        self.span.context()
    }

    /// The span itself, for what is not offered here: links, children, futures.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Makes it the current span until the scope is dropped. Not across an await: see [`Instrument`](crate::Instrument).
    pub fn enter(&self) -> Scope {
        self.span.enter()
    }

    /// Runs `work` with this as the current span. The span goes on after it.
    pub fn in_scope<R>(&self, work: impl FnOnce() -> R) -> R {
        let _scope = self.enter();
        work()
    }

    /// Ends the span now.
    pub fn end(self) {
        self.span.end();
    }
}
