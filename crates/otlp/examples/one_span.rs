//! Sends one span to an OTLP endpoint, and says what became of it: `cargo run --example one_span [ENDPOINT]`.

#![allow(clippy::print_stdout, reason = "what became of it is for people")]

use pounce_otlp::id::{SpanId, TraceId};
use pounce_otlp::wire::{self, Borrowed, Code, Context, Dropped, Head, Kind, SpanWriter};
use pounce_otlp::{
    Batching, Buffer, Endpoint, Envelope, Exporter, Signal, Source, Stream, Totals, Transport,
};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "http://localhost:4318".to_owned());
    let totals = send(&endpoint)?;
    if totals.exported == 1 {
        println!("the span has arrived at {endpoint}");
        Ok(())
    } else {
        Err(format!("the span has not arrived at {endpoint}{}", totals.losses).into())
    }
}

/// Sends one span to the endpoint, and gives up after five seconds.
pub(crate) fn send(endpoint: &str) -> Result<Totals, Box<dyn Error>> {
    // Who we are: the message `Resource`, and the message `InstrumentationScope`.
    let mut resource = Vec::new();
    wire::attribute(&mut resource, 1, "service.name", Borrowed::Text("one-span"));
    let mut scope = Vec::new();
    wire::bytes(&mut scope, 1, b"one_span");

    // At most 2048 spans wait; 512 of them make a request, or what there is after the delay.
    let buffer = Arc::new(Buffer::new(2048, 512));
    let stream = Stream {
        signal: Signal::Traces,
        endpoint: Endpoint::of(Signal::Traces, &endpoint.parse()?, Transport::default()),
        source: Source::Buffer {
            buffer: Arc::clone(&buffer),
            envelope: Envelope::new(&resource.into(), scope, ""),
            batching: Batching::default(),
        },
    };
    let exporter = Exporter::builder().stream(stream).start()?;

    let context =
        Context { trace_id: TraceId::random(), span_id: SpanId::random(), flags: 1, trace_state: "" };
    let start_unix_nanos = unix_nanos();
    std::thread::sleep(Duration::from_millis(1));
    let head = Head {
        context,
        parent: None,
        parent_is_remote: false,
        kind: Kind::Internal,
        start_unix_nanos,
        end_unix_nanos: unix_nanos(),
    };
    // Encoded here and now, into the buffer of this thread; nothing is sent yet.
    buffer.push(|out| {
        let mut span = SpanWriter::start(out, &head);
        span.name(["one span", "", ""]);
        span.text("greeting", "hello");
        span.int("answer", 42);
        span.status(Code::Ok, "");
        span.finish(Dropped::default());
    });

    // Flushes. Afterwards the span is exported, or lost for a reason that is counted.
    exporter.shutdown(Instant::now() + Duration::from_secs(5));
    Ok(buffer.totals())
}

fn unix_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}
