//! The request's server span, which the host starts and ends: name it, describe it, say what went wrong.
//!
//! All of this concerns the one request that is being handled, also when an instance handles several at once (0.3).
//! For a span of one's own see [`Span`].

use crate::bindings::tracing as host;
use crate::value::collect;
use crate::{Attribute, Exception, Span, SpanContext, Status, Value};

/// Whether this request is recorded. False when it is not sampled or telemetry is off: don't then build attributes
/// that cost something.
pub fn is_recording() -> bool {
    host::is_recording()
}

/// The context of the innermost entered span; of the server span when none is entered.
pub fn current_context() -> SpanContext {
    host::current_context()
}

/// A handle on that span. It names the same span across awaits and on whatever task it is used. Ending or dropping a
/// handle on the server span does not end that span: the host does.
///
/// ```no_run
/// # async fn wait() {}
/// # async fn handle() {
/// let span = pounce_guest::tracing::current(); // before the first await
/// wait().await;
/// span.set_attribute("waited", true); // of the same span, whoever ran meanwhile
/// # }
/// ```
pub fn current() -> Span {
    Span::from_host(host::current())
}

/// The same as [`current`], by the name that guests of older versions know.
pub fn get_current_span() -> Span {
    current()
}

/// Sets an attribute of the server span; the last value of a key wins.
pub fn set_attribute(key: &str, value: impl Into<Value>) {
    host::set_attribute(key, &value.into());
}

/// Sets several attributes of the server span in one call into the host: see [`attributes!`](crate::attributes), or
/// give pairs of key and value.
pub fn set_attributes(attributes: impl IntoIterator<Item = impl Into<Attribute>>) {
    host::set_attributes(&collect(attributes));
}

/// The same as [`set_attribute`], by the name that guests of older versions know.
pub fn add_span_attribute(key: &str, value: impl Into<Value>) {
    set_attribute(key, value);
}

/// Adds an event to the server span, at the time of the call. Without attributes: `attributes! {}`.
pub fn add_event(name: &str, attributes: impl IntoIterator<Item = impl Into<Attribute>>) {
    host::add_event(name, &collect(attributes));
}

/// Adds an `exception` event to the server span and sets its status to error. Takes an [`Exception`] or any `&error`.
///
/// ```no_run
/// # fn store() -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
/// if let Err(error) = store() {
///     pounce_guest::record_exception(&*error);
/// }
/// ```
pub fn record_exception(exception: impl Into<Exception>) {
    host::record_exception(&exception.into());
}

/// Sets the server span's status. The host never overwrites an error that is set here.
pub fn set_status(status: Status) {
    host::set_status(&status);
}

/// Names the route that the request took, as a template low in cardinality: `/orders/{id}`. It becomes `http.route`
/// and the span's name, `GET /orders/{id}`.
pub fn set_route(template: &str) {
    host::set_route(template);
}

/// Renames the server span. [`set_route`] is usually what is wanted.
pub fn update_name(name: &str) {
    host::update_name(name);
}
