//! From buffers of encoded spans, log records or metrics to requests of a bounded size, without decoding anything; and
//! from one request to its halves, where a receiver takes less.
//!
//! One code for three signals: `ResourceSpans`, `ResourceLogs` and `ResourceMetrics` have the same fields with the same
//! numbers, and so have the messages for a scope within them.

mod part;

use crate::buffer::Chunk;
use crate::id::TraceId;
use crate::signal::Signal;
use crate::wire::{ORIGIN_KEY, SCOPED, bytes, varint_len, with_length};
use bytes::Bytes;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

/// Bytes of one request, as its protocol writes it and before it is compressed: receivers of gRPC take 4 MiB by default,
/// and count after decompression. Half a MiB is left for what a collector on the way may add before it passes it on.
pub(crate) const MAX_REQUEST: usize = 7 * 512 * 1024;
/// The key of a message and its length, at most: no request is anywhere near 4 GiB.
const MAX_HEAD: usize = 1 + 5;

/// What stands around the items of each request: resource, instrumentation scope, schema URL. Items of several origins,
/// each with a resource and a scope of its own, may share a buffer; each request is of one origin. Clones share the
/// origins that are added.
#[derive(Clone, Debug)]
pub struct Envelope {
    own: Around,
    /// The first has the number 1.
    others: Arc<RwLock<Vec<Around>>>,
}

/// What stands around items of one origin.
#[derive(Clone, Debug)]
struct Around {
    resource: Arc<[u8]>,
    scope: Arc<[u8]>,
    schema_url: &'static str,
}

/// One `ExportTraceServiceRequest`, or that of another signal, as protobuf.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The message.
    pub body: Bytes,
    /// Spans, log records or data points in it.
    pub items: u32,
}

impl Envelope {
    /// An envelope of the messages `Resource` and `InstrumentationScope`, both as protobuf, and the schema URL of the
    /// scope's items, which is empty for none.
    #[must_use]
    pub fn new(resource: &Arc<[u8]>, scope: Vec<u8>, schema_url: &'static str) -> Self {
        Envelope { own: Around::new(resource, scope, schema_url), others: Arc::default() }
    }

    /// Adds an origin with the messages of [`Envelope::new`]; returns the number with which its items are marked
    /// ([`wire::origin`](crate::wire::origin)).
    pub fn add_origin(&self, resource: &Arc<[u8]>, scope: Vec<u8>, schema_url: &'static str) -> u32 {
        let mut others = self.others.write().unwrap_or_else(PoisonError::into_inner);
        others.push(Around::new(resource, scope, schema_url));
        u32::try_from(others.len()).unwrap_or(u32::MAX)
    }

    /// Cuts the items of `chunks` into requests of at most `max_items`, and of 3.5 MiB unless one item is larger.
    #[must_use]
    pub fn batches_of(&self, chunks: &[Chunk], max_items: usize) -> Vec<Batch> {
        let others = self.others.read().unwrap_or_else(PoisonError::into_inner);
        let entries = || chunks.iter().flat_map(|chunk| Entries(&chunk.bytes));
        if others.is_empty() {
            return self.own.batches(entries().map(|entry| (entry, 1)), max_items);
        }
        let mut by_origin = vec![Vec::new(); others.len() + 1];
        for entry in entries() {
            // A number that nobody has given is a mistake of the program, and the item is told all the same.
            let origin = Some(entry.origin as usize).filter(|origin| *origin < by_origin.len());
            by_origin[origin.unwrap_or_default()].push((entry, 1));
        }
        let origins = std::iter::once(&self.own).chain(others.iter());
        let of_origin = |(origin, entries): (&Around, Vec<_>)| origin.batches(entries.into_iter(), max_items);
        origins.zip(by_origin).flat_map(of_origin).collect()
    }

    /// Cuts metrics into requests of at most 3.5 MiB unless one data point is larger. Each of `metrics` is an entry of
    /// `ScopeMetrics.metrics`, with its key and its length, and the number of its data points.
    #[must_use]
    pub fn batches_of_metrics<'a>(&self, metrics: impl IntoIterator<Item = (&'a [u8], u32)>) -> Vec<Batch> {
        let entries =
            metrics.into_iter().map(|(item, points)| (Entry { item, scope: &[], origin: 0 }, points));
        let batches = self.own.batches(entries, usize::MAX);
        // One metric alone may be too large; its points are not.
        batches.into_iter().flat_map(|batch| batch.within(Signal::Metrics, MAX_REQUEST)).collect()
    }
}

impl Around {
    fn new(resource: &Arc<[u8]>, scope: Vec<u8>, schema_url: &'static str) -> Self {
        Around { resource: Arc::clone(resource), scope: scope.into(), schema_url }
    }

    /// Requests of at most `max_items` of `entries`, each of which says how many items it holds; only an entry that is
    /// larger by itself makes one of more than [`MAX_REQUEST`] bytes.
    fn batches<'a>(&self, entries: impl Iterator<Item = (Entry<'a>, u32)>, max_items: usize) -> Vec<Batch> {
        let mut batches = Vec::new();
        let around = self.around();
        let (mut scopes, mut items, mut size) = (Scopes::default(), 0, around);
        for (entry, more) in entries {
            let is_full = items as usize >= max_items || size + scopes.growth(&entry) > MAX_REQUEST;
            if is_full && items > 0 {
                batches.push(self.batch(std::mem::take(&mut scopes), items));
                (items, size) = (0, around);
            }
            size += scopes.growth(&entry);
            scopes.add(entry);
            items += more;
        }
        if items > 0 {
            batches.push(self.batch(scopes, items));
        }
        batches
    }

    /// Bytes of a request without entries, at most.
    fn around(&self) -> usize {
        let resource = 1 + with_length(self.resource.len());
        let scope = 1 + with_length(self.scope.len()) + 1 + with_length(self.schema_url.len());
        MAX_HEAD + resource + MAX_HEAD + scope
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
    /// Items of the envelope's scope.
    own: Vec<&'a [u8]>,
    others: Vec<(&'a [u8], Vec<&'a [u8]>)>,
    /// Where each is: a guest may name as many as it likes.
    places: HashMap<&'a [u8], usize>,
}

impl Batch {
    /// Itself, or parts of it of at most `most` bytes each, as far as its items allow.
    fn within(self, signal: Signal, most: usize) -> Vec<Batch> {
        let (mut parts, mut left) = (Vec::new(), vec![self]);
        while let Some(part) = left.pop() {
            match if part.body.len() > most { part.halves(signal) } else { None } {
                Some([first, second]) => left.extend([second, first]),
                None => parts.push(part),
            }
        }
        parts
    }

    /// Two batches in place of this one, of about the same size; none of a single item, nor of what is no request of
    /// `signal` that holds as many items as it says.
    pub(crate) fn halves(&self, signal: Signal) -> Option<[Batch; 2]> {
        let lengths = part::lengths(signal, &self.body).ok()?;
        if lengths.len() < 2 || lengths.len() != self.items as usize {
            return None;
        }
        let half = lengths.iter().sum::<usize>() / 2;
        let mut size = 0;
        let before = lengths.iter().take_while(|length| {
            size += **length;
            size <= half
        });
        let cut = before.count().clamp(1, lengths.len() - 1);
        Some([self.part(signal, 0..cut)?, self.part(signal, cut..lengths.len())?])
    }

    /// What is left of it without its first `items` items; none if it has no more, or is no request of `signal`.
    pub(crate) fn without_first(&self, signal: Signal, items: u32) -> Option<Batch> {
        (items < self.items).then(|| self.part(signal, items as usize..self.items as usize)).flatten()
    }

    fn part(&self, signal: Signal, range: Range<usize>) -> Option<Batch> {
        let items = u32::try_from(range.len()).ok()?;
        let body = part::of(signal, &self.body, &range).ok()?;
        Some(Batch { body: body.into(), items })
    }
}

impl<'a> Scopes<'a> {
    /// By how many bytes `entry` makes a request larger, at most.
    fn growth(&self, entry: &Entry<'a>) -> usize {
        let is_known = entry.scope.is_empty() || self.places.contains_key(entry.scope);
        entry.item.len() + if is_known { 0 } else { MAX_HEAD + entry.scope.len() }
    }

    fn add(&mut self, Entry { item, scope, .. }: Entry<'a>) {
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

/// Iterator over the entries of a [`Chunk`](crate::Chunk).
#[derive(Clone, Copy, Debug)]
pub struct Entries<'a>(pub &'a [u8]);

/// One span or log record of a [`Chunk`](crate::Chunk).
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The item with its field key and length: as it stands in the message of its scope.
    pub item: &'a [u8],
    /// The fields of that message which say whose it is; empty for an item of the envelope's scope.
    pub scope: &'a [u8],
    /// Number of its origin; 0 is the envelope's own.
    pub origin: u32,
}

/// A field with its key and its length.
struct Field<'a> {
    number: u8,
    whole: &'a [u8],
    content: &'a [u8],
}

impl Entry<'_> {
    /// The trace of a span, whose first field is its id.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        let span = Entries(self.item).field()?.content;
        let id = Entries(span).field()?;
        id.content.try_into().ok().map(TraceId)
    }
}

impl<'a> Entries<'a> {
    /// Number of the origin of the entry that follows.
    fn origin(&mut self) -> Option<u32> {
        if self.0.first() != Some(&ORIGIN_KEY) {
            return Some(0);
        }
        self.0 = &self.0[1..];
        u32::try_from(prost::encoding::decode_varint(&mut self.0).ok()?).ok()
    }

    fn field(&mut self) -> Option<Field<'a>> {
        let mut length = self.0.get(1..)?;
        let len = prost::encoding::decode_varint(&mut length).ok()?;
        let head = 1 + varint_len(len);
        let (whole, rest) = self.0.split_at_checked(head + usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(Field { number: whole[0] >> 3, whole, content: &whole[head..] })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let origin = self.origin()?;
        let field = self.field()?;
        if field.number != SCOPED {
            return Some(Entry { item: field.whole, scope: &[], origin });
        }
        let last = std::iter::from_fn({
            let mut fields = Entries(field.content);
            move || fields.field()
        });
        let item = last.last()?.whole;
        Some(Entry { item, scope: &field.content[..field.content.len() - item.len()], origin })
    }
}

/// Starts a message of `len` bytes as field `number`, which is below 16.
fn open(out: &mut Vec<u8>, number: u8, len: usize) {
    out.push(number << 3 | 2);
    prost::encoding::encode_varint(len as u64, out);
}

#[cfg(test)]
mod tests;
