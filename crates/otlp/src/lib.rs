//! OTLP for programs that must not wait for it.
//!
//! An item (a span, a log record) is encoded once, at its end, straight into a bounded buffer that each thread has to
//! itself; a thread of its own joins what is there into requests, without decoding anything, and sends them over
//! HTTP/protobuf, HTTP/JSON or gRPC, with retry, `Retry-After`, partial success, proxies, mTLS, and a spool on the disk
//! for endpoints that are away for long. The thread that pushes never waits for any of this.
//!
//! This is the lower half of an OpenTelemetry SDK: it knows spans as bytes. What to record, when to sample and how to
//! propagate context is left to the program. [Pounce], a server of WebAssembly components, is built on it.
//!
//! [Pounce]: https://crates.io/crates/pounce
//!
//! # Example
//!
//! One span, from its start to an endpoint (`cargo run --example one_span` sends it to a collector):
//!
//! ```no_run
//! use pounce_otlp::id::{SpanId, TraceId};
//! use pounce_otlp::wire::{self, Borrowed, Context, Dropped, Head, Kind, SpanWriter};
//! use pounce_otlp::{Batching, Buffer, Endpoint, Envelope, Exporter, Signal, Source, Stream, Transport};
//! use std::sync::Arc;
//! use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Who we are: the message `Resource`, and the message `InstrumentationScope`.
//! let mut resource = Vec::new();
//! wire::attribute(&mut resource, 1, "service.name", Borrowed::Text("shop"));
//! let mut scope = Vec::new();
//! wire::bytes(&mut scope, 1, b"shop.checkout");
//!
//! // At most 2048 spans wait; 512 of them make a request.
//! let buffer = Arc::new(Buffer::new(2048, 512));
//! let exporter = Exporter::builder()
//!     .stream(Stream {
//!         signal: Signal::Traces,
//!         endpoint: Endpoint::of(Signal::Traces, &"http://localhost:4318".parse()?, Transport::default()),
//!         source: Source::Buffer {
//!             buffer: Arc::clone(&buffer),
//!             envelope: Envelope::new(&resource.into(), scope, ""),
//!             batching: Batching::default(),
//!         },
//!     })
//!     .start()?;
//!
//! let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
//! let context = Context { trace_id: TraceId::random(), span_id: SpanId::random(), flags: 1, trace_state: "" };
//! let start_unix_nanos = now();
//! // … the work …
//! let head = Head {
//!     context,
//!     parent: None,
//!     parent_is_remote: false,
//!     kind: Kind::Internal,
//!     start_unix_nanos,
//!     end_unix_nanos: now(),
//! };
//! buffer.push(|out| {
//!     let mut span = SpanWriter::start(out, &head);
//!     span.name(["checkout", "", ""]);
//!     span.text("user.tier", "gold");
//!     span.finish(Dropped::default());
//! });
//!
//! exporter.shutdown(Instant::now() + Duration::from_secs(5));
//! let totals = buffer.totals();
//! assert_eq!(totals.ended, totals.exported + totals.losses.total());
//! # Ok(())
//! # }
//! ```
//!
//! # Every loss is counted
//!
//! After [`Exporter::shutdown`], for each buffer,
//!
//! ```text
//! ended + spool.found == exported + losses.total() + spool.left
//! ```
//!
//! whatever happened: an endpoint that refuses, hangs, answers nonsense or takes half; buffers that are full; a disk that
//! fails; a deadline that passes; a panic while an item is encoded. Each reason is a row of [`Loss`], with a name for
//! metrics and a sentence for people; [`Counts`] has the numbers at any time, and [`Condition`] how the endpoint is right
//! now. Beside the counts, `tracing` gets a line when trouble begins, one a minute while it lasts, and one when it ends
//! that says what it has cost.
//!
//! What is counted as exported was acknowledged by the endpoint. An item may arrive twice where an acknowledgement was
//! lost: OTLP has no way to tell.
//!
//! # Bounds
//!
//! A buffer has room for the items that it was made for, and for 32 MiB of them; what a failing endpoint has the exporter
//! hold counts against both. A request has at most 3.5 MiB before compression, since receivers of gRPC take 4 MiB; what an
//! endpoint finds too large all the same is halved, down to a single item. Four requests of a signal are under way at
//! once. One batch is tried for at most as long as [`Endpoint::export_timeout`] says, times that the endpoint asks to wait
//! left out.
//!
//! # Modules
//!
//! | what | where |
//! | --- | --- |
//! | ids, values, the protobuf of spans | [`id`], [`value`], [`wire`] |
//! | the buffer | [`Buffer`] |
//! | requests | [`Envelope`], [`Batch`], [`json`] |
//! | sending | [`Exporter`], [`Stream`], [`Endpoint`] |
//! | what was lost | [`Loss`], [`Counts`], [`Totals`] |
//! | the disk | [`Spool`] |
//! | connections | [`net`] |
//! | *why does nothing arrive?* | [`probe`] |

mod batch;
mod buffer;
mod condition;
pub mod id;
pub mod json;
mod losses;
pub mod net;
mod once_a_minute;
pub mod probe;
mod send;
mod settings;
mod signal;
mod spool;
#[cfg(test)]
mod testing;
pub mod value;
pub mod wire;

pub use batch::{Batch, Entries, Entry, Envelope};
pub use buffer::{Buffer, Chunk, Flow, thread_slot};
pub use condition::{Condition, Trouble};
pub use losses::{Counts, Loss, Losses, Spooled, Stage, Totals};
pub use net::{Identity, Proxies};
pub use send::{Builder, Collect, Collection, Exporter, Source, StartError, Stop, Stream};
pub use settings::{Batching, Compression, Endpoint, Names, Protocol, STANDARD, Transport};
pub use signal::Signal;
pub use spool::{Spool, SpoolError};
