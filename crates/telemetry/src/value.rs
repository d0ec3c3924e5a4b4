//! What a guest may say on a span beside attributes: an exception, a status.

pub use pounce_otlp::value::Value;
pub(crate) use pounce_otlp::value::{Length, shortened};

/// Something that went wrong, recorded as an `exception` event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exception {
    /// `exception.type`, of few different values.
    pub kind: String,
    /// `exception.message`.
    pub message: String,
    /// `exception.stacktrace`.
    pub stacktrace: Option<String>,
    /// Whatever else belongs to it.
    pub attributes: Vec<(String, Value)>,
}

/// Status of a span as a guest sets it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing said.
    #[default]
    Unset,
    /// Went well, whatever it looks like.
    Ok,
    /// Failed, with a description.
    Error(String),
}
