//! What came beside what was expected: lines that mark the differences in place, and the edits that would do away with them.

mod parts;
mod response;
mod spans;
#[cfg(test)]
mod tests;

use http::{HeaderMap, StatusCode};
use serde_json::Value as Json;

use super::body::Step as JsonStep;
use super::expect::{Case, Want};
use super::seen::{self, Trace};
pub(super) use parts::{came_times, written as written_part};
pub(super) use spans::relevant;

/// What a line of a comparison is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Expected, and there.
    Same,
    /// Expected, and not there.
    Missing,
    /// There, and not expected.
    Extra,
}

/// A line of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) mark: Mark,
    pub(crate) depth: usize,
    pub(crate) text: String,
    /// What is wrong with it, where its mark alone does not say it.
    pub(crate) note: Option<String>,
}

/// A step on the way to a place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    At(usize),
}

/// The way to a place in a file.
pub(super) type Path = Vec<Step>;

/// The place that is one step further.
pub(super) fn under(path: &[Step], key: &str) -> Path {
    [path, &[Step::Key(key.to_owned())]].concat()
}

/// A change to a case that makes what came what is expected.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Edit {
    /// Writes a value; texts stand for themselves.
    Set(Path, Json),
    /// Writes that any value may be there.
    Any(Path),
    /// Takes a key, or an element of a list, out.
    Remove(Path),
    /// Takes a text out of a list of texts.
    RemoveText(Path, String),
    /// Writes how often something is expected.
    Times(Path, usize),
    /// Writes what differs in JSON, or all of it where it is written as a text.
    Json { at: Path, differences: Vec<(Path, Option<Json>)>, whole: Json },
    /// Adds a span to a list, which may have to be made.
    Append(Path, seen::Span),
}

/// A response as it came.
#[derive(Clone, Debug)]
pub(super) struct Came {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: bytes::Bytes,
    /// Why the body broke off, if it did.
    pub(super) broken: Option<String>,
}

/// What is different, and what would be done about it.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) lines: Vec<Line>,
    pub(super) edits: Vec<Edit>,
    pub(super) failed: bool,
    /// Whether something differs that no edit does away with.
    pub(super) remains: bool,
}

impl Comparison {
    fn line(&mut self, mark: Mark, depth: usize, text: impl Into<String>) {
        self.noted(mark, depth, text, None);
    }

    fn noted(&mut self, mark: Mark, depth: usize, text: impl Into<String>, note: Option<String>) {
        self.failed |= mark != Mark::Same;
        self.lines.push(Line { mark, depth, text: text.into(), note });
    }

    /// `key = value` as it was expected, and as it came where that is something else.
    fn field(&mut self, depth: usize, key: &str, want: &str, came: Option<&str>, is_same: bool) {
        if is_same {
            return self.line(Mark::Same, depth, format!("{key} = {want}"));
        }
        self.line(Mark::Missing, depth, format!("{key} = {want}"));
        if let Some(came) = came {
            self.line(Mark::Extra, depth, format!("{key} = {came}"));
        }
    }

    /// Takes over another comparison.
    pub(super) fn extend(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.edits.extend(other.edits);
        self.failed |= other.failed;
        self.remains |= other.remains;
    }
}

/// Compares the response; says nothing where it is as it should be.
pub(super) fn response_of(case: &Case, came: &Came) -> Comparison {
    let compared = case.response.as_ref().map(|want| response::compare(want, came));
    compared.filter(|compared| compared.failed).unwrap_or_default()
}

/// Pairs of spans that are compared in a few milliseconds.
const FEW_PAIRS: usize = 10_000;

/// Whether to compare a trace takes longer than what else a case does.
pub(super) fn takes_long(case: &Case, trace: &Trace) -> bool {
    case.spans.as_ref().is_some_and(|wants| spans::pairs(wants, &trace.roots) > FEW_PAIRS)
}

/// Compares spans and log records; says nothing of those that are as they should be.
pub(super) fn trace_of(case: &Case, trace: &Trace) -> Comparison {
    let mut all = Comparison::default();
    if let Some(wants) = &case.spans
        && let Some(problem) = spans::too_many(wants, &trace.roots)
    {
        all.noted(Mark::Missing, 0, "span", Some(problem));
        all.remains = true;
    } else if let Some(wants) = &case.spans {
        let compared = spans::compare(wants, &trace.roots);
        if compared.failed {
            all.line(Mark::Same, 0, "span");
            all.extend(compared);
        }
    }
    if let Some(wants) = &case.logs {
        let compared = parts::logs(wants, &trace.logs);
        if compared.failed {
            all.line(Mark::Same, 0, "log");
            all.extend(compared);
        }
    }
    all
}

/// What would be expected of a case that says nothing of its response, or of its spans.
pub(super) fn fill(case: &Case, came: &Came, trace: &Trace) -> Vec<Edit> {
    let mut edits = Vec::new();
    if case.response.is_none() {
        edits.push(Edit::Set(vec![Step::Key("response".to_owned())], response::written(came)));
    }
    if case.spans.is_none() {
        let at = vec![Step::Key("span".to_owned())];
        edits.extend(trace.roots.iter().map(|root| Edit::Append(at.clone(), root.clone())));
    }
    edits
}

/// The most of a value that a line shows.
const MAX_SHOWN: usize = 400;

/// A value as a file would have it, on one line and not too long.
pub(super) fn shown(value: &Json) -> String {
    let text = match value {
        Json::Object(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("{} = {}", shown_key(key), shown(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Json::Array(values) => format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(", ")),
        plain => plain.to_string(),
    };
    shortened(text)
}

/// What is expected as its file would have it.
pub(super) fn shown_want(want: &Want) -> String {
    let text = match want {
        Want::Text(pattern) => Json::String(pattern.to_string()).to_string(),
        Want::Plain(plain) => plain.to_string(),
        Want::List(wants) => format!("[{}]", wants.iter().map(shown_want).collect::<Vec<_>>().join(", ")),
        Want::Object(wants) => {
            let entries: Vec<_> = wants
                .iter()
                .map(|(key, want)| format!("{} = {}", shown_key(key), shown_want(want)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    };
    shortened(text)
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_SHOWN {
        let cut = (0..=MAX_SHOWN).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}

/// A key as TOML has it: in quotes where it is not of letters, digits, dashes and underscores alone.
pub(super) fn shown_key(key: &str) -> String {
    let is_bare =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare { key.to_owned() } else { Json::String(key.to_owned()).to_string() }
}

/// A way into JSON as one into a file.
fn json_path(path: &[JsonStep<'_>]) -> Path {
    let step = |step: &JsonStep<'_>| match step {
        JsonStep::Key(key) => Step::Key((*key).to_owned()),
        JsonStep::Index(at) => Step::At(*at),
    };
    path.iter().map(step).collect()
}
