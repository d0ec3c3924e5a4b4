//! A response beside the one that was expected.

use http::HeaderName;
use http::header::CONTENT_TYPE;
use serde_json::{Value as Json, json};

use super::{Came, Comparison, Edit, Mark, Step, json_path, shown, shown_key, shown_want, under};
use crate::cases::body::{self, Difference, Step as JsonStep};
use crate::cases::expect::{Body, Response, Status, Want};

/// Headers that are others each time: when a response was made, and how long that took.
const VOLATILE: [&str; 2] = ["date", "server-timing"];

/// The longest body that is written into a file by itself.
const MAX_WRITTEN: usize = 2000;

pub(super) fn compare(want: &Response, came: &Came) -> Comparison {
    let mut out = Comparison::default();
    let at = [Step::Key("response".to_owned())];
    out.line(Mark::Same, 0, "response");
    if let Some(status) = want.status {
        let is_same = status.matches(came.status);
        let written = match status {
            Status::Exact(code) => code.to_string(),
            Status::Class(first) => format!("\"{first}xx\""),
        };
        let code = came.status.as_u16();
        out.field(1, "status", &written, Some(&code.to_string()), is_same);
        if !is_same {
            let at = if want.is_short { at.to_vec() } else { under(&at, "status") };
            out.edits.push(Edit::Set(at, code.into()));
        }
    }
    for (name, pattern) in &want.headers {
        let values: Vec<_> = came
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        let is_same = values.iter().any(|value| pattern.matches(value));
        let first = values.first().map(|value| shown(&Json::from(&**value)));
        let key = format!("headers.{}", shown_key(name.as_str()));
        out.field(1, &key, &shown(&pattern.to_string().into()), first.as_deref(), is_same);
        if !is_same {
            let at = under(&under(&at, "headers"), name.as_str());
            out.edits.push(match values.first() {
                Some(_) if VOLATILE.contains(&name.as_str()) => Edit::Any(at),
                Some(value) => Edit::Set(at, Json::from(&**value)),
                None => Edit::Remove(at),
            });
        }
    }
    for name in want.without.iter().filter(|name| came.headers.contains_key(*name)) {
        without(&mut out, &at, name, came);
    }
    if let Some(body) = &want.body {
        compare_body(&mut out, &at, body, came);
    }
    broken(&mut out, &at, want, came);
    out
}

fn without(out: &mut Comparison, at: &[Step], name: &HeaderName, came: &Came) {
    let value = came.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let text = format!("headers.{} = {}", shown_key(name.as_str()), shown(&value.unwrap_or_default().into()));
    out.noted(Mark::Extra, 1, text, Some("is not to be there".to_owned()));
    out.edits.push(Edit::RemoveText(under(at, "without"), name.to_string()));
}

fn broken(out: &mut Comparison, at: &[Step], want: &Response, came: &Came) {
    let is_to_be_whole = want.is_broken.map_or(want.body.is_some(), |is_broken| !is_broken);
    match &came.broken {
        Some(why) if is_to_be_whole => {
            out.noted(Mark::Extra, 1, "broken = true", Some(format!("the body broke off: {why}")));
            out.edits.push(Edit::Set(under(at, "broken"), true.into()));
        }
        None if want.is_broken == Some(true) => {
            out.noted(Mark::Missing, 1, "broken = true", Some("the body came to its end".to_owned()));
            out.edits.push(Edit::Remove(under(at, "broken")));
        }
        _ => {}
    }
}

fn compare_body(out: &mut Comparison, at: &[Step], want: &Body, came: &Came) {
    let is_same = body::matches(want, &came.body);
    let text = std::str::from_utf8(&came.body).ok();
    match want {
        Body::Bytes(bytes) => {
            let sizes = |bytes: &[u8]| format!("{} bytes", bytes.len());
            out.field(1, "body-file", &sizes(bytes), Some(&sizes(&came.body)), is_same);
            out.remains |= !is_same;
        }
        Body::Text(pattern) => {
            let shown_came = match text {
                Some(text) => shown(&text.into()),
                None => format!("{} bytes that are no text", came.body.len()),
            };
            out.field(1, "body", &shown(&pattern.to_string().into()), Some(&shown_came), is_same);
            if let Some(text) = text.filter(|_| !is_same) {
                out.edits.push(Edit::Set(under(at, "body"), text.into()));
            }
            out.remains |= !is_same && text.is_none();
        }
        Body::Json(want) => compare_json(out, at, want, came, is_same),
    }
}

fn compare_json(out: &mut Comparison, at: &[Step], want: &Want, came: &Came, is_same: bool) {
    if is_same {
        return out.line(Mark::Same, 1, format!("json = {}", shown_want(want)));
    }
    let Ok(value) = serde_json::from_slice::<Json>(&came.body) else {
        out.line(Mark::Missing, 1, format!("json = {}", shown_want(want)));
        let text = shown(&String::from_utf8_lossy(&came.body).into());
        out.remains = true;
        return out.noted(Mark::Extra, 1, format!("body = {text}"), Some("no JSON".to_owned()));
    };
    let found = body::differences(want, &value);
    for Difference { path, want, came } in &found {
        let place = path.iter().fold("json".to_owned(), |place, step| match step {
            JsonStep::Key(key) => format!("{place}.{}", shown_key(key)),
            JsonStep::Index(at) => format!("{place}[{at}]"),
        });
        let came = came.map(shown);
        out.field(1, &place, &shown_want(want), came.as_deref(), false);
    }
    let differences = found.iter().map(|found| (json_path(&found.path), found.came.cloned())).collect();
    out.edits.push(Edit::Json { at: under(at, "json"), differences, whole: value.clone() });
}

/// The response as a case would expect it.
pub(super) fn written(came: &Came) -> Json {
    let status = came.status.as_u16();
    let mut response = json!({ "status": status });
    let is_json =
        came.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let body =
        std::str::from_utf8(&came.body).ok().filter(|text| !text.is_empty() && text.len() <= MAX_WRITTEN);
    let parsed = body.filter(|_| is_json).and_then(|text| serde_json::from_str::<Json>(text).ok());
    match (parsed, body) {
        (Some(value), _) => response["json"] = value,
        (None, Some(text)) => response["body"] = text.into(),
        (None, None) => {}
    }
    if came.broken.is_some() {
        response["broken"] = true.into();
    }
    if response.as_object().is_some_and(|object| object.len() == 1) { status.into() } else { response }
}
