//! Reads case files: TOML with settings as in `pounce.toml`, and `[[case]]` tables.

mod fields;
mod http;
pub(crate) mod keys;
mod span;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;

use self::fields::{Reader, Table};
use super::expect::{Case, Mock, Times};
use crate::config::file::Places;
use crate::config::{ByteSize, Mistake, OutboundRule};

/// How long a case may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a guest may work on after its response before its spans are missed.
const LINGER: Duration = Duration::from_millis(250);
/// Bytes that a response may have.
const MAX_BODY: ByteSize = ByteSize(8 << 20);

/// What holds for cases that do not say otherwise.
struct Defaults {
    timeout: Duration,
    linger: Duration,
    max_body: ByteSize,
    mocks: Vec<Mock>,
    pass: Vec<OutboundRule>,
}

/// Reads the cases of a file, less what is settings.
///
/// # Errors
/// All mistakes; none where the text is no TOML, which whoever reads the settings has told.
pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<Case>, Vec<Mistake>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut reader = Reader { places: Places::new(text, path), folder };
    if let Some(error) = errors.first() {
        let what = format!("is not TOML here: {}", error.message());
        reader.mistake(error.span().unwrap_or(0..0), what, "write KEY = VALUE, with texts in quotes");
        return Err(reader.places.into_mistakes());
    }
    let cases = reader.file(table.get_ref());
    match reader.places.count() {
        0 => Ok(cases),
        _ => Err(reader.places.into_mistakes()),
    }
}

impl Reader<'_> {
    fn file<'t>(&mut self, table: &'t DeTable<'t>) -> Vec<Case> {
        // What else is there, the settings' reader knows.
        let file = Table { what: "the file", table };
        let defaults = Defaults {
            timeout: self.duration(file, "timeout").unwrap_or(TIMEOUT),
            linger: self.duration(file, "linger").unwrap_or(LINGER),
            max_body: self.parsed(file, "max-body", "\"1MiB\"").unwrap_or(MAX_BODY),
            mocks: self.mocks(file, "mock", Times::ANY),
            pass: self.all(file, "pass", "[\"http://127.0.0.1:*\"]"),
        };
        let Some(value) = file.get("case") else {
            let what = "there is no case in the file";
            self.mistake(0..0, what, "add one: [[case]], and below it name = \"…\" and request = \"GET /\"");
            return Vec::new();
        };
        let mut cases = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        for (at, table) in self.tables("case", value) {
            let Some(case) = self.case(at.clone(), table, &defaults) else { continue };
            match lines.get(&case.name) {
                Some(line) => {
                    let what = format!("line {line} has a case called \"{}\" already", case.name);
                    self.mistake(at, what, "give each a name of its own");
                }
                None => {
                    lines.insert(case.name.clone(), case.line);
                    cases.push(case);
                }
            }
        }
        cases
    }

    fn mocks(&mut self, of: Table<'_>, what: &'static str, times: Times) -> Vec<Mock> {
        let tables = of.get("mock").map(|value| self.tables(what, value)).unwrap_or_default();
        tables.into_iter().filter_map(|(at, table)| self.mock(at, table, times)).collect()
    }

    fn case<'t>(&mut self, at: Range<usize>, table: &'t DeTable<'t>, defaults: &Defaults) -> Option<Case> {
        let (line, _) = self.places.line_and_column(&at);
        let case = self.table("case", table, keys::CASE);
        let name = self.text(case, "name", "\"greets\"").map(|(name, _)| name.trim().to_owned());
        if name.as_ref().is_none_or(String::is_empty) && !(case.has("name") && name.is_none()) {
            self.mistake(at.clone(), "the case has no name", "add what it is about: name = \"greets\"");
        }
        let request = match case.get("request") {
            Some(value) => self.request(value),
            None => {
                self.mistake(at, "the case has no request", "add what is asked: request = \"GET /\"");
                None
            }
        };
        // The case's own come first: the first that fits answers.
        let mut mocks = self.mocks(case, "case.mock", Times::AT_LEAST_ONCE);
        mocks.extend(defaults.mocks.iter().cloned());
        let mut pass = self.all(case, "pass", "[\"http://127.0.0.1:*\"]");
        pass.extend(defaults.pass.iter().cloned());
        let response = case.get("response").map(|value| self.response(value));
        let max_body = self.parsed(case, "max-body", "\"1MiB\"").unwrap_or(defaults.max_body);
        let case = Case {
            name: name.unwrap_or_default(),
            line,
            request: request?,
            response: response.flatten(),
            spans: case.get("span").map(|value| self.spans(value)),
            logs: case.get("log").map(|value| self.logs(value)),
            mocks,
            pass,
            timeout: self.duration(case, "timeout").unwrap_or(defaults.timeout),
            linger: self.duration(case, "linger").unwrap_or(defaults.linger),
            max_body: usize::try_from(max_body.0).unwrap_or(usize::MAX),
        };
        Some(case)
    }
}
