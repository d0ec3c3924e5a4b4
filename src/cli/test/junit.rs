//! Cases as JUnit XML, which CI systems show: a suite for each file.

use std::time::Duration;

use super::text;
use crate::cases::{Outcome, Report};

pub(super) fn report(reports: &[Report]) -> String {
    let outcomes = || reports.iter().flat_map(|report| &report.outcomes);
    let took = reports.iter().map(|report| report.took).sum();
    let errors = reports.iter().filter(|report| report.error.is_some()).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.push_str(&format!("<testsuites name=\"pounce test\"{}>\n", counts(outcomes(), errors, took)));
    for report in reports {
        let name = escaped(&report.path.display().to_string());
        let errors = usize::from(report.error.is_some());
        let counts = counts(report.outcomes.iter(), errors, report.took);
        xml.push_str(&format!("  <testsuite name=\"{name}\"{counts}>\n"));
        report.outcomes.iter().for_each(|outcome| case(&mut xml, &name, outcome));
        if let Some(error) = &report.error {
            let message = escaped(error.lines().next().unwrap_or_default());
            xml.push_str(&format!(
                "    <testcase name=\"the component is served\" classname=\"{name}\" file=\"{name}\" time=\"0\">\n      \
                 <error message=\"{message}\">{}</error>\n    </testcase>\n",
                escaped(error)
            ));
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn counts<'a>(outcomes: impl Iterator<Item = &'a Outcome> + Clone, errors: usize, took: Duration) -> String {
    let failed = outcomes.clone().filter(|outcome| outcome.failure.is_some()).count();
    let seconds = took.as_secs_f64();
    let all = outcomes.count() + errors;
    format!(" tests=\"{all}\" failures=\"{failed}\" errors=\"{errors}\" time=\"{seconds:.3}\"")
}

fn case(xml: &mut String, file: &str, outcome: &Outcome) {
    let (name, line, seconds) = (escaped(&outcome.name), outcome.line, outcome.took.as_secs_f64());
    xml.push_str(&format!(
        "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\" time=\"{seconds:.6}\""
    ));
    match &outcome.failure {
        None => xml.push_str("/>\n"),
        Some(failure) => {
            let lines: Vec<_> = text::lines(failure).into_iter().map(|(line, _)| line).collect();
            let problem = failure.problems.first().and_then(|problem| problem.lines().next());
            let message = escaped(&problem.map_or_else(|| text::first_difference(failure), str::to_owned));
            let text = escaped(&lines.join("\n"));
            xml.push_str(&format!(
                ">\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>\n"
            ));
        }
    }
}

/// A text that may stand in XML, in an attribute, too. What no XML may have is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            '\u{fffe}' | '\u{ffff}' => {}
            c if (c as u32) < 0x20 => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn no_text_breaks_out() {
        assert_eq!(escaped("<a b=\"&\">\u{1b}[2J\u{fffe}\n"), "&lt;a b=&quot;&amp;&quot;&gt;[2J\n");
    }
}
