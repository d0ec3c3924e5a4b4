//! What stands in a buffer: spans or log records one after another, some with a scope of their own.

use crate::id::TraceId;
use crate::wire::{SCOPED, varint_len};

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
        let field = self.field()?;
        if field.number != SCOPED {
            return Some(Entry { item: field.whole, scope: &[] });
        }
        let last = std::iter::from_fn({
            let mut fields = Entries(field.content);
            move || fields.field()
        });
        let item = last.last()?.whole;
        Some(Entry { item, scope: &field.content[..field.content.len() - item.len()] })
    }
}
