//! How much one span or log record may hold: what the `OTEL_*_LIMIT` variables set.

/// Attributes of a span or a log record at most, and its events, its links, and the attributes of one of them.
///
/// They are for what guests add: what Pounce itself writes is bounded, and always stands. No limit is ever above
/// [`Limits::default`], so that memory stays bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Attributes of one span.
    pub span_attributes: usize,
    /// Characters of one text, and bytes of one value of bytes, of a span, an event or a link; the host's own included.
    /// Absent: as many bytes as [`Limits::LONGEST`] says, four times as many of a stack trace.
    pub span_value_length: Option<usize>,
    /// Events of one span.
    pub events: usize,
    /// Links of one span.
    pub links: usize,
    /// Attributes of one event.
    pub event_attributes: usize,
    /// Attributes of one link.
    pub link_attributes: usize,
    /// Attributes of one log record.
    pub log_attributes: usize,
    /// The same as `span_value_length` for the attributes of a log record.
    pub log_value_length: Option<usize>,
}

impl Limits {
    /// The most of anything that is counted.
    pub const MOST: usize = 128;
    /// Bytes of the longest value, other than stack traces.
    pub const LONGEST: usize = 4096;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            span_attributes: Self::MOST,
            span_value_length: None,
            events: Self::MOST,
            links: Self::MOST,
            event_attributes: Self::MOST,
            link_attributes: Self::MOST,
            log_attributes: Self::MOST,
            log_value_length: None,
        }
    }
}
