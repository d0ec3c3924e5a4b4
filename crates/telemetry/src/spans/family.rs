//! The spans under one server span: who they are, and the limits they share.

use super::child::{Child, Start};
use crate::context::SpanContext;
use crate::counters::LeftOut;
use crate::limits::{MAX_ANNOUNCED, MAX_CHILDREN, MAX_CHILDREN_SIZE, MAX_NAME};
use crate::request::record::Record;
use crate::value::shortened;
use pounce_otlp::id::{SpanId, TraceId};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The spans under one server span; made with the first of them.
pub(crate) struct Family {
    state: Mutex<State>,
    /// Where the request is registered, so that a shutdown ends what its guest left open.
    pub(crate) shard: usize,
}

struct State {
    /// Every span there has been, ended ones too, and its trace: a guest may have adopted another than the request's.
    known: HashMap<SpanId, Known>,
    open: Vec<Weak<Child>>,
    /// Ids in `known` of spans that an SDK of the guest has begun, and will hand over whole when they end.
    announced: HashSet<SpanId>,
    /// Bytes left for names, attributes, events and links of all of them.
    room: usize,
}

#[derive(Clone, Copy)]
struct Known {
    trace_id: TraceId,
    /// How many were known before it.
    before: usize,
}

impl State {
    fn learn(&mut self, trace_id: TraceId, span_id: SpanId) {
        let before = self.known.len();
        self.known.entry(span_id).or_insert(Known { trace_id, before });
    }
}

impl Family {
    fn new(shard: usize) -> Box<Self> {
        let state = State {
            known: HashMap::new(),
            open: Vec::new(),
            announced: HashSet::new(),
            room: MAX_CHILDREN_SIZE,
        };
        Box::new(Family { state: Mutex::new(state), shard })
    }

    /// Charges what `write` takes to what all the spans have together.
    pub(super) fn charge<T>(&self, write: impl FnOnce(&mut usize) -> T) -> T {
        write(&mut self.state().room)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn family(self: &Arc<Self>) -> &Family {
        self.family.get_or_init(|| Family::new(self.shared().families.add(self)))
    }

    /// Starts a span under the request's own; `None`, and a count, when there are too many.
    pub(crate) fn start_child(self: &Arc<Self>, start: Start<'_>) -> Option<Arc<Child>> {
        let server = self.context()?;
        let name = shortened(start.name, MAX_NAME);
        let mut state = self.family().state();
        let announced = start.id.is_some_and(|id| state.announced.remove(&id));
        let known = start.id.is_some_and(|id| state.known.contains_key(&id));
        let no_place = !announced && (known || state.known.len() >= MAX_CHILDREN);
        if no_place || state.room < name.len() {
            drop(state);
            self.count(LeftOut { children: 1, ..LeftOut::NONE });
            return None;
        }
        state.room -= name.len();
        // The sampling decision is the server's, and so is the member that tells of it, where the parent's context has none.
        let trace_state = start.trace_state.clone();
        let trace_state = match start.trace_id == server.trace_id {
            true => trace_state.or_ot_of(&server.trace_state),
            false => trace_state,
        };
        let context = SpanContext {
            trace_id: start.trace_id,
            span_id: start.id.unwrap_or_else(SpanId::random),
            flags: server.flags,
            trace_state,
        };
        state.learn(context.trace_id, context.span_id);
        let child = Arc::new(Child::new(Arc::clone(self), context, name, start));
        if state.open.len() == state.open.capacity() {
            state.open.retain(|child| child.strong_count() > 0);
        }
        state.open.push(Arc::downgrade(&child));
        Some(child)
    }

    /// Keeps a place for a span that will be handed over when it has ended; false where its id is taken, or too many
    /// are kept.
    pub(super) fn announce_child(self: &Arc<Self>, trace_id: TraceId, span_id: SpanId) -> bool {
        let mut state = self.family().state();
        let is_new = !self.has_taken(span_id) && !state.known.contains_key(&span_id);
        if !is_new || state.announced.len() >= MAX_ANNOUNCED || state.known.len() >= MAX_CHILDREN {
            return false;
        }
        state.learn(trace_id, span_id);
        state.announced.insert(span_id)
    }

    /// Whether a span may be handed over under this id: it was announced, or is not known at all.
    pub(super) fn expects_child(&self, trace_id: TraceId, span_id: SpanId) -> bool {
        let state = self.family.get().map(|family| family.state());
        let known = state.as_ref().and_then(|state| Some((state, state.known.get(&span_id)?)));
        match known {
            Some((state, known)) => known.trace_id == trace_id && state.announced.contains(&span_id),
            None => !self.has_taken(span_id),
        }
    }

    /// Whether it is the id of the server span or of its caller, which a guest knows and must not take.
    fn has_taken(&self, span_id: SpanId) -> bool {
        self.context().is_some_and(|context| context.span_id == span_id) || self.parent() == Some(span_id)
    }

    /// Whether this span is one of those under the request's own.
    pub(crate) fn knows_child(&self, trace_id: TraceId, span_id: SpanId) -> bool {
        let Some(family) = self.family.get() else { return false };
        family.state().known.get(&span_id).is_some_and(|known| known.trace_id == trace_id)
    }

    /// Whether `parent` is a span of this trace that was known before `child`: no span is above its own parent.
    pub(super) fn knows_before(&self, trace_id: TraceId, parent: SpanId, child: SpanId) -> bool {
        let Some(family) = self.family.get() else { return false };
        let state = family.state();
        let before = state.known.get(&child).map_or(usize::MAX, |child| child.before);
        let parent = state.known.get(&parent);
        parent.is_some_and(|parent| parent.trace_id == trace_id && parent.before < before)
    }

    /// Whether a span under the request's own is still open.
    pub(crate) fn has_open_children(&self) -> bool {
        let Some(family) = self.family.get() else { return false };
        let open = family.state().open.clone();
        open.iter().filter_map(Weak::upgrade).any(|child| child.is_open())
    }

    /// Ends, marked as incomplete, what is still open; outgoing requests, which end by themselves and know why, only with
    /// `calls`. Of a span that was only announced nothing is known but its id.
    pub(crate) fn close_children(&self, calls: bool) {
        let Some(family) = self.family.get() else { return };
        let (open, announced) = {
            let mut state = family.state();
            (std::mem::take(&mut state.open), std::mem::take(&mut state.announced))
        };
        self.count(LeftOut { unended: announced.len() as u64, ..LeftOut::NONE });
        let open = open.iter().filter_map(Weak::upgrade);
        let (later, now): (Vec<_>, Vec<_>) = open.partition(|child| child.is_call() && !calls);
        now.iter().for_each(|child| child.abandon());
        family.state().open.extend(later.iter().map(Arc::downgrade));
    }
}
