//! Spans that guests write to: their request's, those of their own, and those of their outgoing requests.

pub(crate) mod annotations;
pub(crate) mod call;
pub(crate) mod child;
pub(crate) mod client;
pub(crate) mod family;
pub(crate) mod open;
pub(crate) mod sdk;
pub(crate) mod span;
