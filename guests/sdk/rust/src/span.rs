//! Spans of the guest's own: children of the request's server span, or of one another.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::bindings::tracing as host;
use crate::value::collect;
use crate::{Attribute, Exception, Link, SpanContext, SpanKind, Status, Value};

/// A span. It ends when it is dropped, or by [`end`](Span::end); the host ends what is left open when the request ends.
///
/// Started but not entered it is nobody's parent. In synchronous code [`enter`](Span::enter) it; a future runs in it by
/// [`instrument`](crate::Instrument::instrument); beside both, [`child`](Span::child) starts a child of it.
///
/// ```no_run
/// use pounce_guest::{Span, SpanKind, attributes};
///
/// let span = Span::options().kind(SpanKind::Client).attribute("db.system.name", "redis").start("GET");
/// span.add_event("connected", attributes! { "attempt" => 2 });
/// {
///     let _scope = span.enter();
///     Span::start("parse the reply").end(); // a child
/// }
/// span.end();
/// ```
#[derive(Debug)]
pub struct Span(host::Span);

impl Span {
    /// Starts a span: internal, child of the innermost entered span.
    pub fn start(name: &str) -> Self {
        Self(host::Span::new(name))
    }

    /// Starts a child of this span, whatever the current span is. The right form in asynchronous code.
    pub fn child(&self, name: &str) -> Self {
        let _scope = self.enter();
        Self::start(name)
    }

    /// What a span that is more than that starts with.
    pub fn options() -> SpanOptions {
        SpanOptions::default()
    }

    pub(crate) fn from_host(span: host::Span) -> Self {
        Self(span)
    }

    pub(crate) fn as_host(&self) -> &host::Span {
        &self.0
    }

    /// The span's ids, flags and state.
    pub fn context(&self) -> SpanContext {
        self.0.context()
    }

    /// Whether the span is recorded.
    pub fn is_recording(&self) -> bool {
        self.0.is_recording()
    }

    /// Sets an attribute; the last value of a key wins.
    pub fn set_attribute(&self, key: &str, value: impl Into<Value>) {
        self.0.set_attribute(key, &value.into());
    }

    /// Sets several attributes in one call into the host.
    pub fn set_attributes(&self, attributes: impl IntoIterator<Item = impl Into<Attribute>>) {
        self.0.set_attributes(&collect(attributes));
    }

    /// Adds an event, at the time of the call.
    pub fn add_event(&self, name: &str, attributes: impl IntoIterator<Item = impl Into<Attribute>>) {
        self.0.add_event(name, &collect(attributes), None);
    }

    /// Adds an event that happened earlier.
    pub fn add_event_at(
        &self,
        time: SystemTime,
        name: &str,
        attributes: impl IntoIterator<Item = impl Into<Attribute>>,
    ) {
        self.0.add_event(name, &collect(attributes), Some(nanoseconds(time)));
    }

    /// Links to another span: `span.add_link(Link::to(other.context()).attribute("why", "retried"))`.
    pub fn add_link(&self, link: Link) {
        self.0.add_link(&link);
    }

    /// Adds an `exception` event and sets the status to error. Takes an [`Exception`] or any `&error`.
    pub fn record_exception(&self, exception: impl Into<Exception>) {
        self.0.record_exception(&exception.into());
    }

    /// Sets the status.
    pub fn set_status(&self, status: Status) {
        self.0.set_status(&status);
    }

    /// Renames the span.
    pub fn update_name(&self, name: &str) {
        self.0.update_name(name);
    }

    /// Makes this the current span, the parent of new spans, outgoing requests and logs, until the scope is dropped.
    ///
    /// Not across an await: what other tasks do meanwhile would count as this span's.
    ///
    /// ```no_run
    /// # let span = pounce_guest::Span::start("outer");
    /// let _scope = span.enter();
    /// pounce_guest::Span::start("inner").end(); // its child
    /// ```
    pub fn enter(&self) -> Scope {
        ENTERED.set(ENTERED.get() + 1);
        Scope { _host: self.0.enter() }
    }

    /// Runs `work` with this as the current span, then ends it.
    pub fn in_scope<R>(self, work: impl FnOnce() -> R) -> R {
        let _scope = self.enter();
        work()
    }

    /// Ends the span now.
    pub fn end(self) {
        self.0.end(None);
    }

    /// Ends the span as of `time`.
    pub fn end_at(self, time: SystemTime) {
        self.0.end(Some(nanoseconds(time)));
    }
}

/// Runs `work` in a new span, a child of the current one, which ends with it. `work` is given the span.
///
/// ```no_run
/// let rows = pounce_guest::in_span("read the rows", |span| {
///     span.set_attribute("table", "orders");
///     vec![1, 2, 3]
/// });
/// ```
///
/// For futures see [`Instrument`](crate::Instrument).
pub fn in_span<R>(name: &str, work: impl FnOnce(&Span) -> R) -> R {
    let span = Span::start(name);
    let _scope = span.enter();
    work(&span)
}

/// While it lives, its span is the current one.
#[derive(Debug)]
#[must_use = "the span is left as soon as this is dropped"]
pub struct Scope {
    _host: host::Scope,
}

thread_local! {
    /// Scopes that are not dropped yet.
    static ENTERED: Cell<usize> = const { Cell::new(0) };
}

impl Scope {
    /// Whether this code runs in a span that the guest has entered, not in the request's alone.
    pub(crate) fn is_any_entered() -> bool {
        ENTERED.get() > 0
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        ENTERED.set(ENTERED.get() - 1);
    }
}

/// Whose child a span is. For a child of a span that this guest holds see [`Span::child`] and [`SpanOptions::start_in`].
#[derive(Clone, Debug, Default)]
pub enum Parent {
    /// The innermost entered span.
    #[default]
    Current,
    /// The request's server span.
    Invocation,
    /// A span known by its context: from a queue message, a stored job. The new span becomes a child of the server
    /// span with a link to it, or, where the operator allows it, its child.
    Remote(SpanContext),
}

/// What a span starts with: `Span::options().kind(SpanKind::Client).attribute("db.system.name", "redis").start("GET")`.
#[derive(Clone, Debug)]
#[must_use = "no span starts before `start`"]
pub struct SpanOptions {
    kind: SpanKind,
    parent: Parent,
    attributes: Vec<Attribute>,
    links: Vec<Link>,
    start_time: Option<SystemTime>,
}

impl Default for SpanOptions {
    fn default() -> Self {
        Self {
            kind: SpanKind::Internal,
            parent: Parent::Current,
            attributes: Vec::new(),
            links: Vec::new(),
            start_time: None,
        }
    }
}

impl SpanOptions {
    /// The kind; internal unless set.
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// The parent; the current span unless set.
    pub fn parent(mut self, parent: Parent) -> Self {
        self.parent = parent;
        self
    }

    /// One more attribute.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attributes.push(Attribute::new(key, value));
        self
    }

    /// Several more attributes.
    pub fn attributes(mut self, attributes: impl IntoIterator<Item = impl Into<Attribute>>) -> Self {
        self.attributes.extend(attributes.into_iter().map(Into::into));
        self
    }

    /// One more link.
    pub fn link(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }

    /// When it started, if not now.
    pub fn start_time(mut self, time: SystemTime) -> Self {
        self.start_time = Some(time);
        self
    }

    /// Starts the span as a child of `parent`.
    pub fn start_in(self, parent: &Span, name: &str) -> Span {
        let _scope = parent.enter();
        self.parent(Parent::Current).start(name)
    }

    /// Starts the span.
    pub fn start(self, name: &str) -> Span {
        let parent = match self.parent {
            Parent::Current => host::Parent::Current,
            Parent::Invocation => host::Parent::Invocation,
            Parent::Remote(context) => host::Parent::Remote(context),
        };
        Span(host::Span::with_options(
            name,
            &host::SpanOptions {
                kind: self.kind,
                parent,
                attributes: self.attributes,
                links: self.links,
                start_time: self.start_time.map(nanoseconds),
            },
        ))
    }
}

/// Unix time in nanoseconds; 0 for what lies before, the last that fits (in 2554) for what lies after.
fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
