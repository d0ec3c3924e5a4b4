//! Exceptions of Python, as its interpreter prints them and as pyo3 quotes them.

use super::{Raised, quoted};

const TRACEBACK: &str = "Traceback (most recent call last):";
/// What stands before the traceback of an exception group.
const GROUP: &str = "  + Exception Group Traceback (most recent call last):";
/// What stands between an exception and one that came of it.
const CHAINED: [&str; 2] = [
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
];

/// Whether a traceback begins with this line.
pub(super) fn begins(line: &str) -> bool {
    line == TRACEBACK || line == GROUP
}

/// Whether the text of a traceback says that another one follows, which is the one that counts.
pub(super) fn announces_another(text: &str) -> bool {
    let last = text.lines().rev().find(|line| !line.is_empty());
    last.is_some_and(|line| CHAINED.contains(&line))
}

/// The exception that a traceback tells of: the last one of a chain.
pub(super) fn read(text: &str) -> Option<Raised> {
    let mut at = 0;
    let mut begin = None;
    for line in text.split_inclusive('\n') {
        at += line.len();
        if begins(line.trim_end_matches('\n')) {
            begin = Some((at, line.starts_with(GROUP)));
        }
    }
    let (begin, is_group) = begin?;
    // Frames are indented; a message may go on over several lines, whatever they look like.
    let indent = if is_group { "  | " } else { "" };
    let mut said = None;
    let mut at = begin;
    for line in text[begin..].split_inclusive('\n') {
        if let Some(line) = line.strip_prefix(indent)
            && !line.starts_with([' ', '\n'])
        {
            said = Some(at + indent.len());
            break;
        }
        at += line.len();
    }
    let said = &text[said?..];
    let said = if is_group { said.lines().next().unwrap_or_default() } else { said };
    let (kind, message) = split(said.trim_end());
    Some(Raised::new(Some(kind), message, Some(text)))
}

/// Type and message of `module.Type: message`.
fn split(said: &str) -> (&str, &str) {
    let end = said.find([':', '\n', ' ']).unwrap_or(said.len());
    let (kind, rest) = said.split_at(end);
    match rest.strip_prefix(": ").or_else(|| rest.strip_prefix(['\n', ':'])) {
        Some(message) => (kind, message),
        // Without a message.
        None if rest.is_empty() => (kind, ""),
        None => ("Exception", said),
    }
}

/// The exception that pyo3 quotes, after `PyErr { type: <class '`: its type's name, its `repr` and its traceback.
pub(super) fn quoted(source: &str) -> Option<Raised> {
    let (kind, rest) = source.split_once("'>, value: ")?;
    let (value, traceback) = match rest.rfind(", traceback: Some(\"") {
        Some(at) => {
            (&rest[..at], quoted::read(&rest[at + ", traceback: Some(".len()..]).map(|(text, _)| text))
        }
        None => (rest.rfind(", traceback: ").map_or(rest, |at| &rest[..at]), None),
    };
    let message = message_of(kind, value);
    let last = if message.is_empty() { kind.to_owned() } else { format!("{kind}: {message}") };
    let stacktrace = traceback.map(|traceback| format!("{}\n{last}", traceback.trim_end()));
    Some(Raised::new(Some(kind), &message, stacktrace.as_deref()))
}

/// The message of an exception by its `repr`, which for most is `Type('message')`.
fn message_of(kind: &str, value: &str) -> String {
    let name = kind.rsplit('.').next().unwrap_or(kind);
    let inside = value.strip_prefix(name).and_then(|value| value.strip_prefix('(')?.strip_suffix(')'));
    match inside {
        Some("") => String::new(),
        Some(inside) => match quoted::read(inside) {
            Some((message, "")) => message,
            // Several arguments: they are the message, as Python would have it.
            _ => inside.to_owned(),
        },
        None => value.to_owned(),
    }
}
