//! Whose request is it? The one rule that says on whose behalf a guest calls, and under which of its spans.

use wasmtime::StoreContextMut;
use wasmtime::component::GuestTaskId;

use super::scope::{RequestScope, Trace};
use super::state::HostState;
use pounce_telemetry::{Span, SpanContext};

/// Requests whose tasks a shared store remembers: a guest may work on after its response.
const MAX_REMEMBERED: usize = 1024;
/// Spans that one store may have entered at a time.
const MAX_ENTERED: usize = 1024;

/// How many requests a store serves at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serving {
    /// One, by an engine without tasks (0.2).
    One,
    /// One, by an engine whose guests may have several tasks (0.3).
    OneInTasks,
    /// Several, each in a task of its own (0.3).
    Many,
}

/// The requests of a store, and the spans that its guest has entered.
#[derive(Debug)]
pub(super) struct Requests {
    serves: Serves,
    has_tasks: bool,
    entered: Vec<Entered>,
    /// Requests that a shared store has begun.
    begun: usize,
    next_key: u64,
}

/// Which requests a store serves.
#[derive(Debug)]
enum Serves {
    /// One at a time: whatever the guest does, it does for this one.
    One(Option<RequestScope>),
    /// Several at once, told apart by the task that the host started for each.
    Many {
        tasks: Vec<Task>,
        /// Since no task at all was left in the store, no request but the last of these has begun.
        is_alone: bool,
    },
}

#[derive(Debug)]
struct Task {
    id: GuestTaskId,
    /// What the task does after the response still belongs to the request, whose place is free then.
    trace: Trace,
}

#[derive(Debug)]
struct Entered {
    key: u64,
    /// The task that entered it; none where an engine knows no tasks.
    task: Option<GuestTaskId>,
    /// None for the server span.
    span: Option<Span>,
    /// By a start that the guest's SDK told of: its end is what leaves it.
    announced: bool,
}

/// What a guest calls for.
pub(super) struct Current {
    pub(super) trace: Trace,
    /// The innermost span that the calling task has entered, where it is not the server span.
    pub(super) span: Option<Span>,
}

impl Current {
    /// The context of the innermost entered span; none while telemetry is off.
    pub(super) fn context(&self) -> Option<SpanContext> {
        self.span.as_ref().and_then(Span::context).or_else(|| self.trace.span.context())
    }
}

/// The request on whose behalf the guest calls, if that is certain.
///
/// In a store that serves several requests only a call stack of depth 1 names its task for sure: a subtask that
/// outlived its caller shows the caller's id, which may name a newer request by now, or one of its subtasks (wasmtime
/// #14247). A deeper stack counts where no other request can be meant: nothing was under way in the store when this one
/// began, and none has begun since. Everything else is "no current request": never the last one. Call it before the first await of a host function: after it the stack
/// is empty. A slot in the store, a task-local or an ambient span would name whoever ran last.
pub(super) fn current(store: &mut StoreContextMut<'_, HostState>) -> Option<Current> {
    let requests = &store.data().requests;
    if requests.entered.is_empty()
        && let Serves::One(scope) = &requests.serves
    {
        return Some(Current { trace: Trace::clone(scope.as_ref()?), span: None });
    }
    let (task, caller) = caller(store);
    let trace = store.data().requests.trace(&caller)?.clone();
    let entered = &store.data().requests.entered;
    let innermost = entered.iter().rev().find(|entered| entered.task == task);
    Some(Current { trace, span: innermost.and_then(|entered| entered.span.clone()) })
}

/// That request alone, borrowed: for the many calls that entered spans do not matter to.
pub(crate) fn current_trace<'a>(store: &'a mut StoreContextMut<'_, HostState>) -> Option<&'a Trace> {
    let requests = &store.data().requests;
    // With one request it does not matter which task calls, and need not be found out.
    let caller = if let Serves::One(_) = requests.serves { Caller::One } else { caller(store).1 };
    store.data().requests.trace(&caller)
}

/// Makes `span` (none: the server span) the innermost of the calling task; gives the key that [`leave`] takes.
pub(super) fn enter(store: &mut StoreContextMut<'_, HostState>, span: Option<Span>) -> Option<u64> {
    push(store, span, false)
}

/// Makes a span of the guest's own SDK the innermost of the calling task, until
/// [`leave_announced`](Requests::leave_announced); false where there is no room for it.
pub(super) fn enter_announced(store: &mut StoreContextMut<'_, HostState>, span: SpanContext) -> bool {
    // What there is to record of it comes with its end.
    push(store, Some(Span::unrecorded(span)), true).is_some()
}

fn push(store: &mut StoreContextMut<'_, HostState>, span: Option<Span>, announced: bool) -> Option<u64> {
    let (task, _) = caller(store);
    let requests = &mut store.data_mut().requests;
    if requests.entered.len() >= MAX_ENTERED {
        return None;
    }
    requests.next_key += 1;
    let key = requests.next_key;
    requests.entered.push(Entered { key, task, span, announced });
    Some(key)
}

enum Caller {
    One,
    /// The place of the task among those of the store.
    Task(usize),
    Unknown,
}

/// The task that calls, and whose it is.
fn caller(store: &mut StoreContextMut<'_, HostState>) -> (Option<GuestTaskId>, Caller) {
    if !store.data().requests.has_tasks {
        return (None, Caller::One);
    }
    let (task, is_root) = match store.async_call_stack() {
        Ok(mut stack) => {
            let task = stack.next();
            (task, task.is_some() && stack.next().is_none())
        }
        Err(_) => (None, false),
    };
    let known = match &store.data().requests.serves {
        Serves::One(_) => return (task, Caller::One),
        Serves::Many { tasks, .. } if is_root => tasks.iter().rposition(|known| Some(known.id) == task),
        Serves::Many { tasks, is_alone: true } if task.is_some() => tasks.len().checked_sub(1),
        Serves::Many { .. } => None,
    };
    (task, known.map_or(Caller::Unknown, Caller::Task))
}

impl Requests {
    /// A store without requests.
    pub(super) fn new(serving: Serving) -> Self {
        let serves = match serving {
            Serving::Many => Serves::Many { tasks: Vec::new(), is_alone: false },
            Serving::One | Serving::OneInTasks => Serves::One(None),
        };
        let has_tasks = serving != Serving::One;
        Requests { serves, has_tasks, entered: Vec::new(), begun: 0, next_key: 0 }
    }

    /// The store serves this request from now on, and no other. What the guest left open of the one before is ended.
    pub(super) fn set(&mut self, scope: Option<RequestScope>) {
        self.entered.clear();
        if let Serves::One(Some(before)) = std::mem::replace(&mut self.serves, Serves::One(scope)) {
            before.span.close_children();
        }
    }

    /// Adds a request, which `id` is the task of; `finds_none`: every task that the store had has ended. False where the
    /// store serves one request at a time.
    pub(super) fn add(&mut self, id: GuestTaskId, trace: &Trace, finds_none: bool) -> bool {
        let Serves::Many { tasks, is_alone } = &mut self.serves else {
            return false;
        };
        *is_alone = finds_none;
        self.begun += 1;
        // Ids are slot numbers and come again: whoever had this one has ended.
        let over = tasks.iter().position(|task| task.id == id).or_else(|| {
            let full = tasks.len() >= MAX_REMEMBERED;
            tasks.iter().position(|task| full && !task.trace.is_worked_on())
        });
        if let Some(over) = over {
            let task = tasks.remove(over);
            self.entered.retain(|entered| entered.task != Some(task.id));
            task.trace.span.close_children();
        }
        tasks.push(Task { id, trace: trace.clone() });
        true
    }

    /// The request of a store that serves one at a time.
    pub(super) fn only(&self) -> Option<&Trace> {
        match &self.serves {
            Serves::One(scope) => scope.as_deref(),
            Serves::Many { .. } => None,
        }
    }

    /// The store may serve several requests at once.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self.serves, Serves::Many { .. })
    }

    /// No request is being answered.
    pub(super) fn is_idle(&self) -> bool {
        match &self.serves {
            Serves::One(scope) => scope.is_none(),
            Serves::Many { tasks, .. } => !tasks.iter().any(|task| task.trace.is_worked_on()),
        }
    }

    /// The store has never served but one request.
    pub(super) fn has_served_one(&self) -> bool {
        matches!(self.serves, Serves::One(_)) || self.begun == 1
    }

    /// The requests whose responses are not over yet.
    pub(super) fn live(&self) -> Vec<RequestScope> {
        let all: Vec<_> = match &self.serves {
            Serves::One(scope) => scope.iter().cloned().collect(),
            Serves::Many { tasks, .. } => tasks.iter().filter_map(|task| task.trace.scope()).collect(),
        };
        all.into_iter().filter(|scope| !scope.is_closed()).collect()
    }

    /// The guest does something that others see, for this request, or nobody knows for which: then for each.
    pub(super) fn act(&self, request: Option<&Trace>) {
        match (request, &self.serves) {
            (Some(request), _) => request.act(),
            (None, Serves::One(scope)) => scope.iter().for_each(|scope| scope.act()),
            (None, Serves::Many { tasks, .. }) => tasks.iter().for_each(|task| task.trace.act()),
        }
    }

    /// Undoes [`enter`].
    pub(super) fn leave(&mut self, key: u64) {
        self.entered.retain(|entered| entered.key != key);
    }

    /// Undoes [`enter_announced`], wherever the span is among those entered.
    pub(super) fn leave_announced(&mut self, ended: &SpanContext) {
        let is_ended = |entered: &Entered| {
            let context = entered.span.as_ref().filter(|_| entered.announced).and_then(Span::context);
            context.is_some_and(|span| (span.trace_id, span.span_id) == (ended.trace_id, ended.span_id))
        };
        if let Some(at) = self.entered.iter().rposition(is_ended) {
            self.entered.remove(at);
        }
    }

    fn trace(&self, caller: &Caller) -> Option<&Trace> {
        match (caller, &self.serves) {
            (Caller::One, Serves::One(scope)) => scope.as_deref(),
            (Caller::Task(at), Serves::Many { tasks, .. }) => tasks.get(*at).map(|task| &task.trace),
            _ => None,
        }
    }
}

/// The guest is gone, and with it whoever could end its spans.
impl Drop for Requests {
    fn drop(&mut self) {
        if let Serves::Many { tasks, .. } = &self.serves {
            tasks.iter().for_each(|task| task.trace.span.close_children());
        }
        self.set(None);
    }
}
