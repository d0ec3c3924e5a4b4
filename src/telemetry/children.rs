//! The spans under one server span: what they share, and the limits they share.

use super::Shared;
use super::child::{Child, Facts};
use super::clock::Clock;
use super::context::SpanContext;
use super::counters::Counters;
use super::encode::Kind;
use super::id::{SpanId, TraceId};
use super::limits::{MAX_CHILDREN, MAX_CHILDREN_SIZE, MAX_NAME};
use super::value::shortened;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// What the spans under one server span share.
pub(super) struct Children {
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Clock,
    server: SpanContext,
    state: Mutex<State>,
}

struct State {
    /// Every span there has been, ended ones too, and its trace: a guest may have adopted another than the request's.
    known: HashMap<SpanId, TraceId>,
    open: Vec<Weak<Child>>,
    /// Bytes left for names, attributes, events and links of all of them.
    room: usize,
}

/// The families of all requests, so that a shutdown ends what guests left open.
#[derive(Default)]
pub(super) struct Families(Mutex<Vec<Weak<Children>>>);

impl Families {
    fn add(&self, family: &Arc<Children>) {
        let mut families = self.lock();
        if families.len() == families.capacity() {
            families.retain(|family| family.strong_count() > 0);
        }
        families.push(Arc::downgrade(family));
    }

    /// Ends, marked as incomplete, every span that is still open.
    pub(super) fn close(&self) {
        let families = std::mem::take(&mut *self.lock());
        families.iter().filter_map(Weak::upgrade).for_each(|family| family.close());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Children>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a span has from its start.
pub(super) struct Start<'a> {
    pub(super) parent: &'a SpanContext,
    pub(super) parent_is_remote: bool,
    /// Its id where somebody else chose it.
    pub(super) id: Option<SpanId>,
    pub(super) kind: Kind,
    pub(super) name: &'a str,
    /// Unix time in nanoseconds; now when `None`.
    pub(super) time: Option<u64>,
    pub(super) facts: Facts,
}

impl Children {
    pub(super) fn new(shared: Arc<Shared>, clock: Clock, server: SpanContext) -> Arc<Self> {
        let state = State { known: HashMap::new(), open: Vec::new(), room: MAX_CHILDREN_SIZE };
        let children = Arc::new(Children { shared, clock, server, state: Mutex::new(state) });
        children.shared.families.add(&children);
        children
    }

    /// Starts a span; `None`, and a count, when there are too many.
    pub(super) fn start(self: &Arc<Self>, start: Start<'_>) -> Option<Arc<Child>> {
        let name = shortened(start.name, MAX_NAME);
        let mut state = self.state();
        let known = start.id.is_some_and(|id| state.known.contains_key(&id));
        if state.known.len() >= MAX_CHILDREN || state.room < name.len() || known {
            Counters::add(&self.counters().children, 1u32);
            return None;
        }
        state.room -= name.len();
        let context = SpanContext {
            trace_id: start.parent.trace_id,
            span_id: start.id.unwrap_or_else(SpanId::random),
            flags: self.server.flags,
            trace_state: start.parent.trace_state.clone(),
        };
        state.known.insert(context.span_id, context.trace_id);
        let child = Arc::new(Child::new(Arc::clone(self), context, name, start));
        if state.open.len() == state.open.capacity() {
            state.open.retain(|child| child.strong_count() > 0);
        }
        state.open.push(Arc::downgrade(&child));
        Some(child)
    }

    /// Whether this span is the server span or one of those under it.
    pub(super) fn knows(&self, trace_id: TraceId, span_id: SpanId) -> bool {
        self.state().known.get(&span_id) == Some(&trace_id)
    }

    /// Ends, marked as incomplete, what is still open.
    pub(super) fn close(&self) {
        let open = std::mem::take(&mut self.state().open);
        for child in open.iter().filter_map(Weak::upgrade) {
            child.abandon();
        }
    }

    /// Charges `note` to what all the spans have together.
    pub(super) fn charge<T>(&self, note: impl FnOnce(&mut usize) -> T) -> T {
        note(&mut self.state().room)
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.shared.pipeline.counters
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
