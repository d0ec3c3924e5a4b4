//! What a case asks and expects, as its file has it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde_json::Value as Json;

use super::pattern::Pattern;
use crate::config::OutboundRule;

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Line of the file on which it begins.
    pub(crate) line: usize,
    pub(crate) request: Request,
    /// None where nothing is expected of it.
    pub(crate) response: Option<Response>,
    /// The spans that have no parent in the trace; none where nothing is expected of them.
    pub(crate) spans: Option<Spans>,
    /// The log records, each of which is to be there; none where nothing is expected of them.
    pub(crate) logs: Option<Vec<Log>>,
    pub(crate) mocks: Vec<Mock>,
    /// Whom outgoing requests may really reach.
    pub(crate) pass: Vec<OutboundRule>,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// How long a guest may work on after its response before its spans are missed.
    pub(crate) linger: Duration,
    /// Bytes that the response may have.
    pub(crate) max_body: usize,
}

/// The request of a case.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

/// A response that is expected.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: Option<Status>,
    pub(crate) headers: Vec<(HeaderName, Pattern)>,
    /// Headers that are not to be there.
    pub(crate) without: Vec<HeaderName>,
    pub(crate) body: Option<Body>,
    /// Whether it is to break off before its end; where that is not said, a body that is expected is to be whole, and of
    /// any other it does not count.
    pub(crate) is_broken: Option<bool>,
    /// Written as the status alone.
    pub(crate) is_short: bool,
}

/// A status, or all statuses of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Exact(u16),
    /// The first digit.
    Class(u16),
}

impl Status {
    pub(crate) fn matches(self, status: StatusCode) -> bool {
        match self {
            Self::Exact(code) => status.as_u16() == code,
            Self::Class(first) => status.as_u16() / 100 == first,
        }
    }
}

/// A body that is expected.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Text(Pattern),
    /// JSON that has at least this.
    Json(Want),
    /// Exactly the bytes of a file.
    Bytes(Bytes),
}

/// A value that is expected, of JSON or of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Want {
    Text(Pattern),
    /// A number, a boolean or null.
    Plain(Json),
    /// A list of as many elements, each as expected.
    List(Vec<Want>),
    /// An object that has at least these.
    Object(Vec<(String, Want)>),
}

impl Want {
    /// Whether `value` is what is expected. A pattern with a star compares the text of numbers and booleans, too, and
    /// `*` alone stands for every value.
    pub(crate) fn matches(&self, value: &Json) -> bool {
        match (self, value) {
            (Self::Text(pattern), _) if pattern.is_anything() => true,
            (Self::Text(pattern), Json::String(text)) => pattern.matches(text),
            (Self::Text(pattern), Json::Number(_) | Json::Bool(_)) => {
                pattern.has_star() && pattern.matches(&value.to_string())
            }
            (Self::Text(_), _) => false,
            (Self::Plain(Json::Number(one)), Json::Number(other)) => {
                // Of two integers every digit counts: as floats some that differ are the same.
                let is_float = one.is_f64() || other.is_f64();
                one == other || is_float && one.as_f64() == other.as_f64()
            }
            (Self::Plain(plain), value) => plain == value,
            (Self::List(wants), Json::Array(values)) => {
                wants.len() == values.len()
                    && wants.iter().zip(values).all(|(want, value)| want.matches(value))
            }
            (Self::Object(wants), Json::Object(values)) => {
                wants.iter().all(|(key, want)| values.get(key).is_some_and(|value| want.matches(value)))
            }
            (Self::List(_) | Self::Object(_), _) => false,
        }
    }
}

/// How often something is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) least: usize,
    pub(crate) most: usize,
}

impl Times {
    pub(crate) const ONCE: Self = Self { least: 1, most: 1 };
    pub(crate) const AT_LEAST_ONCE: Self = Self { least: 1, most: usize::MAX };
    pub(crate) const ANY: Self = Self { least: 0, most: usize::MAX };

    /// Places in an order of so many things: one for each that may be there, or, where all of them may, one for each that
    /// has to be and one more for all others.
    pub(super) fn places(self, came: usize) -> usize {
        if self.most >= came { self.least.min(came) + 1 } else { self.most }
    }

    pub(crate) fn allows(self, count: usize) -> bool {
        (self.least..=self.most).contains(&count)
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.least, self.most) {
            (1, 1) => f.write_str("once"),
            (0, 0) => f.write_str("never"),
            (least, most) if least == most => write!(f, "{least} times"),
            (0, usize::MAX) => f.write_str("any number of times"),
            (1, usize::MAX) => f.write_str("at least once"),
            (0, 1) => f.write_str("at most once"),
            (least, usize::MAX) => write!(f, "at least {least} times"),
            (0, most) => write!(f, "at most {most} times"),
            (least, most) => write!(f, "{least} to {most} times"),
        }
    }
}

/// Spans under one parent, or without one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans {
    pub(crate) list: Vec<Span>,
    /// Whether they are to begin in this order.
    pub(crate) is_ordered: bool,
    /// Whether there may be others.
    pub(crate) others: bool,
    /// Written as one table, not as a list.
    pub(crate) is_single: bool,
}

/// A span that is expected.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) name: Pattern,
    pub(crate) kind: Option<&'static str>,
    pub(crate) status: Option<&'static str>,
    pub(crate) message: Option<Pattern>,
    pub(crate) scope: Option<Pattern>,
    pub(crate) attributes: Vec<(String, Want)>,
    /// Attributes that are not to be there.
    pub(crate) without: Vec<String>,
    /// None where nothing is expected of them; an empty list where there are to be none.
    pub(crate) events: Option<Vec<Part>>,
    /// Links, by the id of the linked trace as the part's name; none and empty as for `events`.
    pub(crate) links: Option<Vec<Part>>,
    /// None where nothing is expected of them.
    pub(crate) children: Option<Spans>,
    pub(crate) times: Times,
    /// Written as its name alone.
    pub(crate) is_short: bool,
}

/// An event, or a link.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) name: Pattern,
    pub(crate) attributes: Vec<(String, Want)>,
    pub(crate) times: Times,
}

/// A log record that is expected: of the guest's own, or a line that it wrote.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) body: Want,
    /// In lower case.
    pub(crate) severity: Option<String>,
    pub(crate) attributes: Vec<(String, Want)>,
    pub(crate) times: Times,
}

/// What answers outgoing requests.
#[derive(Clone, Debug)]
pub(crate) struct Mock {
    /// In which words failures name it.
    pub(crate) written: String,
    pub(crate) method: Option<Method>,
    pub(crate) url: Pattern,
    pub(crate) headers: Vec<(HeaderName, Pattern)>,
    pub(crate) body: Option<Body>,
    pub(crate) answer: Answer,
    pub(crate) delay: Duration,
    pub(crate) times: Times,
}

/// What a mock answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Response {
        status: StatusCode,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    },
    /// An error code of wasi:http, such as `connection_refused`.
    Error(&'static str),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn integers_are_compared_digit_by_digit() {
        let matches = |want: Json, came: Json| Want::Plain(want).matches(&came);
        assert!(!matches(json!(9_007_199_254_740_992_u64), json!(9_007_199_254_740_993_u64)));
        assert!(!matches(json!(-9_007_199_254_740_992_i64), json!(-9_007_199_254_740_993_i64)));
        assert!(!matches(json!(u64::MAX), json!(u64::MAX - 1)));
        assert!(
            matches(json!(7), json!(7.0)) && matches(json!(7.0), json!(7)) && !matches(json!(7), json!(7.5))
        );
    }
}
