//! From buffers of encoded spans, log records or metrics to requests of a bounded size, without decoding anything.
//!
//! One code for three signals: `ResourceSpans`, `ResourceLogs` and `ResourceMetrics` have the same fields with the same
//! numbers, and so have the messages for a scope within them.

use super::entries::{Entries, Entry};
use crate::config::Semconv;
use crate::telemetry::encode::{Borrowed, attribute, bytes, with_length};
use crate::telemetry::metrics::Collected;
use crate::telemetry::pipeline::Chunk;
use crate::telemetry::{scope, semconv};
use bytes::Bytes;
use std::collections::HashMap;
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
        Envelope { resource: Arc::clone(resource), scope: scope::of_host("pounce"), schema_url }
    }

    /// For the host's own metrics.
    pub(super) fn of_host(resource: &Arc<[u8]>) -> Self {
        Envelope {
            resource: Arc::clone(resource),
            scope: scope::of_host("pounce"),
            schema_url: semconv::SCHEMA_URL,
        }
    }

    /// For what guests of `component` record, in a scope of their own: they choose the names in it.
    pub(super) fn of_guests(resource: &Arc<[u8]>, component: &str) -> Self {
        let mut scope = scope::of_host("pounce.guest");
        attribute(&mut scope, 3, semconv::POUNCE_COMPONENT, Borrowed::Text(component));
        Envelope { resource: Arc::clone(resource), scope, schema_url: "" }
    }

    /// Cuts what is in `chunks` into requests of at most `max_items`.
    pub(super) fn batches_of(&self, chunks: &[Chunk], max_items: usize) -> Vec<Batch> {
        self.batches(chunks.iter().flat_map(|chunk| Entries(&chunk.bytes)).map(|entry| (entry, 1)), max_items)
    }

    /// Cuts `metrics` into requests.
    pub(super) fn batches_of_metrics(&self, metrics: &[Collected]) -> Vec<Batch> {
        let entries = metrics.iter().map(|metric| {
            let entry = Entry { item: metric.bytes.as_slice(), scope: &[] };
            (entry, metric.points)
        });
        self.batches(entries, usize::MAX)
    }

    /// Requests of at most `max_items` of `entries`, each of which says how many items it holds.
    fn batches<'a>(&self, entries: impl Iterator<Item = (Entry<'a>, u32)>, max_items: usize) -> Vec<Batch> {
        let mut batches = Vec::new();
        let (mut scopes, mut items, mut size) = (Scopes::default(), 0, 0);
        for (entry, more) in entries {
            let len = entry.item.len() + entry.scope.len();
            if items as usize >= max_items || (size + len > MAX_BYTES && items > 0) {
                batches.push(self.batch(std::mem::take(&mut scopes), items));
                (items, size) = (0, 0);
            }
            scopes.add(entry);
            items += more;
            size += len;
        }
        if items > 0 {
            batches.push(self.batch(scopes, items));
        }
        batches
    }

    fn batch(&self, scopes: Scopes<'_>, items: u32) -> Batch {
        let mut ours = Vec::new();
        bytes(&mut ours, 1, &self.scope);
        if !self.schema_url.is_empty() {
            bytes(&mut ours, 3, self.schema_url.as_bytes());
        }
        let own = Some((ours.as_slice(), &scopes.own)).filter(|(_, items)| !items.is_empty());
        let others = scopes.others.iter().map(|(scope, items)| (*scope, items));
        let groups: Vec<_> = own.into_iter().chain(others).collect();
        let len = |(scope, items): &(&[u8], &Vec<&[u8]>)| {
            scope.len() + items.iter().map(|item| item.len()).sum::<usize>()
        };
        let of_groups: usize = groups.iter().map(|group| 1 + with_length(len(group))).sum();
        let of_resource = 1 + with_length(self.resource.len()) + of_groups;
        let mut body = Vec::with_capacity(1 + with_length(of_resource));
        open(&mut body, 1, of_resource);
        bytes(&mut body, 1, &self.resource);
        for group in &groups {
            open(&mut body, 2, len(group));
            body.extend_from_slice(group.0);
            group.1.iter().for_each(|item| body.extend_from_slice(item));
        }
        Batch { body: body.into(), items }
    }
}

/// The items of a request by their scopes, in the order in which those came.
#[derive(Default)]
struct Scopes<'a> {
    /// Those of the envelope's scope.
    own: Vec<&'a [u8]>,
    others: Vec<(&'a [u8], Vec<&'a [u8]>)>,
    /// Where each is: a guest may name as many as it likes.
    places: HashMap<&'a [u8], usize>,
}

impl<'a> Scopes<'a> {
    fn add(&mut self, Entry { item, scope }: Entry<'a>) {
        if scope.is_empty() {
            return self.own.push(item);
        }
        let place = *self.places.entry(scope).or_insert_with(|| {
            self.others.push((scope, Vec::new()));
            self.others.len() - 1
        });
        self.others[place].1.push(item);
    }
}

/// Starts a message of `len` bytes as field `number`.
fn open(out: &mut Vec<u8>, number: u8, len: usize) {
    out.push(number << 3 | 2);
    prost::encoding::encode_varint(len as u64, out);
}

/// What an endpoint would read of `chunks`, by scope.
#[cfg(test)]
pub(in crate::telemetry) fn read(chunks: &[Chunk]) -> Vec<opentelemetry_proto::tonic::trace::v1::ScopeSpans> {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    let envelope = Envelope::of_spans(&Vec::new().into(), Semconv::Compat);
    let requests = envelope.batches_of(chunks, usize::MAX).into_iter();
    let decode =
        |batch: Batch| <ExportTraceServiceRequest as prost::Message>::decode(batch.body).expect("valid");
    requests
        .flat_map(|batch| decode(batch).resource_spans)
        .flat_map(|of_resource| of_resource.scope_spans)
        .collect()
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
