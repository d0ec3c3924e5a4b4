//! From buffers of encoded spans, log records or metrics to requests of a bounded size, without decoding anything.
//!
//! One code for three signals: `ResourceSpans`, `ResourceLogs` and `ResourceMetrics` have the same fields with the same
//! numbers, and so have the messages for a scope within them.

use crate::config::Semconv;
use crate::telemetry::encode::{Borrowed, attribute, bytes, varint_len, with_length};
use crate::telemetry::metrics::Collected;
use crate::telemetry::pipeline::Chunk;
use crate::telemetry::semconv;
use bytes::Bytes;
use std::sync::Arc;

/// Bytes of entries in one request: well below what collectors accept (20 MiB by default).
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What stands around the entries of each request.
pub(in crate::telemetry) struct Envelope {
    resource: Arc<[u8]>,
    scope: Vec<u8>,
    schema_url: &'static str,
}

/// One `ExportTraceServiceRequest`, or that of another signal, ready to send.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) body: Bytes,
    /// Spans, log records or points.
    pub(super) items: u32,
}

impl Envelope {
    /// For spans, which the host writes.
    pub(in crate::telemetry) fn of_spans(resource: &Arc<[u8]>, profile: Semconv) -> Self {
        // A backend may translate by the schema; the old names of the other profiles have no place in it.
        let schema_url = if profile == Semconv::Http { semconv::SCHEMA_URL } else { "" };
        Envelope { resource: Arc::clone(resource), scope: scope("pounce"), schema_url }
    }

    /// For the host's own metrics.
    pub(super) fn of_host(resource: &Arc<[u8]>) -> Self {
        Envelope { resource: Arc::clone(resource), scope: scope("pounce"), schema_url: semconv::SCHEMA_URL }
    }

    /// For what guests of `component` record, in a scope of their own: they choose the names in it.
    pub(super) fn of_guests(resource: &Arc<[u8]>, component: &str) -> Self {
        let mut scope = scope("pounce.guest");
        attribute(&mut scope, 3, semconv::POUNCE_COMPONENT, Borrowed::Text(component));
        Envelope { resource: Arc::clone(resource), scope, schema_url: "" }
    }

    /// Cuts what is in `chunks` into requests of at most `max_items`.
    pub(super) fn batches_of(&self, chunks: &[Chunk], max_items: usize) -> Vec<Batch> {
        self.batches(chunks.iter().flat_map(|chunk| Entries(&chunk.bytes)).map(|entry| (entry, 1)), max_items)
    }

    /// Cuts `metrics` into requests.
    pub(super) fn batches_of_metrics(&self, metrics: &[Collected]) -> Vec<Batch> {
        self.batches(metrics.iter().map(|metric| (metric.bytes.as_slice(), metric.points)), usize::MAX)
    }

    /// Requests of at most `max_items` of `entries`, each of which says how many items it holds.
    fn batches<'a>(&self, entries: impl Iterator<Item = (&'a [u8], u32)>, max_items: usize) -> Vec<Batch> {
        let mut batches = Vec::new();
        let (mut parts, mut items, mut size) = (Vec::new(), 0, 0);
        for (entry, more) in entries {
            if items as usize >= max_items || (size + entry.len() > MAX_BYTES && items > 0) {
                batches.push(self.batch(&parts, size, items));
                parts.clear();
                (items, size) = (0, 0);
            }
            parts.push(entry);
            items += more;
            size += entry.len();
        }
        if items > 0 {
            batches.push(self.batch(&parts, size, items));
        }
        batches
    }

    fn batch(&self, entries: &[&[u8]], size: usize, items: u32) -> Batch {
        let schema_len = if self.schema_url.is_empty() { 0 } else { 1 + with_length(self.schema_url.len()) };
        let of_scope = 1 + with_length(self.scope.len()) + size + schema_len;
        let of_resource = 1 + with_length(self.resource.len()) + 1 + with_length(of_scope);
        let mut body = Vec::with_capacity(1 + with_length(of_resource));
        open(&mut body, 1, of_resource);
        bytes(&mut body, 1, &self.resource);
        open(&mut body, 2, of_scope);
        bytes(&mut body, 1, &self.scope);
        entries.iter().for_each(|entry| body.extend_from_slice(entry));
        if !self.schema_url.is_empty() {
            bytes(&mut body, 3, self.schema_url.as_bytes());
        }
        Batch { body: body.into(), items }
    }
}

/// The message `InstrumentationScope`.
fn scope(name: &str) -> Vec<u8> {
    let mut scope = Vec::new();
    bytes(&mut scope, 1, name.as_bytes());
    bytes(&mut scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
    scope
}

/// Starts a message of `len` bytes as field `number`.
fn open(out: &mut Vec<u8>, number: u8, len: usize) {
    out.push(number << 3 | 2);
    prost::encoding::encode_varint(len as u64, out);
}

/// The entries of a buffer, each with its field key and length.
struct Entries<'a>(&'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let mut length = self.0.get(1..)?;
        let len = prost::encoding::decode_varint(&mut length).ok()?;
        let (entry, rest) = self.0.split_at_checked(1 + varint_len(len) + usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::resource;
    use crate::telemetry::tests::settings;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;

    /// Spans whose names are this long.
    fn chunk(names: &[usize]) -> Chunk {
        let mut chunk = Chunk { bytes: Vec::new(), spans: 0 };
        for len in names {
            let mut span = Vec::new();
            bytes(&mut span, 5, &vec![b'n'; *len]);
            bytes(&mut chunk.bytes, 2, &span);
            chunk.spans += 1;
        }
        chunk
    }

    fn sizes(chunks: &[Chunk], max_spans: usize) -> Vec<Vec<usize>> {
        let resource = resource::encode(&settings(), "hello").into();
        let batches = Envelope::of_spans(&resource, Semconv::Compat).batches_of(chunks, max_spans);
        let names = |batch: &Batch| {
            let request = ExportTraceServiceRequest::decode(batch.body.clone()).unwrap();
            let spans = &request.resource_spans[0].scope_spans[0].spans;
            assert_eq!(spans.len(), batch.items as usize);
            spans.iter().map(|span| span.name.len()).collect()
        };
        batches.iter().map(names).collect()
    }

    #[test]
    fn requests_are_bounded_by_spans_and_bytes() {
        assert_eq!(sizes(&[], 2), Vec::<Vec<usize>>::new());
        let chunks = [chunk(&[1, 200, 3]), chunk(&[40_000, 5])];
        assert_eq!(sizes(&chunks, 2), [vec![1, 200], vec![3, 40_000], vec![5]]);
        assert_eq!(sizes(&chunks, 512), [vec![1, 200, 3, 40_000, 5]]);
        let (large, huge) = (MAX_BYTES / 3, MAX_BYTES + 1);
        let chunks = [chunk(&[large, large, large, huge, 1])];
        assert_eq!(sizes(&chunks, 512), [vec![large, large], vec![large], vec![huge], vec![1]]);
    }
}
