//! From buffers of encoded spans to requests of a bounded size, without decoding anything.

use crate::config::{self, Semconv};
use crate::telemetry::encode::{bytes, varint_len, with_length};
use crate::telemetry::pipeline::Chunk;
use crate::telemetry::{resource, semconv};
use bytes::Bytes;

/// Bytes of spans in one request: well below what collectors accept (20 MiB by default).
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What stands around the spans of each request.
pub(super) struct Envelope {
    resource: Vec<u8>,
    scope: Vec<u8>,
    schema_url: &'static str,
}

/// One `ExportTraceServiceRequest`, ready to send.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) body: Bytes,
    pub(super) spans: u32,
}

impl Envelope {
    pub(super) fn new(otel: &config::Otel, component: &str) -> Self {
        let mut scope = Vec::new();
        bytes(&mut scope, 1, b"pounce");
        bytes(&mut scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
        // A backend may translate by the schema; the old names of the other profiles have no place in it.
        let schema_url = if otel.semconv == Semconv::Http { semconv::SCHEMA_URL } else { "" };
        Envelope { resource: resource::encode(otel, component), scope, schema_url }
    }

    /// Cuts the spans of `chunks` into requests of at most `max_spans`.
    pub(super) fn batches(&self, chunks: &[Chunk], max_spans: usize) -> Vec<Batch> {
        let mut batches = Vec::new();
        let (mut parts, mut spans, mut size) = (Vec::new(), 0, 0);
        for entry in chunks.iter().flat_map(|chunk| Entries(&chunk.bytes)) {
            if spans as usize >= max_spans || (size + entry.len() > MAX_BYTES && spans > 0) {
                batches.push(self.batch(&parts, size, spans));
                parts.clear();
                (spans, size) = (0, 0);
            }
            parts.push(entry);
            spans += 1;
            size += entry.len();
        }
        if spans > 0 {
            batches.push(self.batch(&parts, size, spans));
        }
        batches
    }

    fn batch(&self, entries: &[&[u8]], size: usize, spans: u32) -> Batch {
        let schema_len = if self.schema_url.is_empty() { 0 } else { 1 + with_length(self.schema_url.len()) };
        let scope_spans = 1 + with_length(self.scope.len()) + size + schema_len;
        let resource_spans = 1 + with_length(self.resource.len()) + 1 + with_length(scope_spans);
        let mut body = Vec::with_capacity(1 + with_length(resource_spans));
        open(&mut body, 1, resource_spans);
        bytes(&mut body, 1, &self.resource);
        open(&mut body, 2, scope_spans);
        bytes(&mut body, 1, &self.scope);
        entries.iter().for_each(|entry| body.extend_from_slice(entry));
        if !self.schema_url.is_empty() {
            bytes(&mut body, 3, self.schema_url.as_bytes());
        }
        Batch { body: body.into(), spans }
    }
}

/// Starts a message of `len` bytes as field `number`.
fn open(out: &mut Vec<u8>, number: u8, len: usize) {
    out.push(number << 3 | 2);
    prost::encoding::encode_varint(len as u64, out);
}

/// The spans of a buffer, each with its field key and length.
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
        let batches = Envelope::new(&settings(), "hello").batches(chunks, max_spans);
        let names = |batch: &Batch| {
            let request = ExportTraceServiceRequest::decode(batch.body.clone()).unwrap();
            let spans = &request.resource_spans[0].scope_spans[0].spans;
            assert_eq!(spans.len(), batch.spans as usize);
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
