//! Cases as TAP, version 13: a line each, and what is wrong as a comment block.

use pounce_telemetry::logs::one_line;

use super::text;
use crate::cases::Report;

pub(super) fn report(reports: &[Report]) -> String {
    let outcomes: Vec<_> = reports
        .iter()
        .flat_map(|report| report.outcomes.iter().map(move |outcome| (&report.path, outcome)))
        .collect();
    let mut tap = format!("TAP version 13\n1..{}\n", outcomes.len());
    for (number, (path, outcome)) in (1..).zip(outcomes) {
        let word = if outcome.failure.is_some() { "not ok" } else { "ok" };
        // A number sign would begin a directive.
        let name = one_line(&outcome.name).replace('\\', "\\\\").replace('#', "\\#");
        tap.push_str(&format!("{word} {number} - {name}\n"));
        let Some(failure) = &outcome.failure else { continue };
        tap.push_str("  ---\n");
        tap.push_str(&format!("  at: {}\n", yaml(&format!("{}:{}", path.display(), outcome.line))));
        // The indentation is said, as the first line may have more of it than those after it.
        tap.push_str("  diagnostic: |2\n");
        for (line, _) in text::lines(failure) {
            tap.push_str(format!("    {line}").trim_end());
            tap.push('\n');
        }
        tap.push_str("  ...\n");
    }
    if let Some(error) = reports.iter().find_map(|report| report.error.as_ref()) {
        tap.push_str(&format!("Bail out! {}\n", one_line(error.lines().next().unwrap_or_default())));
    }
    tap
}

/// A text of YAML in quotes, which are those of JSON.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
