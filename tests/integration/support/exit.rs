//! How the server ended, and what its last words mean.

use std::fmt::Write as _;

/// How it ended and all that it printed.
pub(crate) struct Exit {
    /// Exit status; none when a signal killed it.
    pub(crate) code: Option<i32>,
    /// All of stdout.
    pub(crate) stdout: String,
    /// All of stderr.
    pub(crate) stderr: String,
}

impl Exit {
    /// Fails unless it ended with `code` and said each of `parts` on stderr, in any case; `a|b` is either.
    pub(crate) fn expect(&self, code: i32, parts: &[&str]) {
        let mut wrong = String::new();
        if self.code != Some(code) {
            writeln!(wrong, "exit status should be {code}").unwrap();
        }
        let said = self.stderr.to_lowercase();
        let is_said = |part: &str| part.split('|').any(|part| said.contains(&part.to_lowercase()));
        for part in parts.iter().filter(|part| !is_said(part)) {
            writeln!(wrong, "stderr should contain {part:?}").unwrap();
        }
        assert!(wrong.is_empty(), "{wrong}{self}");
    }
}

/// What became of the spans, as the last words of the log tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Spans that ended.
    pub(crate) ended: usize,
    /// Taken by the endpoint.
    pub(crate) exported: usize,
    /// Refused by the endpoint within an accepted export.
    pub(crate) rejected: usize,
    /// Never arrived, for all reasons.
    pub(crate) dropped: usize,
}

impl Exit {
    /// Reads `10 spans ended, 7 exported, 1 rejected …, 2 dropped …` from stderr.
    pub(crate) fn totals(&self) -> Totals {
        let line = self.stderr.lines().rfind(|line| line.contains("spans ended"));
        let line = line.unwrap_or_else(|| panic!("no totals of spans at exit\n{self}"));
        // Log records and metrics follow, each after a semicolon.
        let line = line.split(';').next().unwrap_or(line);
        let sum = |word: &str| {
            let counts = line.match_indices(word).map(|(at, _)| {
                let digits = line[..at].trim_end();
                let from = digits.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
                digits[from..]
                    .parse::<usize>()
                    .unwrap_or_else(|_| panic!("a count before {word:?} in {line}"))
            });
            counts.sum()
        };
        Totals {
            ended: sum("spans ended"),
            exported: sum("exported"),
            rejected: sum("rejected"),
            dropped: sum("dropped"),
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Exit { code, stdout, stderr } = self;
        write!(f, "exit status {code:?}\n--- stdout\n{stdout}--- stderr\n{stderr}")
    }
}
