//! Cases as TAP, version 13: a line each, and what is wrong as a comment block.

use pounce_telemetry::logs::one_line;

use super::text;
use crate::cases::Report;

pub(super) fn report(reports: &[Report]) -> String {
    let mut tests = 0;
    let mut tap = String::new();
    let mut test = |name: &str, at: String, diagnostic: Option<Vec<String>>| {
        tests += 1;
        let word = if diagnostic.is_some() { "not ok" } else { "ok" };
        // A number sign would begin a directive.
        let name = one_line(name).replace('\\', "\\\\").replace('#', "\\#");
        tap.push_str(&format!("{word} {tests} - {name}\n"));
        let Some(lines) = diagnostic else { return };
        // The indentation is said, as the first line may have more of it than those after it.
        tap.push_str(&format!("  ---\n  at: {}\n  diagnostic: |2\n", yaml(&at)));
        for line in lines {
            tap.push_str(format!("    {line}").trim_end());
            tap.push('\n');
        }
        tap.push_str("  ...\n");
    };
    for report in reports {
        let path = report.path.display().to_string();
        for outcome in &report.outcomes {
            let lines = |failure| text::lines(failure).into_iter().map(|(line, _)| line).collect();
            test(&outcome.name, format!("{path}:{}", outcome.line), outcome.failure.as_ref().map(lines));
        }
        if let Some(error) = &report.error {
            let lines = error.lines().map(|line| one_line(line).into_owned()).collect();
            test("the component is served", path, Some(lines));
        }
    }
    format!("TAP version 13\n1..{tests}\n{tap}")
}

/// A text of YAML in quotes, which are those of JSON.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
