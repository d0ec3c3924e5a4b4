//! A budget for each kind of line, so that nobody can fill the log: a stranger who resets streams, a guest that traps at
//! each request, a machine without file descriptors. What goes beyond it is left out, counted, and told when its time is
//! over.
//!
//! A kind is a place in the code, with the component and the `error.type` that its line names: one flood hides no
//! other trouble. What the operator does has no budget (settings, start and exit: `pounce::cli`, `pounce::app`); nor have
//! the lines that are limited, or asked for, elsewhere: guests' own (`host/guest_log`) and the access log.
//!
//! [`Judge`] decides on each event before anything is made of it; [`Within`] and `own` ask what it decided. The words on
//! what was left out come from a thread of their own, since an event within an event would confuse the filters.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustc_hash::FxHasher;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::own;

/// Lines of one kind within one [`WINDOW`]; further ones are left out.
const LINES: u32 = 10;
/// Time after which a kind has its whole budget again.
const WINDOW: Duration = Duration::from_secs(10);
/// Kinds that are told apart. There are as many as places times components times causes, which no stranger chooses;
/// beyond that they share one budget.
const MAX_KINDS: usize = 1024;
/// Characters of an example that are shown.
const MAX_EXAMPLE: usize = 200;

/// Where lines come from that have no budget.
const EXEMPT: [&str; 5] = ["pounce::cli", "pounce::app", TOLD, "guest", "access"];
/// Where the words on what was left out come from.
const TOLD: &str = "pounce::log";

thread_local! {
    /// What was decided on the event that this thread is about.
    static IS_LEFT_OUT: Cell<bool> = const { Cell::new(false) };
}

/// Lines of the process beyond their budgets, of all kinds.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Lines that were left out since the start.
pub fn lines_left_out() -> u64 {
    LEFT_OUT.load(Ordering::Relaxed)
}

/// Whether the event that is being handled is beyond its budget.
pub(super) fn is_left_out() -> bool {
    IS_LEFT_OUT.get()
}

/// The budgets of all kinds; tells what was left out until it is dropped, and once more then.
pub(super) struct Budget {
    shared: Arc<Shared>,
    teller: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was left out that nobody has told, or the log ends.
    news: Condvar,
}

#[derive(Default)]
struct State {
    kinds: HashMap<Kind, Spent>,
    is_over: bool,
}

/// None for those that are too many to be told apart.
type Kind = Option<(Identifier, u64)>;

/// What one kind has had.
struct Spent {
    since: Instant,
    lines: u32,
    left_out: Option<LeftOut>,
}

/// Lines that were not written.
struct LeftOut {
    count: u64,
    level: Level,
    source: &'static str,
    example: String,
    /// None of them would have become a log record, so nor do the words on them.
    stays_here: bool,
}

impl Budget {
    /// # Errors
    /// There can be no thread that tells.
    pub(super) fn start() -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_teller = Arc::clone(&shared);
        let teller = std::thread::Builder::new().name("log-budget".to_owned());
        let teller = teller.spawn(move || of_teller.tell())?;
        Ok(Self { shared, teller: Some(teller) })
    }

    /// The layer that decides; to be the first of all, with a filter that lets through what any of them shows.
    pub(super) fn judge(&self) -> Judge {
        Judge(Arc::clone(&self.shared))
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.news.notify_all();
        if let Some(teller) = self.teller.take() {
            // It has no way to panic, and nothing would follow from it.
            _ = teller.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of each kind at the end of its window, and of all at the end of the log.
    fn tell(&self) {
        let mut state = self.state();
        loop {
            let (now, is_over) = (Instant::now(), state.is_over);
            let due = state.due(now);
            if !due.is_empty() {
                // Telling comes back here, to be judged.
                drop(state);
                due.iter().for_each(LeftOut::tell);
                state = self.state();
            } else if is_over {
                return;
            } else {
                let wait = state.next_due().map(|due| due.saturating_duration_since(now));
                state = match wait {
                    Some(wait) => {
                        self.news.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                    }
                    None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
                };
            }
        }
    }
}

impl State {
    /// Whether one more line of a kind is within its budget at `now`; else it is counted. `left_out` is asked once in a
    /// window.
    fn admits(&mut self, kind: Kind, now: Instant, left_out: impl FnOnce() -> LeftOut) -> bool {
        let kind = if self.kinds.len() < MAX_KINDS || self.kinds.contains_key(&kind) { kind } else { None };
        let spent = self.kinds.entry(kind).or_insert_with(|| Spent { since: now, lines: 0, left_out: None });
        // What was left out is told first, so that its count is that of one window.
        if spent.left_out.is_none() && now.saturating_duration_since(spent.since) >= WINDOW {
            (spent.since, spent.lines) = (now, 0);
        }
        if spent.lines < LINES {
            spent.lines += 1;
            return true;
        }
        match &mut spent.left_out {
            Some(left_out) => left_out.count += 1,
            none => *none = Some(left_out()),
        }
        false
    }

    /// Takes what is to be told at `now`.
    fn due(&mut self, now: Instant) -> Vec<LeftOut> {
        let is_over = self.is_over;
        let due = self.kinds.values_mut().filter(|spent| is_over || spent.since + WINDOW <= now);
        due.filter_map(|spent| spent.left_out.take()).collect()
    }

    /// When something is to be told.
    fn next_due(&self) -> Option<Instant> {
        let waiting = self.kinds.values().filter(|spent| spent.left_out.is_some());
        waiting.map(|spent| spent.since + WINDOW).min()
    }
}

impl LeftOut {
    fn first(metadata: &Metadata<'static>, named: Named) -> Self {
        let is_ours = metadata.target().starts_with("pounce");
        Self {
            count: 1,
            level: *metadata.level(),
            source: metadata.target(),
            example: named.message,
            stays_here: !is_ours || own::is_kept_here(),
        }
    }

    fn tell(&self) {
        let Self { count, source, example, .. } = self;
        macro_rules! say {
            ($level:expr) => {
                tracing::event!(
                    target: TOLD,
                    $level,
                    count,
                    source,
                    example,
                    "{count} more lines like this were left out within {WINDOW:?}"
                )
            };
        }
        let say = || match self.level {
            Level::ERROR => say!(Level::ERROR),
            Level::WARN => say!(Level::WARN),
            Level::INFO => say!(Level::INFO),
            Level::DEBUG => say!(Level::DEBUG),
            Level::TRACE => say!(Level::TRACE),
        };
        if self.stays_here { own::keeping_here(say) } else { say() }
    }
}

/// Decides which events are within their budgets.
pub(super) struct Judge(Arc<Shared>);

impl<S: Subscriber> Layer<S> for Judge {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if is_exempt(metadata.target()) {
            return IS_LEFT_OUT.set(false);
        }
        let mut cause = Cause::default();
        event.record(&mut cause);
        let kind = Some((metadata.callsite(), cause.0.finish()));
        let mut state = self.0.state();
        let mut is_news = false;
        let is_admitted = state.admits(kind, Instant::now(), || {
            is_news = true;
            let mut named = Named::default();
            event.record(&mut named);
            LeftOut::first(metadata, named)
        });
        drop(state);
        if is_news {
            self.0.news.notify_all();
        }
        LEFT_OUT.fetch_add(u64::from(!is_admitted), Ordering::Relaxed);
        IS_LEFT_OUT.set(!is_admitted);
    }
}

fn is_exempt(target: &str) -> bool {
    let is_in = |module: &str| {
        target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    EXEMPT.into_iter().any(is_in)
}

/// What tells a kind from another of the same place.
#[derive(Default)]
struct Cause(FxHasher);

impl Visit for Cause {
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        if matches!(field.name(), "component" | "error.type") {
            (field.name(), value).hash(&mut self.0);
        }
    }
}

/// The words of a line.
#[derive(Default)]
struct Named {
    message: String,
}

impl Visit for Named {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}").chars().take(MAX_EXAMPLE).collect();
        }
    }
}

/// Writes lines that are within their budgets as another format does.
pub(super) struct Within<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for Within<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        // Nothing is written of nothing.
        if is_left_out() { Ok(()) } else { self.0.format_event(context, writer, event) }
    }
}

#[cfg(test)]
mod tests;
