//! The last lines that a guest wrote for one request, kept for who develops it.

use std::collections::VecDeque;

use crate::value::shortened;

/// Lines that are kept, and bytes of each.
const MAX_LINES: usize = 40;
const MAX_LINE: usize = 1024;

/// The last lines that a guest wrote for one request.
#[derive(Debug, Default)]
pub(crate) struct Output {
    lines: VecDeque<OutputLine>,
    left_out: usize,
}

/// A line that a guest wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLine {
    /// It went to standard error.
    pub is_stderr: bool,
    /// Without its end; cut to 1 KiB.
    pub text: String,
}

impl Output {
    pub(super) fn hear(&mut self, is_stderr: bool, line: &str) {
        if self.lines.len() == MAX_LINES {
            self.lines.pop_front();
            self.left_out += 1;
        }
        self.lines.push_back(OutputLine { is_stderr, text: shortened(line, MAX_LINE).to_owned() });
    }

    /// The lines that are left, the first of them first, and how many came before.
    pub(super) fn lines(&self) -> (Vec<OutputLine>, usize) {
        (self.lines.iter().cloned().collect(), self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept() {
        let mut output = Output::default();
        (0..100).for_each(|n| output.hear(n % 2 == 1, &n.to_string()));
        output.hear(false, &"ä".repeat(MAX_LINE));
        let (lines, left_out) = output.lines();
        assert_eq!((lines.len(), left_out), (MAX_LINES, 101 - MAX_LINES));
        assert_eq!(lines[0], OutputLine { is_stderr: true, text: "61".to_owned() });
        assert_eq!(lines[MAX_LINES - 1].text.len(), MAX_LINE);
    }
}
