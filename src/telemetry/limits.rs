//! Attributes and events of a span under limits: a guest can neither fill our memory nor a backend's.
//!
//! What is over a limit is dropped, or cut when it is a text, and every drop is counted on the span and in the
//! pipeline.

use super::context::SpanContext;
use super::semconv;
use super::value::{Exception, Value, shortened};

/// Attributes of a span, and of one event.
pub(crate) const MAX_ATTRIBUTES: usize = 128;
/// Events of a span.
pub(super) const MAX_EVENTS: usize = 128;
/// Links of a span.
pub(super) const MAX_LINKS: usize = 128;
/// Spans under one server span: a guest's own and those of its outgoing requests.
pub(super) const MAX_CHILDREN: usize = 1000;
/// Of these, spans of a guest's own SDK that are begun and not ended.
pub(super) const MAX_ANNOUNCED: usize = 128;
/// Bytes of names, attributes, events and links of all of them.
pub(super) const MAX_CHILDREN_SIZE: usize = 1024 * 1024;
/// Bytes of one text or byte value; longer ones are cut.
pub(super) const MAX_VALUE: usize = 4096;
/// Bytes of a stack trace: a cut one is of little use.
pub(super) const MAX_STACKTRACE: usize = 16 * 1024;
/// Bytes of a name (span, route, event, error type), cut; a longer attribute key is dropped.
pub(super) const MAX_NAME: usize = 256;
/// Bytes of all attributes and events of one span; whatever comes after is dropped.
pub(super) const MAX_SPAN: usize = 256 * 1024;

/// Attributes with distinct keys, in the order in which the keys first came.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) list: Vec<(Box<str>, Value)>,
    pub(super) dropped: u32,
}

impl Attributes {
    /// Sets `key`; the last value wins. Takes what it needs from `room`, and gives back what it replaces.
    pub(super) fn set(&mut self, key: &str, mut value: Value, limit: usize, room: &mut usize) {
        value.cut(limit);
        let size = value.size();
        if let Some((_, old)) = self.list.iter_mut().find(|(known, _)| &**known == key) {
            if size <= *room + old.size() {
                *room = *room + old.size() - size;
                *old = value;
                return;
            }
        } else if !key.is_empty()
            && key.len() <= MAX_NAME
            && self.list.len() < MAX_ATTRIBUTES
            && key.len() + size <= *room
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
        room: &mut usize,
    ) -> u32 {
        let name = shortened(name, MAX_NAME);
        if self.list.len() >= MAX_EVENTS || name.len() > *room {
            self.dropped += 1;
            return 0;
        }
        *room -= name.len();
        let mut attributes = Attributes::default();
        for (key, value) in given {
            let limit = if key == semconv::EXCEPTION_STACKTRACE { MAX_STACKTRACE } else { MAX_VALUE };
            attributes.set(&key, value, limit, room);
        }
        let dropped = attributes.dropped;
        self.list.push(Event { time, name: name.into(), attributes });
        dropped
    }

    /// Adds the event that stands for `exception`.
    pub(super) fn add_exception(&mut self, time: u64, exception: Exception, room: &mut usize) -> u32 {
        let Exception { kind, message, stacktrace, mut attributes } = exception;
        // The exception's own facts come first, so that it is the guest's extras that meet the limits.
        let mut all = Vec::with_capacity(attributes.len() + 3);
        all.push((semconv::EXCEPTION_TYPE.to_owned(), Value::Text(kind)));
        all.push((semconv::EXCEPTION_MESSAGE.to_owned(), Value::Text(message)));
        all.extend(stacktrace.map(|trace| (semconv::EXCEPTION_STACKTRACE.to_owned(), Value::Text(trace))));
        attributes.retain(|(key, _)| all.iter().all(|(known, _)| known != key));
        all.append(&mut attributes);
        self.add(time, semconv::EXCEPTION_EVENT, all, room)
    }
}

/// A pointer to another span.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) context: SpanContext,
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
    pub(super) fn add(&mut self, context: SpanContext, given: Vec<(String, Value)>, room: &mut usize) -> u32 {
        let size = size_of::<Link>() + context.trace_state.as_str().len();
        if self.list.len() >= MAX_LINKS || size > *room {
            self.dropped += 1;
            return 0;
        }
        *room -= size;
        let mut attributes = Attributes::default();
        for (key, value) in given {
            attributes.set(&key, value, MAX_VALUE, room);
        }
        let dropped = attributes.dropped;
        self.list.push(Link { context, attributes });
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_key_wins_and_keeps_its_place() {
        let (mut attributes, mut room) = (Attributes::default(), 100);
        for (key, value) in [("a", 1), ("b", 2), ("a", 3)] {
            attributes.set(key, Value::Int(value), MAX_VALUE, &mut room);
        }
        assert_eq!(attributes.list, [("a".into(), Value::Int(3)), ("b".into(), Value::Int(2))]);
        assert_eq!((attributes.dropped, room), (0, 100 - 18));
    }

    #[test]
    fn what_is_over_a_limit_is_counted() {
        let (mut attributes, mut room) = (Attributes::default(), 2000);
        attributes.set("", Value::Bool(true), MAX_VALUE, &mut room);
        attributes.set(&"k".repeat(MAX_NAME + 1), Value::Bool(true), MAX_VALUE, &mut room);
        attributes.set("big", Value::Text("v".repeat(1995)), MAX_VALUE, &mut room);
        attributes.set("bigger", Value::Bool(true), MAX_VALUE, &mut room);
        assert_eq!((attributes.list.len(), attributes.dropped), (1, 3));
        attributes.set("big", Value::Text(String::new()), MAX_VALUE, &mut room);
        for n in 0..200 {
            attributes.set(&format!("k{n}"), Value::Bool(true), MAX_VALUE, &mut room);
        }
        assert_eq!(attributes.list.len(), MAX_ATTRIBUTES);
        assert_eq!(attributes.dropped, 3 + 200 - 127);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let mut value = Value::Texts(vec!["ä".repeat(10), "ok".into()]);
        value.cut(5);
        assert_eq!(value, Value::Texts(vec!["ää".into(), "ok".into()]));
    }

    #[test]
    fn an_exception_keeps_its_own_facts() {
        let (mut events, mut room) = (Events::default(), MAX_SPAN);
        let exception = Exception {
            kind: "Oops".into(),
            message: "m".into(),
            stacktrace: Some("s".repeat(20_000)),
            attributes: vec![
                ("exception.type".into(), Value::Text("forged".into())),
                ("x".into(), Value::Int(1)),
            ],
        };
        events.add_exception(5, exception, &mut room);
        let event = &events.list[0];
        assert_eq!((event.time, &*event.name), (5, "exception"));
        let keys: Vec<_> = event.attributes.list.iter().map(|(key, _)| &**key).collect();
        assert_eq!(keys, ["exception.type", "exception.message", "exception.stacktrace", "x"]);
        assert_eq!(event.attributes.list[0].1, Value::Text("Oops".into()));
        assert_eq!(event.attributes.list[2].1.size(), MAX_STACKTRACE);
        for _ in 0..200 {
            events.add(0, "e", vec![], &mut room);
        }
        assert_eq!((events.list.len(), events.dropped), (MAX_EVENTS, 73));
    }
}
