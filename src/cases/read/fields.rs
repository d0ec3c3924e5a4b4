//! Keys of a table as the values that they stand for; what they are not is noted with its place.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use pounce_telemetry::logs::one_line;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::values;
use crate::cases::expect::{Times, Want};
use crate::cases::pattern::Pattern;
use crate::config::file::{Places, kind, suggestion};
use crate::config::{Invalid, content, read_duration};

/// Bytes of a file that is a body.
const MAX_BODY_FILE: u64 = 64 << 20;
/// How often something may be expected: whatever a guest does, its spans are fewer.
const MOST_TIMES: i64 = 10_000;

pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// A file that is read.
pub(super) struct Reader<'a> {
    pub(super) places: Places<'a>,
    pub(super) folder: PathBuf,
}

/// A table, and what it is called in messages: `case.request`.
#[derive(Clone, Copy)]
pub(super) struct Table<'t> {
    pub(super) what: &'static str,
    pub(super) table: &'t DeTable<'t>,
}

impl<'t> Table<'t> {
    pub(super) fn get(&self, key: &str) -> Option<&'t Value<'t>> {
        self.table.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }
}

impl Reader<'_> {
    pub(super) fn mistake(&mut self, at: Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        self.places.mistake(at, what, hint);
    }

    /// Says that a value is of the wrong kind; `example` is a right one.
    pub(super) fn wrong(&mut self, what: &str, value: &Value<'_>, example: &str) {
        let what = format!("`{what}` can't be {}", said(value.get_ref()));
        self.mistake(value.span(), what, format!("write for example {example}"));
    }

    /// A table with these keys, and no other.
    pub(super) fn table<'t>(
        &mut self,
        what: &'static str,
        table: &'t DeTable<'t>,
        keys: &[&str],
    ) -> Table<'t> {
        for key in table.keys().filter(|key| !keys.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref().as_ref();
            let hint = suggestion(name, keys.iter().copied(), |near| format!("`{near}`"));
            self.mistake(key.span(), format!("unknown key `{what}.{name}`"), hint);
        }
        Table { what, table }
    }

    /// The elements of a list, or one by itself.
    pub(super) fn list<'t>(value: &'t Value<'t>) -> Vec<&'t Value<'t>> {
        match value.get_ref() {
            DeValue::Array(list) => list.iter().collect(),
            _ => vec![value],
        }
    }

    /// A list of tables, written `[[what]]`.
    pub(super) fn tables<'t>(
        &mut self,
        what: &'static str,
        value: &'t Value<'t>,
    ) -> Vec<(Range<usize>, &'t DeTable<'t>)> {
        let tables: Option<Vec<_>> = value
            .get_ref()
            .as_array()
            .and_then(|list| list.iter().map(|one| Some((one.span(), one.get_ref().as_table()?))).collect());
        tables.unwrap_or_else(|| {
            let name = what.rsplit('.').next().unwrap_or(what);
            self.mistake(value.span(), format!("`{name}` is a list of tables"), format!("write [[{what}]]"));
            Vec::new()
        })
    }

    pub(super) fn text<'t>(
        &mut self,
        of: Table<'t>,
        key: &str,
        example: &str,
    ) -> Option<(&'t str, Range<usize>)> {
        let value = of.get(key)?;
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong(&format!("{}.{key}", of.what), value, &format!("{key} = {example}"));
        }
        text.map(|text| (text, value.span()))
    }

    pub(super) fn pattern(&mut self, of: Table<'_>, key: &str, example: &str) -> Option<Pattern> {
        self.text(of, key, example).map(|(text, _)| Pattern::new(text))
    }

    pub(super) fn bool(&mut self, of: Table<'_>, key: &str) -> bool {
        match of.get(key).map(|value| (value, value.get_ref().as_bool())) {
            Some((_, Some(value))) => value,
            Some((value, None)) => {
                self.wrong(&format!("{}.{key}", of.what), value, &format!("{key} = true"));
                false
            }
            None => false,
        }
    }

    /// A text that is read as `T`.
    pub(super) fn parsed<T>(&mut self, of: Table<'_>, key: &str, example: &str) -> Option<T>
    where
        T: FromStr<Err = Invalid>,
    {
        let (text, at) = self.text(of, key, example)?;
        text.parse().map_err(|invalid| self.invalid(of.what, key, text, at, &invalid)).ok()
    }

    fn invalid(&mut self, of: &str, key: &str, text: &str, at: Range<usize>, invalid: &Invalid) {
        let Invalid { what, hint } = invalid;
        self.mistake(at, format!("{of}.{key}: `{text}` {what}"), hint.clone());
    }

    /// A length of time; none for one that has no end.
    pub(super) fn duration(&mut self, of: Table<'_>, key: &str) -> Option<Duration> {
        let (text, at) = self.text(of, key, "\"5s\"")?;
        match read_duration(text) {
            // There is time for nothing without a timeout; the others may be nothing.
            Ok(duration) if key != "timeout" || !duration.is_zero() => Some(duration),
            Err(invalid) if text != "none" => {
                self.invalid(of.what, key, text, at, &invalid);
                None
            }
            _ => {
                let what = format!("`{}.{key}` has to have an end", of.what);
                self.mistake(at, what, format!("write for example {key} = \"5s\""));
                None
            }
        }
    }

    /// Texts that are each read as `T`.
    pub(super) fn all<T: FromStr<Err = Invalid>>(
        &mut self,
        of: Table<'_>,
        key: &str,
        example: &str,
    ) -> Vec<T> {
        let mut all = Vec::new();
        for value in of.get(key).map(Self::list).unwrap_or_default() {
            match value.get_ref().as_str() {
                None => self.wrong(&format!("{}.{key}", of.what), value, &format!("{key} = {example}")),
                Some(text) => match text.parse() {
                    Ok(one) => all.push(one),
                    Err(invalid) => self.invalid(of.what, key, text, value.span(), &invalid),
                },
            }
        }
        all
    }

    /// Texts.
    pub(super) fn texts(&mut self, of: Table<'_>, key: &str, example: &str) -> Vec<(String, Range<usize>)> {
        let mut texts = Vec::new();
        for value in of.get(key).map(Self::list).unwrap_or_default() {
            match value.get_ref().as_str() {
                Some(text) => texts.push((text.to_owned(), value.span())),
                None => self.wrong(&format!("{}.{key}", of.what), value, &format!("{key} = {example}")),
            }
        }
        texts
    }

    /// One of these words.
    pub(super) fn word(&mut self, of: Table<'_>, key: &str, words: &[&'static str]) -> Option<&'static str> {
        let (text, at) = self.text(of, key, &format!("\"{}\"", words[0]))?;
        let known = words.iter().copied().find(|word| *word == text);
        if known.is_none() {
            let hint = suggestion(text, words.iter().copied(), |near| format!("\"{near}\""));
            self.mistake(at, format!("`{}.{key}` can't be \"{text}\"", of.what), hint);
        }
        known
    }

    /// How often something is expected, where that is said.
    pub(super) fn times(&mut self, of: Table<'_>) -> Option<Times> {
        let count = |reader: &mut Self, key: &str| {
            let value = of.get(key)?;
            let count = values::integer(value.get_ref()).filter(|count| (0..=MOST_TIMES).contains(count));
            if count.is_none() {
                let what = format!("`{}.{key}` is no number from 0 to {MOST_TIMES}", of.what);
                reader.mistake(value.span(), what, format!("write for example {key} = 2"));
            }
            usize::try_from(count?).ok()
        };
        let [times, least, most] = ["times", "at-least", "at-most"].map(|key| count(self, key));
        if let Some(value) = of.get("times").filter(|_| of.has("at-least") || of.has("at-most")) {
            let what = format!("`{}.times` is both bounds at once", of.what);
            self.mistake(value.span(), what, "take it out, or `at-least` and `at-most`");
        }
        if let (Some(least), Some(most), Some(value)) = (least, most, of.get("at-most"))
            && most < least
        {
            let what = format!("at most {most} times is less than at least {least} times");
            self.mistake(value.span(), what, "swap the two");
        }
        match (times, least, most) {
            (Some(times), _, _) => Some(Times { least: times, most: times }),
            (None, None, None) => None,
            (None, least, most) => {
                Some(Times { least: least.unwrap_or(0), most: most.unwrap_or(usize::MAX) })
            }
        }
    }

    /// Names with what each is to be.
    pub(super) fn wants(&mut self, of: Table<'_>, key: &str) -> Vec<(String, Want)> {
        let Some(value) = of.get(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            let example = format!("{key} = {{ \"user.id\" = 7, \"http.route\" = \"/users/*\" }}");
            self.wrong(&format!("{}.{key}", of.what), value, &example);
            return Vec::new();
        };
        values::wants(table)
    }

    /// Header fields with the patterns of their values.
    pub(super) fn header_patterns(&mut self, of: Table<'_>) -> Vec<(HeaderName, Pattern)> {
        let fields = self.header_fields(of, "{ content-type = \"text/*\" }");
        fields.into_iter().map(|(name, text, _)| (name, Pattern::new(&text))).collect()
    }

    /// Header fields.
    pub(super) fn headers(&mut self, of: Table<'_>) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        for (name, text, at) in self.header_fields(of, "{ accept = \"text/plain\" }") {
            match HeaderValue::try_from(&*text) {
                Ok(value) => headers.push((name, value)),
                Err(_) => self.mistake(
                    at,
                    format!("`{}.headers.{name}` is no value of a header", of.what),
                    "take line breaks and control characters out",
                ),
            }
        }
        headers
    }

    fn header_fields(&mut self, of: Table<'_>, example: &str) -> Vec<(HeaderName, String, Range<usize>)> {
        let Some(value) = of.get("headers") else { return Vec::new() };
        let what = format!("{}.headers", of.what);
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(&what, value, &format!("headers = {example}"));
            return Vec::new();
        };
        let mut fields = Vec::new();
        for (key, value) in table {
            let Some(name) = self.header_name(key.get_ref(), key.span()) else { continue };
            for one in Self::list(value) {
                match crate::config::file::scalar(one.get_ref()) {
                    Some(text) => fields.push((name.clone(), text, one.span())),
                    None => self.wrong(&format!("{what}.{name}"), one, &format!("headers = {example}")),
                }
            }
        }
        fields
    }

    pub(super) fn header_name(&mut self, name: &str, at: Range<usize>) -> Option<HeaderName> {
        let read = HeaderName::try_from(name).ok();
        if read.is_none() {
            let what = format!("`{name}` is no name of a header");
            self.mistake(at, what, "write a name such as content-type, of letters, digits and dashes");
        }
        read
    }

    /// The bytes of the file that a key names.
    pub(super) fn body_file(&mut self, of: Table<'_>) -> Option<Bytes> {
        let (name, at) = self.text(of, "body-file", "\"body.json\"")?;
        let path = self.folder.join(Path::new(name));
        // Others may keep who opens them waiting for ever.
        let is_other = std::fs::metadata(&path).is_ok_and(|there| !there.is_file());
        let read = if is_other { None } else { Some(content::read(&path, MAX_BODY_FILE)) };
        let (problem, hint) = match read {
            None => ("is no regular file".to_owned(), "name a file that holds the body's bytes"),
            Some(Ok(bytes)) => return Some(bytes.into()),
            Some(Err(error @ content::Unread::TooLarge(_))) => {
                (error.to_string(), "name a smaller file: a case tells as much with less")
            }
            Some(Err(error)) => {
                (error.to_string(), "name a file that is there; its path starts at the folder of this one")
            }
        };
        self.mistake(at, format!("`{}` {problem}", one_line(&path.display().to_string())), hint);
        None
    }

    /// Says so where a table has more than one of these keys.
    pub(super) fn only_one(&mut self, of: Table<'_>, keys: &[&str]) {
        let mut there = keys.iter().filter(|key| of.has(key));
        if let (Some(first), Some(second)) = (there.next(), there.next())
            && let Some(value) = of.get(second)
        {
            let what = format!("`{}` has both `{first}` and `{second}`", of.what);
            self.mistake(value.span(), what, "take one of them out");
        }
    }
}

/// What a value is, for messages.
fn said(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "a text".to_owned(),
        DeValue::Integer(_) | DeValue::Float(_) => "a number".to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        other => kind(other).to_owned(),
    }
}
