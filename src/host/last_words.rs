//! What a guest says on stderr as it fails: languages with a runtime of their own print an exception there, and then end in
//! a trap, an exit or an unfinished response that tells nothing of it.
//!
//! Text alone fails no request. [`LastWords`] only remembers, bounded, the last passage of what one request's guest wrote
//! that has the form of a failure; who finds that the guest has failed asks for it. An exception that a runtime reports and
//! survives, such as a rejection that nobody handles, is handed over as it is told.
//!
//! ```text
//!  Python       Traceback … Type: message, then the panic of componentize-py's runtime     trap
//!  Python 0.3   a panic that quotes a `PyErr`                                              trap
//!  QuickJS      a panic that quotes an `Exception`                                         trap
//!  StarlingMonkey   Error while running request handler: message, Stack: …                  unfinished response
//!  Go           panic: message, goroutine 1 [running]: …                                   exit
//!  Rust         thread '…' panicked at file:line:column: message                            trap
//! ```

mod javascript;
mod panic;
mod python;
mod quoted;

use javascript::Report;

/// Bytes of a passage that are kept: its beginning and its end.
const MAX_PASSAGE: usize = 16 * 1024;
/// Bytes of an exception's type, message and stack trace.
pub(super) const MAX_KIND: usize = 256;
pub(super) const MAX_MESSAGE: usize = 2 * 1024;
pub(super) const MAX_STACKTRACE: usize = 8 * 1024;
/// Exceptions that one request's guest may survive and have told.
const MAX_SURVIVED: usize = 16;

/// An exception as a guest's runtime prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Raised {
    /// The exception's type; none for a panic, which has none.
    pub(crate) kind: Option<String>,
    pub(crate) message: String,
    pub(crate) stacktrace: Option<String>,
}

impl Raised {
    /// An exception cut to what is kept of one.
    fn new(kind: Option<&str>, message: &str, stacktrace: Option<&str>) -> Self {
        let bounded = |text: &str, most: usize| text[..text.floor_char_boundary(most)].to_owned();
        Self {
            kind: kind.map(|kind| bounded(kind, MAX_KIND)),
            message: bounded(message.trim_end(), MAX_MESSAGE),
            stacktrace: stacktrace
                .map(|trace| bounded(trace.trim_end(), MAX_STACKTRACE))
                .filter(|trace| !trace.is_empty()),
        }
    }
}

/// How the guest ended that is asked for its last words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By `unreachable`, which is what a panic comes to.
    Trap,
    /// By an exit status that is not 0.
    Exit,
    /// By returning with its response unfinished.
    Return,
}

/// The last passage of one request's output that has the form of a failure.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    /// The guest's runtime is one that makes reports.
    has_reports: bool,
    /// What is being said.
    passage: Option<Passage>,
    /// A failure of the request's handler that a JavaScript runtime has reported.
    reported: Option<Raised>,
    survived: usize,
}

/// Lines that belong together.
#[derive(Debug)]
struct Passage {
    form: Form,
    text: String,
}

#[derive(Debug)]
enum Form {
    /// A traceback of Python's.
    Traceback,
    /// A panic of Rust's, or of Go's, with the traceback that came right before it.
    Panic { traceback: Option<String> },
    /// A report of StarlingMonkey's.
    Report(Report),
}

impl LastWords {
    /// Nothing yet; `has_reports` for a guest whose runtime is StarlingMonkey. Of others such text is their own.
    pub(super) fn new(has_reports: bool) -> Self {
        Self { has_reports, ..Self::default() }
    }

    /// Takes in a line of stderr, blank ones included; `survived` gets what the runtime has survived.
    pub(super) fn hear(&mut self, line: &str, mut survived: impl FnMut(Raised)) {
        if let Some(report) = Report::begins(line).filter(|_| self.has_reports) {
            self.end_passage(&mut survived);
            self.begin(Form::Report(report), line);
            if report.is_one_line() {
                self.end_passage(&mut survived);
            }
        } else if panic::begins(line) {
            let traceback = match self.passage.take() {
                Some(Passage { form: Form::Traceback, text }) => Some(text),
                other => {
                    self.passage = other;
                    self.end_passage(&mut survived);
                    None
                }
            };
            self.begin(Form::Panic { traceback }, line);
        } else if python::begins(line) && !self.is_chained() {
            self.end_passage(&mut survived);
            self.begin(Form::Traceback, line);
        } else if let Some(passage) = &mut self.passage {
            passage.push(line);
        }
    }

    /// Nothing more is said; `survived` is as for [`hear`](Self::hear).
    pub(super) fn end(&mut self, mut survived: impl FnMut(Raised)) {
        self.end_passage(&mut survived);
        *self = Self::new(self.has_reports);
    }

    /// What the guest said of its failure, which came to it in this way; asked for once.
    pub(super) fn of(&mut self, end: End) -> Option<Raised> {
        let passage = self.passage.take();
        match (end, passage) {
            (End::Trap, Some(Passage { form: Form::Panic { traceback }, text })) => {
                Some(panic::read(&text, traceback.as_deref()))
            }
            (End::Exit, Some(Passage { form: Form::Panic { .. }, text })) => panic::of_go(&text),
            (End::Return, passage) => self.reported.take().or_else(|| match passage? {
                Passage { form: Form::Report(report), text } => report.read(&text),
                Passage { form: Form::Traceback | Form::Panic { .. }, .. } => None,
            }),
            (End::Trap | End::Exit, _) => None,
        }
    }

    fn begin(&mut self, form: Form, line: &str) {
        self.passage = Some(Passage { form, text: line.to_owned() });
    }

    /// A traceback that has been announced as the next one of a chain.
    fn is_chained(&self) -> bool {
        let passage = self.passage.as_ref().filter(|passage| matches!(passage.form, Form::Traceback));
        passage.is_some_and(|passage| python::announces_another(&passage.text))
    }

    fn end_passage(&mut self, survived: &mut impl FnMut(Raised)) {
        let Some(Passage { form: Form::Report(report), text }) = self.passage.take() else { return };
        let Some(raised) = report.read(&text) else { return };
        if report.fails_request() {
            // What follows from it is reported as well.
            self.reported.get_or_insert(raised);
        } else if self.survived < MAX_SURVIVED {
            self.survived += 1;
            survived(raised);
        }
    }
}

impl Passage {
    /// Adds a line. A passage that gets too long loses its middle: it begins and ends with what matters.
    fn push(&mut self, line: &str) {
        self.text.push('\n');
        self.text.push_str(line);
        if self.text.len() > 2 * MAX_PASSAGE {
            let first = self.text.floor_char_boundary(MAX_PASSAGE / 2);
            let last = self.text.ceil_char_boundary(self.text.len() - MAX_PASSAGE / 2);
            // Half a line might look like what begins a message.
            let last = self.text[last..].find('\n').map_or(last, |end| last + end + 1);
            self.text.replace_range(first..last, "\n  …\n");
        }
    }
}

#[cfg(test)]
mod tests;
