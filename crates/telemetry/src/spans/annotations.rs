//! What a guest says on a span, its request's or one of its own: attributes, events, links, a status, a name.

use crate::context::Linked;
use crate::counters::LeftOut;
use crate::limits::{Attributes, Events, Limits, Links, MAX_NAME, MAX_VALUE};
use crate::semconv::is_reserved;
use crate::value::{Exception, Status, Value, shortened};
use pounce_otlp::wire::{Code, Dropped, SpanWriter};

/// Everything that a guest says on one span.
#[derive(Debug, Default)]
pub(crate) struct Annotations {
    pub(crate) status: Status,
    /// A name chosen after the start.
    pub(crate) name: Option<Box<str>>,
    pub(crate) attributes: Attributes,
    pub(crate) events: Events,
    pub(crate) links: Links,
}

/// What an annotation is charged to.
pub(crate) struct Account<'a> {
    pub(crate) limits: &'a Limits,
    /// Bytes that are left.
    pub(crate) room: &'a mut usize,
    pub(crate) left_out: &'a mut LeftOut,
}

/// How much an SDK has left out of a span by limits of its own.
#[derive(Clone, Copy, Default)]
pub struct Omitted {
    /// Attributes.
    pub attributes: u32,
    /// Events.
    pub events: u32,
    /// Links.
    pub links: u32,
}

impl Annotations {
    /// Sets an attribute; the last value of a key wins. One that only the host may set is dropped.
    pub(crate) fn set_attribute(&mut self, key: &str, value: Value, account: Account<'_>) {
        let before = self.attributes.dropped;
        if is_reserved(key) {
            self.attributes.dropped += 1;
        } else {
            self.attributes.set(key, value, account.limits.of_span(), account.room);
        }
        account.left_out.attributes += u64::from(self.attributes.dropped - before);
    }

    /// Adds an event that happened at `time`, in nanoseconds of Unix time.
    pub(crate) fn add_event(
        &mut self,
        time: u64,
        name: &str,
        attributes: Vec<(String, Value)>,
        account: Account<'_>,
    ) {
        let limits = account.limits;
        self.event(account, |events, room| events.add(time, name, attributes, limits, room));
    }

    /// Adds an `exception` event; does not touch the status.
    pub(crate) fn add_exception(&mut self, time: u64, exception: Exception, account: Account<'_>) {
        let limits = account.limits;
        self.event(account, |events, room| events.add_exception(time, exception, limits, room));
    }

    fn event(&mut self, account: Account<'_>, add: impl FnOnce(&mut Events, &mut usize) -> u32) {
        let before = self.events.dropped;
        let attributes = add(&mut self.events, account.room);
        account.left_out.attributes += u64::from(attributes);
        account.left_out.events += u64::from(self.events.dropped - before);
    }

    /// Adds a link to another span.
    pub(crate) fn add_link(&mut self, to: Linked, attributes: Vec<(String, Value)>, account: Account<'_>) {
        let before = self.links.dropped;
        let attributes = self.links.add(to, attributes, account.limits, account.room);
        account.left_out.attributes += u64::from(attributes);
        account.left_out.links += u64::from(self.links.dropped - before);
    }

    /// Refuses a link that names nothing.
    pub(crate) fn refuse_link(&mut self, left_out: &mut LeftOut) {
        self.links.dropped += 1;
        left_out.links += 1;
    }

    /// Adds what the guest's SDK has left out.
    pub(crate) fn omit(&mut self, omitted: Omitted) {
        let add = |dropped: &mut u32, more| *dropped = dropped.saturating_add(more);
        add(&mut self.attributes.dropped, omitted.attributes);
        add(&mut self.events.dropped, omitted.events);
        add(&mut self.links.dropped, omitted.links);
    }

    /// Sets the status. As in the specification, `Ok` is final and `Unset` is ignored.
    pub(crate) fn set_status(&mut self, status: Status) {
        match (&self.status, status) {
            (Status::Ok, _) | (_, Status::Unset) => {}
            (_, Status::Error(message)) => {
                self.status = Status::Error(shortened(&message, MAX_VALUE).to_owned());
            }
            (_, Status::Ok) => self.status = Status::Ok,
        }
    }

    /// The status that the guest set, with its description.
    pub(crate) fn status(&self) -> Option<(Code, &str)> {
        match &self.status {
            Status::Unset => None,
            Status::Ok => Some((Code::Ok, "")),
            Status::Error(message) => Some((Code::Error, message)),
        }
    }

    /// Renames the span; no span can do without a name.
    pub(crate) fn rename(&mut self, name: &str, left_out: &mut LeftOut) {
        match name {
            "" => left_out.attributes += 1,
            name => self.name = Some(shortened(name, MAX_NAME).into()),
        }
    }

    /// Writes events, links and `status` with its description, then ends the span.
    pub(crate) fn finish(&self, status: Option<(Code, &str)>, mut span: SpanWriter<'_>) {
        for event in &self.events.list {
            let attributes = &event.attributes;
            span.event(event.time, &event.name, &attributes.list, attributes.dropped);
        }
        for link in &self.links.list {
            let attributes = &link.attributes;
            span.link(link.to.context.wire(), link.to.is_remote, &attributes.list, attributes.dropped);
        }
        if let Some((code, message)) = status {
            span.status(code, message);
        }
        span.finish(Dropped {
            attributes: self.attributes.dropped,
            events: self.events.dropped,
            links: self.links.dropped,
        });
    }
}
