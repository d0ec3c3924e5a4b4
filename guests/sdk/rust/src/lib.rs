//! Telemetry from inside a component that Pounce serves.
//!
//! Pounce traces every request without the guest doing anything: a server span, its parent taken from the request,
//! its status and times. This crate is for what only the guest knows: the route, who is asking, what failed.
//!
//! ```no_run
//! use pounce_guest::{Span, attributes, tracing};
//!
//! fn handle(order: u64) {
//!     tracing::set_route("/orders/{id}");
//!     tracing::set_attribute("order.id", order as i64);
//!     tracing::add_event("cache.miss", attributes! { "cache.name" => "orders" });
//!     let total = Span::start("price the order").in_scope(|| 42);
//!     tracing::set_attribute("order.total", total);
//! }
//! ```
//!
//! It needs nothing of its own: call it from a guest made with `wasip2`, `wasip3`, `wstd` or bare `wit-bindgen`. The
//! component then imports `pounce:telemetry@0.1.0`, so it runs on hosts that have that interface.
//!
//! **Nothing here fails.** No function traps, blocks or returns an error; beyond a limit, or when the request is not
//! recorded, a call does nothing, and the host counts what it dropped. [`tracing::is_recording`] tells whether building
//! an expensive attribute is worth while.
//!
//! | module | what for |
//! | --- | --- |
//! | [`tracing`] | the request's server span; child spans ([`Span`], [`in_span`], [`Instrument`] for futures) |
//! | [`traced`](macro@traced) | the attribute macro that gives each call of a function a span |
//! | `layer` (feature `tracing`) | spans and events of the crate `tracing` |
//! | [`set_panic_hook`] | a panic's message and place, on the span in which it happens |
//! | [`propagation`] | trace context for calls that the host can't see |
//! | [`metrics`] | counters, histograms, gauges |
//! | [`logs`] | log records that carry the trace |
//!
//! Who knows the older names: [`add_span_attribute`], [`get_current_span`], [`record_exception`],
//! [`inject_trace_context`] and [`RequestSpan`] are here too, and do what they say.

#[doc(hidden)]
#[path = "traced.rs"]
pub mod __private;
mod bindings;
mod instrument;
#[cfg(feature = "tracing")]
pub mod layer;
pub mod logs;
pub mod metrics;
mod panic;
pub mod propagation;
mod request;
mod span;
pub mod tracing;
mod value;

pub use instrument::{Instrument, Instrumented};
pub use panic::set_panic_hook;
pub use pounce_guest_macros::traced;
pub use propagation::inject_trace_context;
pub use request::RequestSpan;
pub use span::{Parent, Scope, Span, SpanOptions, in_span};
pub use tracing::{add_span_attribute, get_current_span, record_exception};
pub use value::{Attribute, Exception, Link, SpanContext, SpanKind, Status, Value};
