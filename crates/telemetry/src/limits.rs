//! Attributes and events of a span under limits: a guest can neither fill our memory nor a backend's.
//!
//! What is over a limit is dropped, or cut when it is a text, and every drop is counted on the span and in the
//! pipeline. The first drop by each limit is said in the log, with the variable that sets it.

use super::context::Linked;
use super::semconv;
use super::value::{Exception, Length, Value, shortened};
use crate::settings;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Attributes of a span, of an event or of a log record that are looked at: no setting allows more.
pub const MAX_ATTRIBUTES: usize = settings::Limits::MOST;
/// Spans under one server span: a guest's own and those of its outgoing requests.
pub(super) const MAX_CHILDREN: usize = 1000;
/// Spans of a guest's own SDK among `MAX_CHILDREN` that are begun and not ended.
pub(super) const MAX_ANNOUNCED: usize = 128;
/// Bytes of names, attributes, events and links of all of them.
pub(super) const MAX_CHILDREN_SIZE: usize = 1024 * 1024;
/// Bytes of one text or byte value; longer ones are cut.
pub(super) const MAX_VALUE: usize = settings::Limits::LONGEST;
/// Bytes of a stack trace: a cut one is of little use.
const MAX_STACKTRACE: usize = 4 * MAX_VALUE;
/// Bytes of a name (span, route, event, error type), cut; a longer attribute key is dropped.
pub(super) const MAX_NAME: usize = 256;
/// Bytes of all attributes and events of one span; whatever comes after is dropped.
pub(super) const MAX_SPAN: usize = 256 * 1024;

/// What the settings allow one span or log record to hold.
#[derive(Debug)]
pub(super) struct Limits {
    span_attributes: Most,
    events: Most,
    links: Most,
    event_attributes: Most,
    link_attributes: Most,
    log_attributes: Most,
    /// Length of one value of a span, an event or a link, and of a stack trace among them.
    pub(super) value: Length,
    stacktrace: Length,
    /// Length of one value of a log record, and of a stack trace among them.
    log_value: Length,
    log_stacktrace: Length,
}

/// How many there may be, and which variable says so.
#[derive(Debug)]
struct Most {
    count: usize,
    what: &'static str,
    variable: &'static str,
    /// It has been said that there were more.
    told: AtomicBool,
}

/// How much of one set of attributes is kept.
#[derive(Clone, Copy)]
pub(super) struct Bounds<'a> {
    most: &'a Most,
    value: Length,
    stacktrace: Length,
}

/// The limits where none is set.
pub(super) static UNSET: Limits = Limits {
    span_attributes: Most::of_spans(MAX_ATTRIBUTES),
    events: Most::of_events(MAX_ATTRIBUTES),
    links: Most::of_links(MAX_ATTRIBUTES),
    event_attributes: Most::of_one_event(MAX_ATTRIBUTES),
    link_attributes: Most::of_one_link(MAX_ATTRIBUTES),
    log_attributes: Most::of_logs(MAX_ATTRIBUTES),
    value: Length::bytes(MAX_VALUE),
    stacktrace: Length::bytes(MAX_STACKTRACE),
    log_value: Length::bytes(MAX_VALUE),
    log_stacktrace: Length::bytes(MAX_STACKTRACE),
};

impl Limits {
    /// Limits as the settings say.
    pub(super) fn new(set: &settings::Limits) -> Self {
        let (value, stacktrace) = lengths(set.span_value_length);
        let (log_value, log_stacktrace) = lengths(set.log_value_length);
        Limits {
            span_attributes: Most::of_spans(set.span_attributes),
            events: Most::of_events(set.events),
            links: Most::of_links(set.links),
            event_attributes: Most::of_one_event(set.event_attributes),
            link_attributes: Most::of_one_link(set.link_attributes),
            log_attributes: Most::of_logs(set.log_attributes),
            value,
            stacktrace,
            log_value,
            log_stacktrace,
        }
    }

    /// For the attributes of a span.
    pub(super) fn of_span(&self) -> Bounds<'_> {
        Bounds { most: &self.span_attributes, value: self.value, stacktrace: self.value }
    }

    /// For those of a log record.
    pub(super) fn of_log(&self) -> Bounds<'_> {
        Bounds { most: &self.log_attributes, value: self.log_value, stacktrace: self.log_stacktrace }
    }

    fn of_event(&self) -> Bounds<'_> {
        Bounds { most: &self.event_attributes, value: self.value, stacktrace: self.stacktrace }
    }

    fn of_link(&self) -> Bounds<'_> {
        Bounds { most: &self.link_attributes, value: self.value, stacktrace: self.value }
    }
}

/// For values and stack traces; they are bounded in bytes, whatever is set.
fn lengths(set: Option<usize>) -> (Length, Length) {
    let length = |bytes| Length { bytes, chars: set.unwrap_or(usize::MAX) };
    (length(MAX_VALUE), length(MAX_STACKTRACE))
}

impl Most {
    const fn new(count: usize, what: &'static str, variable: &'static str) -> Self {
        // Nobody sets more, but memory must not depend on that.
        let count = if count > MAX_ATTRIBUTES { MAX_ATTRIBUTES } else { count };
        Most { count, what, variable, told: AtomicBool::new(false) }
    }

    const fn of_spans(count: usize) -> Self {
        Self::new(count, "attributes of one span", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")
    }

    const fn of_events(count: usize) -> Self {
        Self::new(count, "events of one span", "OTEL_SPAN_EVENT_COUNT_LIMIT")
    }

    const fn of_links(count: usize) -> Self {
        Self::new(count, "links of one span", "OTEL_SPAN_LINK_COUNT_LIMIT")
    }

    const fn of_one_event(count: usize) -> Self {
        Self::new(count, "attributes of one event", "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT")
    }

    const fn of_one_link(count: usize) -> Self {
        Self::new(count, "attributes of one link", "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT")
    }

    const fn of_logs(count: usize) -> Self {
        Self::new(count, "attributes of one log record", "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT")
    }

    /// Whether one more may come to `count`; the first that may not is told of.
    fn admits(&self, count: usize) -> bool {
        if count < self.count {
            return true;
        }
        self.tell();
        false
    }

    #[cold]
    fn tell(&self) {
        // Looked at first: a guest in a loop must not have all processors write here.
        if !self.told.load(Relaxed) && !self.told.swap(true, Relaxed) {
            let Most { count, what, variable, .. } = self;
            let most = MAX_ATTRIBUTES;
            tracing::warn!(
                "more than {count} {what}: those beyond are dropped and counted ({variable} sets how many are kept, \
                 {most} at most; this is said once)"
            );
        }
    }
}

impl Bounds<'_> {
    /// The most that a value under `key` may have.
    fn length(&self, key: &str) -> Length {
        if key == semconv::EXCEPTION_STACKTRACE { self.stacktrace } else { self.value }
    }

    /// How many there may be.
    pub(super) fn most(&self) -> usize {
        self.most.count
    }

    /// Cuts `value` as it must be under `key`.
    pub(super) fn cut(&self, key: &str, value: &mut Value) {
        value.cut(self.length(key));
    }

    /// Says, once, that there were more.
    pub(super) fn tell(&self) {
        self.most.tell();
    }
}

/// Attributes with distinct keys, in the order in which the keys first came.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) list: Vec<(Box<str>, Value)>,
    pub(super) dropped: u32,
}

impl Attributes {
    /// Sets `key`; the last value wins. Takes what it needs from `room`, and gives back what it replaces.
    pub(super) fn set(&mut self, key: &str, mut value: Value, bounds: Bounds<'_>, room: &mut usize) {
        bounds.cut(key, &mut value);
        let size = value.size();
        if let Some((_, old)) = self.list.iter_mut().find(|(known, _)| &**known == key) {
            if size <= *room + old.size() {
                *room = *room + old.size() - size;
                *old = value;
                return;
            }
        } else if !key.is_empty()
            && key.len() <= MAX_NAME
            && key.len() + size <= *room
            && bounds.most.admits(self.list.len())
        {
            *room -= key.len() + size;
            self.list.push((key.into(), value));
            return;
        }
        self.dropped += 1;
    }

    /// Whether `key` is set.
    pub(super) fn has(&self, key: &str) -> bool {
        self.list.iter().any(|(known, _)| &**known == key)
    }
}

/// Something that happened at a moment of a span.
#[derive(Debug)]
pub(super) struct Event {
    /// Unix time in nanoseconds.
    pub(super) time: u64,
    pub(super) name: Box<str>,
    pub(super) attributes: Attributes,
}

/// Events, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) list: Vec<Event>,
    pub(super) dropped: u32,
}

impl Events {
    /// Adds an event; returns how many of its attributes were dropped.
    pub(super) fn add(
        &mut self,
        time: u64,
        name: &str,
        given: Vec<(String, Value)>,
        limits: &Limits,
        room: &mut usize,
    ) -> u32 {
        let name = shortened(name, MAX_NAME);
        if name.len() > *room || !limits.events.admits(self.list.len()) {
            self.dropped += 1;
            return 0;
        }
        *room -= name.len();
        let mut attributes = Attributes::default();
        for (key, value) in given {
            attributes.set(&key, value, limits.of_event(), room);
        }
        let dropped = attributes.dropped;
        self.list.push(Event { time, name: name.into(), attributes });
        dropped
    }

    /// Adds the event that stands for `exception`.
    pub(super) fn add_exception(
        &mut self,
        time: u64,
        exception: Exception,
        limits: &Limits,
        room: &mut usize,
    ) -> u32 {
        let Exception { kind, message, stacktrace, mut attributes } = exception;
        // The exception's own facts come first, so that it is the guest's extras that meet the limits.
        let mut all = Vec::with_capacity(attributes.len() + 3);
        all.push((semconv::EXCEPTION_TYPE.to_owned(), Value::Text(kind)));
        all.push((semconv::EXCEPTION_MESSAGE.to_owned(), Value::Text(message)));
        all.extend(stacktrace.map(|trace| (semconv::EXCEPTION_STACKTRACE.to_owned(), Value::Text(trace))));
        attributes.retain(|(key, _)| all.iter().all(|(known, _)| known != key));
        all.append(&mut attributes);
        self.add(time, semconv::EXCEPTION_EVENT, all, limits, room)
    }
}

/// A pointer to another span.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) to: Linked,
    pub(super) attributes: Attributes,
}

/// Links, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) list: Vec<Link>,
    pub(super) dropped: u32,
}

impl Links {
    /// Adds a link; returns how many of its attributes were dropped.
    pub(super) fn add(
        &mut self,
        to: Linked,
        given: Vec<(String, Value)>,
        limits: &Limits,
        room: &mut usize,
    ) -> u32 {
        let size = size_of::<Link>() + to.context.trace_state.as_str().len();
        if size > *room || !limits.links.admits(self.list.len()) {
            self.dropped += 1;
            return 0;
        }
        *room -= size;
        let mut attributes = Attributes::default();
        for (key, value) in given {
            attributes.set(&key, value, limits.of_link(), room);
        }
        let dropped = attributes.dropped;
        self.list.push(Link { to, attributes });
        dropped
    }
}

#[cfg(test)]
mod tests;
