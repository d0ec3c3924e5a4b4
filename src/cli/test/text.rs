//! Cases as lines for people: what was expected (-) and what came (+), in place.

use pounce_telemetry::logs::one_line;
use pounce_telemetry::terminal::{Style, styled};

use crate::cases::{Failure, Line, Mark, Outcome, Report};

/// A line about a case, and below one that failed what is wrong.
pub(super) fn line(outcome: &Outcome, colour: bool) -> String {
    let mut text = String::new();
    let (word, style) = match outcome.failure {
        None => ("ok  ", Style::Green),
        Some(_) => ("FAIL", Style::Red),
    };
    let mut put = |part: &str, style| {
        let _infallible = styled(&mut text, part, style, colour);
    };
    put(word, Some(style));
    let took = outcome.took.as_secs_f64() * 1e3;
    put(&format!(" {} ", one_line(&outcome.name)), None);
    put(&format!("(line {}, {took:.1} ms)", outcome.line), Some(Style::Dim));
    put("\n", None);
    if let Some(failure) = &outcome.failure {
        for (line, style) in lines(failure) {
            put(&line, style);
            put("\n", None);
        }
    }
    text
}

/// What is wrong, a line each; much of it is what guests wrote.
pub(super) fn lines(failure: &Failure) -> Vec<(String, Option<Style>)> {
    let mut lines = Vec::new();
    let mut paragraph = |text: &str, style| {
        lines.extend(
            text.lines().map(|line| (format!("     {}", one_line(line)).trim_end().to_owned(), style)),
        );
    };
    for problem in &failure.problems {
        paragraph(problem, None);
    }
    for exception in &failure.exceptions {
        paragraph(&format!("exception {exception}"), None);
    }
    lines.extend(failure.lines.iter().map(marked));
    lines
}

/// The first line that differs, on its own: `- status = 500`.
pub(super) fn first_difference(failure: &Failure) -> String {
    let first = failure.lines.iter().find(|line| line.mark != Mark::Same);
    first.map_or_else(String::new, |line| {
        let (text, _) = marked(&Line { depth: 0, ..line.clone() });
        text.trim_start().to_owned()
    })
}

fn marked(line: &Line) -> (String, Option<Style>) {
    let Line { mark, depth, text, note } = line;
    let (sign, style) = match mark {
        Mark::Same => (' ', None),
        Mark::Missing => ('-', Some(Style::Red)),
        Mark::Extra => ('+', Some(Style::Green)),
    };
    let indent = "  ".repeat(*depth);
    let note = note.as_ref().map(|note| format!("    # {note}")).unwrap_or_default();
    (format!("   {sign} {indent}{}{}", one_line(text), one_line(&note)), style)
}

/// How many passed, and how long that took.
pub(super) fn summary(reports: &[Report]) -> String {
    let outcomes = || reports.iter().flat_map(|report| &report.outcomes);
    let failed = outcomes().filter(|outcome| outcome.failure.is_some()).count();
    let (all, took) =
        (outcomes().count(), reports.iter().map(|report| report.took).sum::<std::time::Duration>());
    let cases = if all == 1 { "case" } else { "cases" };
    match failed {
        0 => format!("\n{all} {cases} passed in {:.2} s\n", took.as_secs_f64()),
        failed => format!("\n{failed} of {all} {cases} failed in {:.2} s\n", took.as_secs_f64()),
    }
}

/// All cases, for a file.
pub(super) fn report(reports: &[Report]) -> String {
    let outcomes = reports.iter().flat_map(|report| &report.outcomes);
    outcomes.map(|outcome| line(outcome, false)).collect::<String>() + &summary(reports)
}
