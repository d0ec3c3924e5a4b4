//! What the guest does: everything it tells carries its request's id, so that whatever lands on another request's span
//! shows.
//!
//! | parameter | does |
//! | --- | --- |
//! | `id=N` | this request's number, in all that follows (default 0) |
//! | `steps=K` | so many steps (default 3), each waiting 0–5 ms |
//! | `seed=S` | what the waits are drawn from (default: the id) |
//! | `origin=URL` | a call to it in every step, with headers `x-id: N` and `x-step: K` |
//! | `join=J` | then J branches in turns, each in a span `branch N.J` of its own, waiting and calling (`x-branch: J`) |
//! | `poll` | enters its spans only while it is polled; else one scope each, held across the waits |
//! | `log`, `metrics` | a record `step` with attribute `id`, and `work.done` +1 with attribute `id`, in every step |
//! | `panic` | panics in a step drawn from the seed |
//! | `leave-open` | a span `open N` that is never given back |
//! | `after=MS` | goes on after the response (default 20 ms): a span `after N`, attribute `after` = N on the server span, a call with `x-after: 1` |
//!
//! On the server span: attribute `id` before any wait; in step K `step.K` before its wait and `step.K.after` after it,
//! both N; event `step` with `id` and `step`. By the handle taken at the start: attribute `handle` = N. Spans: `outer N`
//! (attribute `id`), in it `inner N` with an event `inner step` per step; calls are made in `inner N`, or their branch.
//!
//! Answers `{"id", "trace_id", "span_id", "outer", "inner", "branches": […], "calls": […], "ok", "mismatch": […]}`: ids
//! as seen first, span ids of its spans, status or error name of each call, and every moment at which the trace was
//! another one, or the current span not the one just entered.

use std::cell::RefCell;

use guest_http::{Call, Target, join_all};
use pounce_guest::logs::{self, Severity};
use pounce_guest::{Instrument, Span, SpanContext, attributes, metrics, tracing};
use serde_json::{Value as Json, json};

/// What differs between the versions of wasi.
pub(crate) trait World {
    /// Waits, in nanoseconds.
    async fn wait(&self, nanoseconds: u64);
    /// Makes a call: its status, or the error's name.
    async fn call(&self, call: Call) -> Json;
}

/// One request's work.
pub(crate) struct Work<W> {
    world: W,
    id: u64,
    steps: u64,
    seed: u64,
    origin: Option<Call>,
    branches: u64,
    polled: bool,
    log: bool,
    metrics: bool,
    panic: bool,
    leave_open: bool,
    after: Option<u64>,
    first: SpanContext,
    mismatch: RefCell<Vec<Json>>,
    calls: RefCell<Vec<Json>>,
}

impl<W: World> Work<W> {
    /// Reads the query and takes down which trace this is.
    pub(crate) fn new(target: &Target, world: W) -> Self {
        let flag = |name| target.get(name).is_some();
        let id = target.number("id", 0);
        tracing::set_attribute("id", id);
        Self {
            world,
            id,
            steps: target.number("steps", 3),
            seed: target.number("seed", id),
            origin: Call::named(target, "origin"),
            branches: target.number("join", 0),
            polled: flag("poll"),
            log: flag("log"),
            metrics: flag("metrics"),
            panic: flag("panic"),
            leave_open: flag("leave-open"),
            after: flag("after").then(|| target.number("after", 20)),
            first: tracing::current_context(),
            mismatch: RefCell::default(),
            calls: RefCell::default(),
        }
    }

    /// Does it all, up to the answer.
    pub(crate) async fn perform(&self) -> Vec<u8> {
        let handle = tracing::current();
        let outer = Span::options().attribute("id", self.id).start(&format!("outer {}", self.id));
        let outer_id = outer.context().span_id;
        let (inner_id, branches) = if self.polled {
            self.within_outer().instrument(outer).await
        } else {
            let _scope = outer.enter();
            self.within_outer().await
        };
        self.look("at the end", None);
        handle.set_attribute("handle", self.id);
        if self.leave_open {
            std::mem::forget(Span::start(&format!("open {}", self.id)));
        }
        json!({
            "id": self.id,
            "trace_id": self.first.trace_id,
            "span_id": self.first.span_id,
            "outer": outer_id,
            "inner": inner_id,
            "branches": branches,
            "calls": self.calls.take(),
            "ok": self.mismatch.borrow().is_empty(),
            "mismatch": self.mismatch.take(),
        })
        .to_string()
        .into_bytes()
    }

    /// Goes on after the answer, if that was asked for.
    pub(crate) async fn go_on(&self) {
        let Some(milliseconds) = self.after else { return };
        let work = async {
            self.world.wait(milliseconds * 1_000_000).await;
            tracing::set_attribute("after", self.id);
            self.call(|call| call.header("x-after", "1")).await;
        };
        work.instrument(Span::options().attribute("id", self.id).start(&format!("after {}", self.id))).await;
    }

    async fn within_outer(&self) -> (String, Vec<String>) {
        let inner = Span::options().attribute("id", self.id).start(&format!("inner {}", self.id));
        let context = inner.context();
        let id = context.span_id.clone();
        let branches = if self.polled {
            self.within_inner(&context).instrument(inner).await
        } else {
            let _scope = inner.enter();
            self.within_inner(&context).await
        };
        (id, branches)
    }

    async fn within_inner(&self, inner: &SpanContext) -> Vec<String> {
        let mut draw = Draw(self.seed);
        let fatal = (self.panic && self.steps > 0).then(|| draw.below(self.steps));
        for step in 0..self.steps {
            self.look(&format!("step {step}, before its wait"), Some(inner));
            tracing::set_attribute(&format!("step.{step}"), self.id);
            tracing::add_event("step", attributes! { "id" => self.id, "step" => step });
            self.world.wait(draw.below(5_000_001)).await;
            self.look(&format!("step {step}, after its wait"), Some(inner));
            tracing::set_attribute(&format!("step.{step}.after"), self.id);
            tracing::current().add_event("inner step", attributes! { "id" => self.id, "step" => step });
            self.call(|call| call.header("x-step", step.to_string())).await;
            self.look(&format!("step {step}, after its call"), Some(inner));
            if self.log {
                logs::emit(Severity::Info, "step", attributes! { "id" => self.id, "step" => step });
            }
            if self.metrics {
                metrics::add_counter("work.done", 1, attributes! { "id" => self.id });
            }
            assert!(fatal != Some(step), "request {} was told to panic in step {step}", self.id);
        }
        let branches = (0..self.branches).map(|branch| self.branch(branch, draw.below(5_000_001)));
        join_all(branches.collect::<Vec<_>>()).await
    }

    /// One of several that take turns; its span's id.
    async fn branch(&self, branch: u64, wait: u64) -> String {
        let span = Span::options().attribute("id", self.id).start(&format!("branch {}.{branch}", self.id));
        let context = span.context();
        let work = async {
            self.look(&format!("branch {branch}, at its start"), Some(&context));
            self.world.wait(wait).await;
            self.look(&format!("branch {branch}, after its wait"), Some(&context));
            tracing::current().set_attribute("branch", branch);
            self.call(|call| call.header("x-branch", branch.to_string())).await;
            self.look(&format!("branch {branch}, after its call"), Some(&context));
        };
        work.instrument(span).await;
        context.span_id
    }

    async fn call(&self, with: impl FnOnce(Call) -> Call) {
        if let Some(origin) = &self.origin {
            let call = with(origin.clone().header("x-id", self.id.to_string()));
            let outcome = self.world.call(call).await;
            self.calls.borrow_mut().push(outcome);
        }
    }

    /// Takes down when the trace is another than at first, or the current span not the one it should be.
    fn look(&self, moment: &str, expected: Option<&SpanContext>) {
        let seen = tracing::current_context();
        // A host that makes no spans of the guest's own says so by ids of zeros: then the trace is all there is to see.
        let span = expected.filter(|span| span.is_valid()).unwrap_or(&seen);
        if seen.trace_id != self.first.trace_id || seen.span_id != span.span_id {
            let entry = json!({ "at": moment, "trace_id": seen.trace_id, "span_id": seen.span_id });
            self.mismatch.borrow_mut().push(entry);
        }
    }
}

/// Numbers that look random and come again for the same seed (SplitMix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
