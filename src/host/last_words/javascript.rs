//! Exceptions of JavaScript, as StarlingMonkey reports them: the runtime of componentize-js.

use super::{Raised, quoted};

/// The type of errors of which StarlingMonkey prints none, which are most.
const UNTYPED: &str = "Error";
const STACK: &str = "Stack:";
const CAUSED_BY: &str = "Caused by: ";

/// A kind of report, told by how it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The promise that `respondWith` was given is rejected.
    Handler,
    /// An exception outside of any promise: in the listener, in a timer.
    Script,
    /// Nothing is left to run, and there is no response.
    Stalled,
    /// The stream of the response's body failed, and is closed as if it were whole.
    Stream,
    /// It gave something else than bytes.
    Chunk,
    /// A promise that `waitUntil` was given is rejected.
    WaitUntil,
    /// One that nobody handles is.
    Unhandled,
}

const REPORTS: [(Report, &str); 7] = [
    (Report::Handler, "Error while running request handler: "),
    (Report::Script, "Exception while "),
    (Report::Stalled, "Warning: JS event loop terminated without completing the request."),
    (Report::Stream, "Warning: body ReadableStream closed during body streaming. Exception: "),
    (Report::Chunk, "Error: read operation on body ReadableStream didn't respond with a Uint8Array."),
    (Report::WaitUntil, "Warning: Promise passed to FetchEvent#waitUntil was rejected with error."),
    (Report::Unhandled, "Promise rejected but never handled: "),
];

impl Report {
    /// The report that begins with this line.
    pub(super) fn begins(line: &str) -> Option<Self> {
        // Nearly all lines begin otherwise.
        if !line.starts_with(['E', 'W', 'P']) {
            return None;
        }
        REPORTS.iter().find(|(_, begin)| line.starts_with(begin)).map(|(report, _)| *report)
    }

    pub(super) fn is_one_line(self) -> bool {
        matches!(self, Self::Stalled | Self::Stream | Self::Chunk)
    }

    /// Whether the request is not answered as its author meant: else the response stays what it is.
    pub(super) fn fails_request(self) -> bool {
        matches!(self, Self::Handler | Self::Script | Self::Stalled)
    }

    /// The exception that is reported.
    pub(super) fn read(self, text: &str) -> Option<Raised> {
        let begin = REPORTS.iter().find(|(report, _)| *report == self)?.1;
        let said = text.strip_prefix(begin)?;
        Some(match self {
            Self::Handler | Self::Unhandled => with_stack(said),
            Self::WaitUntil => with_stack(said.split_once('\n')?.1),
            Self::Script => {
                let line = said.lines().nth(1)?;
                let (place, said) = line.split_once(' ').unwrap_or(("", line));
                let (kind, message) = said.split_once(": ").unwrap_or((UNTYPED, said));
                Raised::new(Some(kind), message, Some(place))
            }
            Self::Stream => of_source(said),
            Self::Stalled => Raised::new(
                Some(UNTYPED),
                "the event loop ended without a response: a promise that never settles, or an exception before \
                 respondWith",
                None,
            ),
            Self::Chunk => Raised::new(Some("TypeError"), text.strip_prefix("Error: ").unwrap_or(text), None),
        })
    }
}

/// An error by its message, the line `Stack:` and its frames, which are indented; and the same for what caused it.
fn with_stack(said: &str) -> Raised {
    let lines: Vec<&str> = said.lines().collect();
    // A message may have such a line of its own: the stack's is followed by frames alone.
    let frames_after = |at: usize| {
        let frames = lines[at + 1..].iter().take_while(|line| line.starts_with("  ")).count();
        let next = lines.get(at + 1 + frames);
        (frames > 0 || next.is_none_or(|line| line.is_empty())).then_some(at + 1 + frames)
    };
    let stacks = lines.iter().enumerate().filter(|(_, line)| **line == STACK).map(|(at, _)| at);
    let found = stacks.filter_map(|at| Some((at, frames_after(at)?))).next();
    let Some((at, mut end)) = found else {
        return Raised::new(Some(UNTYPED), lines.first().unwrap_or(&""), None);
    };
    // What comes after that is something else.
    loop {
        let cause = end + lines[end..].iter().take_while(|line| line.is_empty()).count();
        if !lines.get(cause).is_some_and(|line| line.starts_with(CAUSED_BY)) {
            break;
        }
        let Some(stack) = lines[cause..].iter().position(|line| *line == STACK) else { break };
        let Some(next) = frames_after(cause + stack) else { break };
        end = next;
    }
    let stack = lines[at + 1..end].iter().filter(|line| !line.is_empty() && **line != STACK);
    let stack: Vec<_> = stack.map(|line| line.trim_start()).collect();
    Raised::new(Some(UNTYPED), &lines[..at].join("\n"), Some(&stack.join("\n")))
}

/// A thrown value by its source text: `(new Type("message", "file", line))` for an error.
fn of_source(source: &str) -> Raised {
    let error = || {
        let (kind, rest) = source.strip_prefix("(new ")?.split_once('(')?;
        let (message, rest) = quoted::read(rest)?;
        let place = rest.strip_prefix(", ").and_then(quoted::read).map(|(file, rest)| {
            let line: String = rest.chars().filter(char::is_ascii_digit).collect();
            format!("{file}:{line}")
        });
        Some(Raised::new(Some(kind), &message, place.as_deref()))
    };
    error().unwrap_or_else(|| Raised::new(Some(UNTYPED), source, None))
}
