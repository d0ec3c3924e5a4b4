//! What a guest may import: one file per WIT interface.
