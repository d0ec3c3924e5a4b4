//! What a guest says on a span, its request's or one of its own: attributes, events, links, a status, a name.

use super::context::Linked;
use super::counters::Counters;
use super::encode::{Code, Dropped, SpanWriter};
use super::limits::{Attributes, Events, Limits, Links, MAX_NAME, MAX_VALUE};
use super::sdk_span::Omitted;
use super::value::{Exception, Status, Value, shortened};

/// Everything said on one span.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) status: Status,
    /// A name chosen after the start.
    pub(super) name: Option<Box<str>>,
    pub(super) attributes: Attributes,
    pub(super) events: Events,
    pub(super) links: Links,
}

/// What a note is charged to: the limits, the bytes that are left, and the counts of what was dropped.
pub(super) struct Account<'a> {
    pub(super) limits: &'a Limits,
    pub(super) room: &'a mut usize,
    pub(super) counters: &'a Counters,
}

impl Notes {
    /// Sets an attribute; the last value of a key wins.
    pub(super) fn set_attribute(&mut self, key: &str, value: Value, account: Account<'_>) {
        let before = self.attributes.dropped;
        self.attributes.set(key, value, account.limits.of_span(), account.room);
        Counters::add(&account.counters.attributes, self.attributes.dropped - before);
    }

    /// Drops an attribute that may not be set.
    pub(super) fn refuse_attribute(&mut self, counters: &Counters) {
        self.attributes.dropped += 1;
        Counters::add(&counters.attributes, 1u32);
    }

    /// Adds an event that happened at `time`, in nanoseconds of Unix time.
    pub(super) fn add_event(
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
    pub(super) fn add_exception(&mut self, time: u64, exception: Exception, account: Account<'_>) {
        let limits = account.limits;
        self.event(account, |events, room| events.add_exception(time, exception, limits, room));
    }

    fn event(&mut self, account: Account<'_>, add: impl FnOnce(&mut Events, &mut usize) -> u32) {
        let before = self.events.dropped;
        let attributes = add(&mut self.events, account.room);
        Counters::add(&account.counters.attributes, attributes);
        Counters::add(&account.counters.events, self.events.dropped - before);
    }

    /// Adds a link to another span.
    pub(super) fn add_link(&mut self, to: Linked, attributes: Vec<(String, Value)>, account: Account<'_>) {
        let before = self.links.dropped;
        let attributes = self.links.add(to, attributes, account.limits, account.room);
        Counters::add(&account.counters.attributes, attributes);
        Counters::add(&account.counters.links, self.links.dropped - before);
    }

    /// Drops a link that names nothing.
    pub(super) fn refuse_link(&mut self, counters: &Counters) {
        self.links.dropped += 1;
        Counters::add(&counters.links, 1u32);
    }

    /// Adds what somebody else has dropped before.
    pub(super) fn omit(&mut self, omitted: Omitted) {
        let add = |dropped: &mut u32, more| *dropped = dropped.saturating_add(more);
        add(&mut self.attributes.dropped, omitted.attributes);
        add(&mut self.events.dropped, omitted.events);
        add(&mut self.links.dropped, omitted.links);
    }

    /// Sets the status. As in the specification, `Ok` is final and `Unset` is ignored.
    pub(super) fn set_status(&mut self, status: Status) {
        match (&self.status, status) {
            (Status::Ok, _) | (_, Status::Unset) => {}
            (_, Status::Error(message)) => {
                self.status = Status::Error(shortened(&message, MAX_VALUE).to_owned());
            }
            (_, Status::Ok) => self.status = Status::Ok,
        }
    }

    /// Renames the span; no span can do without a name.
    pub(super) fn rename(&mut self, name: &str, counters: &Counters) {
        match name {
            "" => Counters::add(&counters.attributes, 1u32),
            name => self.name = Some(shortened(name, MAX_NAME).into()),
        }
    }

    /// Writes events, links and the status `status`, then ends the span.
    pub(super) fn finish(&self, status: &Status, mut span: SpanWriter<'_>) {
        for event in &self.events.list {
            let attributes = &event.attributes;
            span.event(event.time, &event.name, &attributes.list, attributes.dropped);
        }
        for link in &self.links.list {
            span.link(&link.to, &link.attributes.list, link.attributes.dropped);
        }
        match status {
            Status::Unset => {}
            Status::Ok => span.status(Code::Ok, ""),
            Status::Error(message) => span.status(Code::Error, message),
        }
        span.finish(Dropped {
            attributes: self.attributes.dropped,
            events: self.events.dropped,
            links: self.links.dropped,
        });
    }
}
