//! Spans and events of the crate `tracing`, told to Pounce (feature `tracing`).
//!
//! Code that is instrumented with `tracing` (its macros, its attribute `instrument`, libraries that know nothing of
//! Pounce) is traced as it is:
//!
//! ```no_run
//! use tracing_subscriber::prelude::*;
//!
//! // When a request begins: after the first time it does nothing.
//! let _set = tracing_subscriber::registry().with(pounce_guest::layer::layer()).try_init();
//! ```
//!
//! | in `tracing` | in the trace |
//! | --- | --- |
//! | a span | a span, with the fields as attributes |
//! | its parent | the span that is entered, or the one that is named by `parent: &span`; of `parent: None` the request's |
//! | `follows_from` | a link |
//! | an event | a log record with the message as its body, and an event of the same name on the span |
//! | an event of level `ERROR` in a span | also the span's status; with an error among its fields, an exception |
//!
//! The fields `otel.name`, `otel.kind` (`client`, …), `otel.status_code` (`ok`, `error`) and `otel.status_message` are the
//! span's name, kind and status, as `tracing-opentelemetry` has them.
//!
//! Spans are entered and left with the polls of their futures (`Instrument` of `tracing`, or `#[instrument]`), so they
//! stay with their own request and task also where an instance handles several requests at once. As always with
//! `tracing`, don't hold `enter()` across an await.

use std::error::Error;
use std::fmt;

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Level, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::logs::{self, Severity};
use crate::{Attribute, Exception, Link, Parent, Scope, Span, SpanKind, Status, Value, tracing};

/// A layer that tells Pounce of spans and events, both as log records and as events of spans.
#[must_use]
pub fn layer() -> Layer {
    Layer { emits_logs: true, adds_events: true }
}

/// A layer of `tracing-subscriber`, made by [`layer`].
#[derive(Clone, Debug)]
pub struct Layer {
    emits_logs: bool,
    adds_events: bool,
}

impl Layer {
    /// Whether an event becomes a log record; it does unless said otherwise.
    #[must_use]
    pub fn with_log_records(mut self, emits: bool) -> Self {
        self.emits_logs = emits;
        self
    }

    /// Whether an event becomes an event of the span; it does unless said otherwise.
    #[must_use]
    pub fn with_span_events(mut self, adds: bool) -> Self {
        self.adds_events = adds;
        self
    }
}

/// What is kept of a span while it lasts. What was entered is left before the span ends.
struct Open {
    scopes: Vec<Scope>,
    span: Span,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Layer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(entry) = context.span(id) else { return };
        let mut said = Said::default();
        attributes.record(&mut said);
        let name = said.name.take().unwrap_or_else(|| attributes.metadata().name().to_owned());
        let mut options = Span::options().attributes(said.attributes.drain(..));
        if let Some(kind) = said.kind.take() {
            options = options.kind(kind);
        }
        let parent = attributes.parent().and_then(|parent| context.span(parent));
        let span = match parent
            .as_ref()
            .and_then(|parent| with_open(parent, |open| options.clone().start_in(&open.span, &name)))
        {
            Some(span) => span,
            None if attributes.is_root() => options.parent(Parent::Invocation).start(&name),
            // The host knows which span the calling task has entered.
            None => options.start(&name),
        };
        said.tell(&span);
        entry.extensions_mut().insert(Open { scopes: Vec::new(), span });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(entry) = context.span(id) else { return };
        let mut said = Said::default();
        values.record(&mut said);
        with_open(&entry, |open| {
            if let Some(name) = &said.name {
                open.span.update_name(name);
            }
            if !said.attributes.is_empty() {
                open.span.set_attributes(said.attributes.drain(..));
            }
            said.tell(&open.span);
        });
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let (Some(entry), Some(follows)) = (context.span(id), context.span(follows)) else { return };
        if let Some(before) = with_open(&follows, |open| open.span.context()) {
            with_open(&entry, |open| open.span.add_link(Link::to(before)));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(entry) = context.span(id) else { return };
        with_open(&entry, |open| open.scopes.push(open.span.enter()));
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        let Some(entry) = context.span(id) else { return };
        with_open(&entry, |open| drop(open.scopes.pop()));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let severity = severity(*event.metadata().level());
        let emits_log = self.emits_logs && logs::is_enabled(severity);
        let is_in_span = context.event_span(event).is_some();
        if !emits_log && !(self.adds_events && tracing::is_recording()) {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        said.attributes.push(Attribute::new("target", event.metadata().target()));
        // A span that is named is entered for the event; else the host knows which one is.
        let named = event.parent().and_then(|parent| context.span(parent));
        let _scope = named.as_ref().and_then(|named| with_open(named, |open| open.span.enter()));
        let message = said.message.take().unwrap_or_else(|| event.metadata().name().to_owned());
        if emits_log {
            logs::emit(severity, message.as_str(), said.attributes.iter().cloned());
        }
        if self.adds_events {
            tell_event(event, message, said, is_in_span);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        // Dropped, it ends.
        let open = context.span(&id).and_then(|entry| entry.extensions_mut().remove::<Open>());
        drop(open);
    }
}

fn tell_event(event: &Event<'_>, message: String, said: Said, is_in_span: bool) {
    let level = *event.metadata().level();
    let span = tracing::current();
    match said.exception {
        Some(mut exception) if level == Level::ERROR && is_in_span => {
            exception.attributes.extend(said.attributes);
            exception.attributes.push(Attribute::new("event.message", message));
            span.record_exception(exception);
        }
        _ => {
            if level == Level::ERROR && is_in_span {
                span.set_status(Status::Error(message.clone()));
            }
            let mut attributes = said.attributes;
            attributes.push(Attribute::new("level", level.as_str()));
            span.add_event(&message, attributes);
        }
    }
}

/// What `work` makes of the span that is kept; none if there is none, as of a span that another layer made up.
fn with_open<S: for<'a> LookupSpan<'a>, R>(
    entry: &SpanRef<'_, S>,
    work: impl FnOnce(&mut Open) -> R,
) -> Option<R> {
    entry.extensions_mut().get_mut::<Open>().map(work)
}

fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::Trace,
        Level::DEBUG => Severity::Debug,
        Level::INFO => Severity::Info,
        Level::WARN => Severity::Warn,
        Level::ERROR => Severity::Error,
    }
}

/// The fields of a span or of an event.
#[derive(Default)]
struct Said {
    attributes: Vec<Attribute>,
    message: Option<String>,
    exception: Option<Exception>,
    name: Option<String>,
    kind: Option<SpanKind>,
    status_code: Option<String>,
    status_message: Option<String>,
}

impl Said {
    fn text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = Some(text),
            "otel.name" => self.name = Some(text),
            "otel.kind" => self.kind = kind(&text),
            "otel.status_code" => self.status_code = Some(text.to_ascii_lowercase()),
            "otel.status_message" => self.status_message = Some(text),
            _ => self.value(field, text),
        }
    }

    fn value(&mut self, field: &Field, value: impl Into<Value>) {
        self.attributes.push(Attribute::new(field.name(), value));
    }

    /// The status, where the fields say one.
    fn tell(&mut self, span: &Span) {
        match (self.status_code.take().as_deref(), self.status_message.take()) {
            (Some("ok"), _) => span.set_status(Status::Ok),
            (Some("error"), message) => span.set_status(Status::Error(message.unwrap_or_default())),
            (None, Some(message)) => span.set_status(Status::Error(message)),
            _ => {}
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, format!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.exception = Some(value.into());
        self.value(field, value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, value);
    }
}

fn kind(name: &str) -> Option<SpanKind> {
    let kinds = [
        ("internal", SpanKind::Internal),
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
    ];
    kinds.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, kind)| kind)
}
