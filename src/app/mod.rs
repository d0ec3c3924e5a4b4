//! Composition root: builds the parts in order and drains them in order.
