//! Events, links and log records beside those that were expected: each has to be there as often as it says, and others may
//! be, unless there are to be none at all.

use serde_json::{Map, Value as Json};

use super::{Comparison, Edit, Mark, Path, Step, shown, shown_key, shown_want, under};
use crate::cases::expect::{Log, Part, Times, Want};
use crate::cases::seen::{self, attribute};

/// Whether all attributes are as they are expected.
pub(super) fn have(attributes: &[(String, Json)], wants: &[(String, Want)]) -> bool {
    wants.iter().all(|(key, want)| attribute(attributes, key).is_some_and(|value| want.matches(value)))
}

fn fits(want: &Part, came: &seen::Part) -> bool {
    want.name.matches(&came.name) && have(&came.attributes, &want.attributes)
}

/// Whether the parts are as they are expected.
pub(super) fn match_all(wants: &Option<Vec<Part>>, came: &[seen::Part]) -> bool {
    wants.as_ref().is_none_or(|wants| {
        (!wants.is_empty() || came.is_empty())
            && wants.iter().all(|want| want.times.allows(came.iter().filter(|came| fits(want, came)).count()))
    })
}

/// One kind of parts, as a file has it: an event's name, or a link's trace.
pub(super) struct Words {
    pub(super) list: &'static str,
    pub(super) one: &'static str,
    pub(super) key: &'static str,
}

pub(super) const EVENTS: Words = Words { list: "events", one: "event", key: "name" };
pub(super) const LINKS: Words = Words { list: "links", one: "link", key: "trace" };

pub(super) fn compare(
    out: &mut Comparison,
    depth: usize,
    words: &Words,
    wants: &[Part],
    came: &[seen::Part],
    span: &[Step],
) {
    let at = under(span, words.list);
    let text = |name: &str, attributes: &[(String, String)]| {
        format!("{} {}{}", words.one, shown(&name.into()), braces(attributes))
    };
    let shown_came = |came: &seen::Part| text(&came.name, &shown_attributes(&came.attributes));
    if wants.is_empty() {
        for came in came {
            out.noted(Mark::Extra, depth, shown_came(came), Some("there is to be none".to_owned()));
        }
        if !came.is_empty() {
            let all = came.iter().map(|came| written(words.key, came)).collect();
            out.edits.push(Edit::Set(at, all));
        }
        return;
    }
    let is_wanted = |came: &seen::Part| wants.iter().any(|want| fits(want, came));
    for (nth, want) in wants.iter().enumerate() {
        let count = came.iter().filter(|came| fits(want, came)).count();
        let wanted: Vec<_> =
            want.attributes.iter().map(|(key, want)| (key.clone(), shown_want(want))).collect();
        let shown_want = text(&want.name.to_string(), &wanted);
        let place = [&at[..], &[Step::At(nth)]].concat();
        // Parts of this name that are otherwise.
        let alike = || came.iter().filter(|came| want.name.matches(&came.name) && !is_wanted(came));
        let alternative = alike().next().map(|came| written(words.key, came));
        told(
            out,
            depth,
            &shown_want,
            want.times,
            count,
            alike().map(shown_came).collect(),
            place,
            alternative,
        );
    }
}

/// Says how often something came.
#[expect(clippy::too_many_arguments, reason = "what is said of events, links and log records alike")]
fn told(
    out: &mut Comparison,
    depth: usize,
    text: &str,
    times: Times,
    count: usize,
    alike: Vec<String>,
    place: Path,
    alternative: Option<Json>,
) {
    if times.allows(count) {
        return out.line(Mark::Same, depth, text);
    }
    let note = (count > 0).then(|| format!("came {}, expected {times}", came_times(count)));
    let mark = if count > times.most { Mark::Extra } else { Mark::Missing };
    out.noted(mark, depth, text, note);
    for alike in alike {
        out.line(Mark::Extra, depth, alike);
    }
    out.edits.push(match alternative {
        _ if count > 0 => Edit::Times(place, count),
        Some(value) => Edit::Set(place, value),
        None => Edit::Remove(place),
    });
}

/// How often something came, in words.
pub(in crate::cases) fn came_times(count: usize) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

/// Attributes as lines show them.
pub(super) fn shown_attributes(attributes: &[(String, Json)]) -> Vec<(String, String)> {
    attributes.iter().map(|(key, value)| (key.clone(), shown(value))).collect()
}

fn braces(attributes: &[(String, String)]) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let entries: Vec<_> =
        attributes.iter().map(|(key, value)| format!("{} = {value}", shown_key(key))).collect();
    format!(" {{ {} }}", entries.join(", "))
}

/// Attributes that are other each time, or on each machine.
const VOLATILE: [&str; 1] = ["exception.stacktrace"];

/// A part as a file would expect it.
pub(in crate::cases) fn written(key: &str, came: &seen::Part) -> Json {
    let mut part = Map::new();
    part.insert(key.to_owned(), came.name.clone().into());
    let kept = came.attributes.iter().filter(|(key, _)| !VOLATILE.contains(&&**key)).cloned();
    let attributes: Map<_, _> = kept.collect();
    if attributes.is_empty() {
        return came.name.clone().into();
    }
    part.insert("attributes".to_owned(), attributes.into());
    part.into()
}

fn log_fits(want: &Log, came: &seen::Log) -> bool {
    want.body.matches(&came.body)
        && want.severity.as_ref().is_none_or(|severity| came.severity.starts_with(&**severity))
        && have(&came.attributes, &want.attributes)
}

/// Log records beside those that were expected.
pub(super) fn logs(wants: &[Log], came: &[seen::Log]) -> Comparison {
    let mut out = Comparison::default();
    let at = vec![Step::Key("log".to_owned())];
    let text = |body: String, severity: &str, attributes: &[(String, String)]| {
        let severity = if severity.is_empty() { String::new() } else { format!("{severity} ") };
        format!("{severity}{body}{}", braces(attributes))
    };
    let shown_came =
        |came: &seen::Log| text(shown(&came.body), &came.severity, &shown_attributes(&came.attributes));
    let written = |came: &seen::Log| serde_json::json!({ "body": came.body, "severity": came.severity });
    if wants.is_empty() {
        for came in came {
            out.noted(Mark::Extra, 1, shown_came(came), Some("there is to be none".to_owned()));
        }
        if !came.is_empty() {
            out.edits.push(Edit::Set(at, came.iter().map(written).collect()));
        }
        return out;
    }
    let is_wanted = |came: &&seen::Log| wants.iter().any(|want| log_fits(want, came));
    let mut is_missing = false;
    for (nth, want) in wants.iter().enumerate() {
        let count = came.iter().filter(|came| log_fits(want, came)).count();
        let wanted: Vec<_> =
            want.attributes.iter().map(|(key, want)| (key.clone(), shown_want(want))).collect();
        let text = text(shown_want(&want.body), want.severity.as_deref().unwrap_or_default(), &wanted);
        let place = [&at[..], &[Step::At(nth)]].concat();
        is_missing |= count < want.times.least;
        told(&mut out, 1, &text, want.times, count, Vec::new(), place, None);
    }
    if is_missing {
        // What came instead, as far as it is not something else that was expected.
        for other in came.iter().filter(|came| !is_wanted(came)) {
            out.line(Mark::Extra, 1, shown_came(other));
        }
    }
    out
}
