//! Spans that an SDK of the guest's own has made: announced when they start, handed over whole when they have ended.
//!
//! Their ids and times are the guest's word. The trace, the decision to sample and whom a span may name as its parent
//! are ours: a guest cannot write into traces of others.

use super::annotations::Omitted;
use super::child::{Facts, START_BEFORE, Start};
use super::span::{Node, Span};
use crate::context::{Linked, SpanContext};
use crate::request::record::Record;
use crate::request::server_span::ServerSpan;
use crate::scope::SdkScope;
use crate::settings::GuestParents;
use crate::value::{Status, Value};
use pounce_otlp::id::SpanId;
use pounce_otlp::wire::Kind;
use std::sync::Arc;

/// Attributes as they were given.
type Attributes = Vec<(String, Value)>;

/// A span that has ended, as its SDK tells it.
pub struct SdkSpan {
    /// Trace, id and state; whether it is sampled we have decided.
    pub context: SpanContext,
    /// None for a root, and where the id is malformed.
    pub parent: Option<SpanId>,
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Unix time in nanoseconds.
    pub start: u64,
    /// Unix time in nanoseconds.
    pub end: u64,
    /// Its attributes.
    pub attributes: Attributes,
    /// Time, name and attributes of each.
    pub events: Vec<(u64, String, Attributes)>,
    /// A link without a valid context is counted as dropped.
    pub links: Vec<(Option<Linked>, Attributes)>,
    /// How it ended.
    pub status: Status,
    /// The library that made it.
    pub scope: SdkScope,
    /// What the SDK has left out by limits of its own.
    pub omitted: Omitted,
}

/// Why a span is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is of another trace than its request, and guests may not have such.
    Foreign,
    /// There is no place to keep for it: its id is that of another span, or there are too many.
    NoPlace,
    /// A span of this id has ended before, or is the host's.
    Taken,
}

impl ServerSpan {
    /// Notes that a span has started, so that others may name it as their parent; the context under which they are put.
    ///
    /// # Errors
    /// Why it is not noted. It may be handed over all the same.
    pub fn announce(&self, span: &SpanContext, rule: GuestParents) -> Result<SpanContext, Refused> {
        let server =
            self.context().filter(|server| is_allowed(server, span, rule)).ok_or(Refused::Foreign)?;
        let record = self.recorded().ok_or(Refused::NoPlace)?;
        if !record.announce_child(span.trace_id, span.span_id) {
            return Err(Refused::NoPlace);
        }
        Ok(SpanContext { flags: server.flags, ..span.clone() })
    }

    /// Takes a span that has ended, also one that was never announced. What is over the limits is dropped and counted.
    ///
    /// # Errors
    /// Why none of it is taken.
    pub fn take(&self, span: SdkSpan, rule: GuestParents) -> Result<(), Refused> {
        let server = self.context().filter(|server| is_allowed(server, &span.context, rule));
        let (Some(server), Some(record)) = (server, self.recorded()) else {
            return Err(Refused::Foreign);
        };
        if !record.expects_child(span.context.trace_id, span.context.span_id) {
            return Err(Refused::Taken);
        }
        let place = Place::of(&span, &server, record);
        let Some(child) = record.start_child(Start {
            trace_id: span.context.trace_id,
            trace_state: span.context.trace_state,
            parent: place.parent,
            parent_is_remote: place.parent_is_remote,
            id: Some(span.context.span_id),
            kind: span.kind,
            name: if span.name.is_empty() { "unnamed" } else { &span.name },
            time: Some(span.start),
            facts: Facts::None,
        }) else {
            return Ok(()); // counted there
        };
        let earliest = record.clock().started().saturating_sub(START_BEFORE);
        let now = record.clock().now();
        let handle = Span(Node::Child(Arc::clone(&child)));
        for (key, value) in span.scope.attributes().chain(span.attributes) {
            handle.set_attribute(&key, value);
        }
        for (time, name, attributes) in span.events {
            handle.add_event(&name, attributes, Some(time.clamp(earliest, now)));
        }
        for (to, attributes) in span.links {
            match to {
                Some(to) => handle.add_link(to, attributes),
                None => child.annotate(|annotations, account| annotations.refuse_link(account.left_out)),
            }
        }
        if let Some(link) = place.link {
            handle.add_link(link, Vec::new());
        }
        handle.set_status(span.status);
        // Last: it may be any number, and is not ours to count.
        child.annotate(|annotations, _| annotations.omit(span.omitted));
        child.end(Some(span.end));
        Ok(())
    }
}

/// Whether a guest may have a span in this trace.
fn is_allowed(server: &SpanContext, span: &SpanContext, rule: GuestParents) -> bool {
    server.trace_id == span.trace_id || rule == GuestParents::Adopt
}

/// Where a span belongs.
struct Place {
    parent: Option<SpanId>,
    parent_is_remote: bool,
    /// What else it is related to.
    link: Option<Linked>,
}

impl Place {
    fn of(span: &SdkSpan, server: &SpanContext, record: &Record) -> Self {
        let SpanContext { trace_id, span_id, .. } = span.context;
        let is_own = trace_id == server.trace_id;
        let named = span.parent.filter(|parent| *parent != span_id);
        match named {
            Some(parent) if is_own && parent == server.span_id => {
                Place { parent: named, parent_is_remote: false, link: None }
            }
            Some(parent) if record.knows_before(trace_id, parent, span_id) => {
                Place { parent: named, parent_is_remote: false, link: None }
            }
            // The caller's span, or an unknown one: the request is what the work was done for.
            _ if is_own => {
                let link = |span_id| Linked::from(SpanContext { span_id, ..span.context.clone() });
                Place { parent: Some(server.span_id), parent_is_remote: false, link: named.map(link) }
            }
            _ => {
                let link = Some(Linked::local(server.clone()));
                Place { parent: named, parent_is_remote: named.is_some(), link }
            }
        }
    }
}
