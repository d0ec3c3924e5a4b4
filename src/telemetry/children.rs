//! The spans under one server span: what they share, and the limits they share.

use super::Shared;
use super::child::{Child, Facts};
use super::clock::Clock;
use super::context::{SpanContext, TraceState};
use super::counters::Counters;
use super::encode::Kind;
use super::held::Outlet;
use super::id::{SpanId, TraceId};
use super::limits::{MAX_ANNOUNCED, MAX_CHILDREN, MAX_CHILDREN_SIZE, MAX_NAME};
use super::value::shortened;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What the spans under one server span share.
pub(super) struct Children {
    pub(super) shared: Arc<Shared>,
    outlet: Outlet,
    pub(super) clock: Clock,
    server: SpanContext,
    /// The caller's span: a guest knows its id, and must not take it.
    caller: Option<SpanId>,
    state: Mutex<State>,
}

struct State {
    /// Every span there has been, ended ones too, and its trace: a guest may have adopted another than the request's.
    known: HashMap<SpanId, Known>,
    open: Vec<Weak<Child>>,
    /// Those of `known` that an SDK of the guest has begun, and will hand over whole when they end.
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

/// The families of all requests, so that a shutdown ends what guests left open.
#[derive(Default)]
pub(super) struct Families(Mutex<Vec<Weak<Children>>>);

impl Families {
    fn add(&self, family: &Arc<Children>) {
        let mut families = self.lock();
        if families.len() == families.capacity() {
            families.retain(|family| family.strong_count() > 0);
            // Room for as many again, or one that goes as each comes would have all looked at every time.
            let room = families.len().max(16);
            families.reserve(room);
        }
        families.push(Arc::downgrade(family));
    }

    /// Ends, marked as incomplete, every span that is still open.
    pub(super) fn close(&self) {
        let families = std::mem::take(&mut *self.lock());
        families.iter().filter_map(Weak::upgrade).for_each(|family| family.close(true));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Children>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a span has from its start.
pub(super) struct Start<'a> {
    pub(super) trace_id: TraceId,
    pub(super) trace_state: TraceState,
    /// None for the root of a trace.
    pub(super) parent: Option<SpanId>,
    pub(super) parent_is_remote: bool,
    /// Its id where somebody else chose it.
    pub(super) id: Option<SpanId>,
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    /// Unix time in nanoseconds; now when `None`.
    pub(super) time: Option<u64>,
    pub(super) facts: Facts,
}

impl State {
    fn learn(&mut self, trace_id: TraceId, span_id: SpanId) {
        let before = self.known.len();
        self.known.entry(span_id).or_insert(Known { trace_id, before });
    }
}

impl Children {
    pub(super) fn new(
        shared: Arc<Shared>,
        outlet: Outlet,
        clock: Clock,
        server: SpanContext,
        caller: Option<SpanId>,
    ) -> Arc<Self> {
        let state = State {
            known: HashMap::new(),
            open: Vec::new(),
            announced: HashSet::new(),
            room: MAX_CHILDREN_SIZE,
        };
        let children = Arc::new(Children { shared, outlet, clock, server, caller, state: Mutex::new(state) });
        children.shared.families.add(&children);
        children
    }

    /// Starts a span; `None`, and a count, when there are too many.
    pub(super) fn start(self: &Arc<Self>, start: Start<'_>) -> Option<Arc<Child>> {
        let name = shortened(start.name, MAX_NAME);
        let mut state = self.state();
        let announced = start.id.is_some_and(|id| state.announced.remove(&id));
        let known = start.id.is_some_and(|id| state.known.contains_key(&id));
        let no_place = !announced && (known || state.known.len() >= MAX_CHILDREN);
        if no_place || state.room < name.len() {
            Counters::add(&self.counters().children, 1u32);
            return None;
        }
        state.room -= name.len();
        // The decision is the server's, and so is what tells of it, where whoever names the parent left that out.
        let trace_state = start.trace_state.clone();
        let trace_state = match start.trace_id == self.server.trace_id {
            true => trace_state.or_ot_of(&self.server.trace_state),
            false => trace_state,
        };
        let context = SpanContext {
            trace_id: start.trace_id,
            span_id: start.id.unwrap_or_else(SpanId::random),
            flags: self.server.flags,
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
    pub(super) fn announce(&self, trace_id: TraceId, span_id: SpanId) -> bool {
        let mut state = self.state();
        let is_new = !self.is_taken(span_id) && !state.known.contains_key(&span_id);
        if !is_new || state.announced.len() >= MAX_ANNOUNCED || state.known.len() >= MAX_CHILDREN {
            return false;
        }
        state.learn(trace_id, span_id);
        state.announced.insert(span_id)
    }

    /// Whether a span may be handed over under this id: it was announced, or nobody has heard of it.
    pub(super) fn expects(&self, trace_id: TraceId, span_id: SpanId) -> bool {
        let state = self.state();
        match state.known.get(&span_id) {
            Some(known) => known.trace_id == trace_id && state.announced.contains(&span_id),
            None => !self.is_taken(span_id),
        }
    }

    /// Whether it is the id of the server span or of its caller.
    fn is_taken(&self, span_id: SpanId) -> bool {
        span_id == self.server.span_id || self.caller == Some(span_id)
    }

    /// Whether a guest could still end one.
    pub(super) fn has_open(&self) -> bool {
        let open = self.state().open.clone();
        open.iter().filter_map(Weak::upgrade).any(|child| child.is_open())
    }

    /// Whether this span is the server span or one of those under it.
    pub(super) fn knows(&self, trace_id: TraceId, span_id: SpanId) -> bool {
        self.state().known.get(&span_id).is_some_and(|known| known.trace_id == trace_id)
    }

    /// Whether `parent` is a span of this trace that was known before `child`: no span is above its own parent.
    pub(super) fn is_before(&self, trace_id: TraceId, parent: SpanId, child: SpanId) -> bool {
        let state = self.state();
        let before = state.known.get(&child).map_or(usize::MAX, |child| child.before);
        let parent = state.known.get(&parent);
        parent.is_some_and(|parent| parent.trace_id == trace_id && parent.before < before)
    }

    /// Ends, marked as incomplete, what is still open; outgoing requests, which end by themselves and know why, only with
    /// `calls`. Of a span that was only announced nothing is known but its id.
    pub(super) fn close(&self, calls: bool) {
        let (open, announced) = {
            let mut state = self.state();
            (std::mem::take(&mut state.open), std::mem::take(&mut state.announced))
        };
        Counters::add(&self.counters().unended, announced.len() as u64);
        let open = open.iter().filter_map(Weak::upgrade);
        let (later, now): (Vec<_>, Vec<_>) = open.partition(|child| child.is_call() && !calls);
        now.iter().for_each(|child| child.abandon());
        self.state().open.extend(later.iter().map(Arc::downgrade));
    }

    /// Charges `note` to what all the spans have together.
    pub(super) fn charge<T>(&self, note: impl FnOnce(&mut usize) -> T) -> T {
        note(&mut self.state().room)
    }

    /// Takes in one of them that has ended, as `encode` writes it.
    pub(super) fn push(&self, encode: impl Fn(&mut Vec<u8>)) {
        self.outlet.push(&self.shared.pipeline, encode);
    }

    pub(super) fn counters(&self) -> &Counters {
        self.outlet.counters(&self.shared.pipeline)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
