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

/// What became of the spans, or of the log records, as the last words of the log tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Spans that ended, or records that were emitted.
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
        self.totals_of("spans ended")
    }

    /// Reads the line on log records likewise.
    pub(crate) fn log_totals(&self) -> Totals {
        self.totals_of("log records emitted")
    }

    fn totals_of(&self, first: &str) -> Totals {
        let line = self.stderr.lines().rfind(|line| line.contains(first));
        let line = line.unwrap_or_else(|| panic!("no totals of {first} at exit\n{self}"));
        // Each signal after a semicolon.
        let line = line.split(';').find(|part| part.contains(first)).unwrap_or(line);
        let sum = |word: &str| {
            let counts = line.match_indices(word).filter_map(|(at, _)| {
                let before = &line[..at];
                let digits = before.trim_end().rsplit(|c: char| !c.is_ascii_digit()).next()?;
                // Of `2000 more dropped beyond what a request may emit` nothing was emitted.
                digits.parse::<usize>().ok()
            });
            counts.sum()
        };
        Totals {
            ended: sum(first),
            exported: sum("exported"),
            rejected: sum("rejected"),
            dropped: sum("dropped"),
        }
    }
}

impl Exit {
    /// So many lines of the log, which is JSON, are the server's own and said while it could still export them.
    pub(crate) fn own_lines(&self) -> usize {
        let lines = self.stderr.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        let lines: Vec<serde_json::Value> = lines.collect();
        let is_last = |line: &serde_json::Value| {
            line["message"].as_str().is_some_and(|text| text.starts_with("draining for"))
        };
        let last = lines.iter().position(is_last).expect("it was told to stop");
        let is_own = |line: &&serde_json::Value| {
            let target = line["target"].as_str().unwrap_or_default();
            // What the exporter says stays here.
            target.starts_with("pounce") && !target.starts_with("pounce_otlp")
        };
        lines[..=last].iter().filter(is_own).count()
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Exit { code, stdout, stderr } = self;
        write!(f, "exit status {code:?}\n--- stdout\n{stdout}--- stderr\n{stderr}")
    }
}
