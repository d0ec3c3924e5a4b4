//! What a guest may say on a span beside attributes: an exception, a status.

pub(crate) use pounce_otlp::value::{Length, Value, shortened};

/// Something that went wrong, recorded as an `exception` event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exception {
    /// `exception.type`, of few different values.
    pub(crate) kind: String,
    /// `exception.message`.
    pub(crate) message: String,
    /// `exception.stacktrace`.
    pub(crate) stacktrace: Option<String>,
    /// Whatever else belongs to it.
    pub(crate) attributes: Vec<(String, Value)>,
}

/// Status of a span as a guest sets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    /// Nothing said.
    #[default]
    Unset,
    /// Went well, whatever it looks like.
    Ok,
    /// Failed, with a description.
    Error(String),
}
