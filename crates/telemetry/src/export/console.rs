//! Prints each trace for people, as a tree on stderr, on the exporter's thread.

mod bars;
mod traces;
mod tree;

use crate::semconv;
use crate::settings::ConsoleForm;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::ScopeSpans;
use pounce_otlp::{Buffer, Chunk, Entries, Loss, Stop};
use prost::Message;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use traces::Traces;

/// Spans of one trace come from several buffers; a short pause lets them arrive together.
const GATHER: Duration = Duration::from_millis(20);

/// Spans whose request still runs are looked at this often, to find those that wait too long.
const LOOK: Duration = Duration::from_secs(1);

/// Where and how trees are printed.
pub(crate) struct Printer {
    out: Box<dyn Write + Send>,
    colour: bool,
    form: ConsoleForm,
}

impl Printer {
    pub(super) fn new(out: impl Write + Send + 'static, colour: bool, form: ConsoleForm) -> Self {
        Printer { out: Box::new(out), colour, form }
    }
}

/// Runs until the shutdown.
pub(super) async fn run(mut printer: Printer, buffer: Arc<Buffer>, mut stop: Stop) {
    let mut traces = Traces::default();
    loop {
        tokio::select! {
            () = buffer.ready() => sleep(GATHER).await,
            () = sleep(if traces.has_root() { GATHER } else { LOOK }), if !traces.is_empty() => {}
            _deadline = stop.stopped() => break,
        }
        add(&mut traces, buffer.drain(false));
        printer.print(traces.take_ready(), &buffer);
    }
    add(&mut traces, buffer.drain(true));
    printer.print(traces.take_all(), &buffer);
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
    fn print(&mut self, traces: Vec<traces::Trace>, buffer: &Buffer) {
        for trace in traces {
            let spans = trace.len() as u64;
            let text = match self.form {
                ConsoleForm::Whole => tree::render(&trace, self.colour),
                ConsoleForm::Bars => bars::render(&trace, self.colour),
            };
            match self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()) {
                Ok(()) => buffer.counts().export(spans),
                Err(_) => buffer.counts().lose(Loss::ExportFailed, spans),
            }
        }
    }
}
