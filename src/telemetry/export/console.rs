//! Prints each trace for people, as a tree on stderr, on the exporter's thread.

mod traces;
mod tree;

use super::Stop;
use super::entries::Entries;
use crate::telemetry::counters::Counters;
use crate::telemetry::pipeline::{Chunk, Pipeline};
use crate::telemetry::semconv;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use prost::Message;
use std::io::Write;
use std::time::Duration;
use tokio::time::sleep;
use traces::Traces;

/// Spans of one trace come from several buffers; a short pause lets them arrive together.
const GATHER: Duration = Duration::from_millis(20);

/// Spans whose request still runs are looked at this often, to find those that wait too long.
const LOOK: Duration = Duration::from_secs(1);

/// Where and how trees are printed.
pub(in crate::telemetry) struct Printer {
    out: Box<dyn Write + Send>,
    colour: bool,
}

impl Printer {
    pub(super) fn new(out: impl Write + Send + 'static, colour: bool) -> Self {
        Printer { out: Box::new(out), colour }
    }
}

/// Runs until the shutdown.
pub(super) async fn run(mut printer: Printer, pipeline: &Pipeline, mut stop: Stop) {
    let mut traces = Traces::default();
    loop {
        tokio::select! {
            () = pipeline.batch_ready.notified() => sleep(GATHER).await,
            () = sleep(if traces.has_root() { GATHER } else { LOOK }), if !traces.is_empty() => {}
            _deadline = stop.stopped() => break,
        }
        add(&mut traces, pipeline.drain(false));
        printer.print(traces.take_ready(), pipeline);
    }
    add(&mut traces, pipeline.drain(true));
    printer.print(traces.take_all(), pipeline);
}

fn add(traces: &mut Traces, chunks: Vec<Chunk>) {
    for entry in chunks.iter().flat_map(|chunk| Entries(&chunk.bytes)) {
        // An entry of ours always decodes; if it did not, its span would be counted as lost at the end.
        let mut decoded = ScopeSpans::default();
        if decoded.merge(entry.scope).and_then(|()| decoded.merge(entry.item)).is_ok() {
            // A tree has no other place for it.
            if let (Some(scope), Some(span)) = (decoded.scope, decoded.spans.first_mut()) {
                span.attributes.insert(0, text(semconv::OTEL_SCOPE_NAME, scope.name));
            }
            traces.add(decoded.spans);
        }
    }
}

fn text(key: &str, text: String) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(text)) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

impl Printer {
    /// Prints each trace with one write, so that log lines stay out of it.
    fn print(&mut self, traces: Vec<traces::Trace>, pipeline: &Pipeline) {
        for trace in traces {
            let spans = trace.len() as u64;
            let text = tree::render(&trace, self.colour);
            let counters = &pipeline.counters;
            let printed = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
            Counters::add(if printed.is_ok() { &counters.exported } else { &counters.export_failed }, spans);
        }
    }
}
