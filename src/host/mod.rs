//! What a guest may import: one file per WIT interface.

pub(crate) mod outbound;
