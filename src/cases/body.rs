//! Bodies beside what is expected of them.

use bytes::Bytes;
use serde_json::Value as Json;

use super::expect::{Body, Want};

/// Whether the bytes are the body that is expected.
pub(super) fn matches(want: &Body, body: &Bytes) -> bool {
    match want {
        Body::Bytes(bytes) => bytes == body,
        Body::Text(pattern) => pattern.matches(&String::from_utf8_lossy(body)),
        Body::Json(want) => serde_json::from_slice(body).is_ok_and(|value| want.matches(&value)),
    }
}

/// A difference in JSON: where, what was expected, and what came, if anything did.
pub(super) struct Difference<'a> {
    pub(super) path: Vec<Step<'a>>,
    pub(super) want: &'a Want,
    pub(super) came: Option<&'a Json>,
}

/// A step into JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Every innermost difference between what was expected and what came.
pub(super) fn differences<'a>(want: &'a Want, came: &'a Json) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    walk(want, Some(came), &mut Vec::new(), &mut found);
    found
}

fn walk<'a>(
    want: &'a Want,
    came: Option<&'a Json>,
    path: &mut Vec<Step<'a>>,
    found: &mut Vec<Difference<'a>>,
) {
    match (want, came) {
        (Want::Object(wants), Some(Json::Object(values))) => {
            for (key, want) in wants {
                path.push(Step::Key(key));
                walk(want, values.get(key), path, found);
                path.pop();
            }
        }
        (Want::List(wants), Some(Json::Array(values))) if wants.len() == values.len() => {
            for (at, (want, value)) in wants.iter().zip(values).enumerate() {
                path.push(Step::Index(at));
                walk(want, Some(value), path, found);
                path.pop();
            }
        }
        (want, Some(came)) if want.matches(came) => {}
        (want, came) => found.push(Difference { path: path.clone(), want, came }),
    }
}
