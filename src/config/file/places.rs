//! Where things stand in a file of TOML, and what is wrong there.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::config::mistake::Mistake;
use crate::config::resolve::Source;

/// The text of a file, with the mistakes that were found in it.
pub(crate) struct Places<'a> {
    text: &'a str,
    /// None of a tree whose text is not known.
    path: Option<Arc<Path>>,
    /// Each with where it stands: tables are not kept in the order of the file.
    mistakes: Vec<(usize, Mistake)>,
}

impl<'a> Places<'a> {
    pub(crate) fn new(text: &'a str, path: &Path) -> Self {
        Self { text, path: Some(path.into()), mistakes: Vec::new() }
    }

    /// Places in a tree that was read elsewhere.
    pub(crate) fn unknown() -> Self {
        Self { text: "", path: None, mistakes: Vec::new() }
    }

    /// Notes what is wrong, and what to do about it.
    pub(crate) fn mistake(&mut self, at: Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        let place = match self.source(&at) {
            Source::Program => String::new(),
            source => source.to_string(),
        };
        self.mistakes.push((at.start, Mistake::new(place, what, hint)));
    }

    /// Mistakes so far.
    pub(crate) fn count(&self) -> usize {
        self.mistakes.len()
    }

    /// The line and the column where something begins, counted from 1.
    pub(crate) fn line_and_column(&self, at: &Range<usize>) -> (usize, usize) {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The place of something.
    pub(crate) fn source(&self, at: &Range<usize>) -> Source {
        let Some(path) = self.path.clone() else {
            return Source::Program;
        };
        let (line, column) = self.line_and_column(at);
        Source::File { path, line, column }
    }

    /// All mistakes, in the order of the file.
    pub(crate) fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by_key(|(position, _)| *position);
        self.mistakes.into_iter().map(|(_, mistake)| mistake).collect()
    }
}
