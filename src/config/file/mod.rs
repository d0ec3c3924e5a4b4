//! `pounce.toml`: what it says, with the line and column of everything.

mod component;
mod places;
mod route;
#[cfg(test)]
mod tests;
mod values;

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(crate) use component::Component;
pub(crate) use places::Places;
use values::texts;
pub(crate) use values::{kind, text as scalar};

use super::content;
use super::declared::Declared;
use super::mistake::Mistake;
use super::options;
use super::resolve::{Given, Layer, Source};
use super::route::Route;
use super::suggest::nearest;

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) options: Layer,
    pub(crate) components: Vec<Component>,
    pub(crate) routes: Vec<Route>,
    /// Where the first of them stands.
    pub(crate) routes_at: Option<Source>,
    pub(crate) mistakes: Vec<Mistake>,
}

/// Reads the file at `path`.
pub(crate) fn read(path: &Path) -> Said {
    match content::read_text(path) {
        Ok(text) => parse(&text, path, &[]),
        Err(error) => {
            let hint = "check the path of --config (or POUNCE_CONFIG) and the file's permissions";
            let mistake = Mistake::new(path.display().to_string(), error.to_string(), hint);
            Said { mistakes: vec![mistake], ..Said::default() }
        }
    }
}

/// Reads the text of the file at `path`; keys `beside` the settings are read elsewhere.
pub(crate) fn parse(text: &str, path: &Path, beside: &[&str]) -> Said {
    let mut reader = Reader { places: Places::new(text, path), said: Said::default(), beside };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let what = format!("is not TOML here: {}", error.message());
        reader.mistake(error.span().unwrap_or(0..0), what, "write KEY = VALUE, with texts in quotes");
    }
    // What follows a syntax error may be read wrongly: no further mistakes are worth telling.
    if errors.is_empty() {
        reader.document(table.get_ref());
    }
    reader.finish()
}

/// Reads settings that were read from a text elsewhere.
pub(crate) fn of_table(table: &DeTable<'_>) -> Said {
    let mut reader = Reader { places: Places::unknown(), said: Said::default(), beside: &[] };
    reader.document(table);
    reader.finish()
}

struct Reader<'a> {
    places: Places<'a>,
    said: Said,
    beside: &'a [&'a str],
}

impl Reader<'_> {
    fn finish(self) -> Said {
        Said { mistakes: self.places.into_mistakes(), ..self.said }
    }

    fn mistake(&mut self, at: Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        self.places.mistake(at, what, hint);
    }

    fn source(&self, at: &Range<usize>) -> Source {
        self.places.source(at)
    }

    fn document(&mut self, document: &DeTable<'_>) {
        let mut sections: Vec<&str> = options::all().map(|option| option.section).collect();
        sections.dedup();
        for (key, value) in document {
            let name = key.get_ref().as_ref();
            if sections.contains(&name) {
                match value.get_ref() {
                    DeValue::Table(table) => self.section(name, table),
                    _ => self.mistake(
                        key.span(),
                        format!("`{name}` is a section"),
                        format!("write [{name}] on a line of its own, and its keys below"),
                    ),
                }
            } else if name == "component" {
                self.components(value);
            } else if name == "route" {
                self.routes(value);
            } else if !self.beside.contains(&name) {
                let hint = match self.home_of(name) {
                    Some(home) => format!("write it under [{home}]"),
                    None => {
                        let lists = ["component", "route"].into_iter().chain(self.beside.iter().copied());
                        suggestion(name, sections.iter().copied().chain(lists), |near| match near {
                            "component" | "route" | "case" | "mock" => format!("[[{near}]]"),
                            near if sections.contains(&near) => format!("[{near}]"),
                            near => format!("`{near}`"),
                        })
                    }
                };
                self.mistake(key.span(), format!("unknown key `{name}`"), hint);
            }
        }
    }

    /// The section of a key that stands outside of one.
    fn home_of(&self, name: &str) -> Option<&'static str> {
        options::all().find(|option| option.name() == name).map(|option| option.section)
    }

    /// The one among `sections` that has a key of this name.
    fn home_among(&self, name: &str, sections: &[&str]) -> Option<&'static str> {
        let is_here = |option: &&Declared| sections.contains(&option.section) && option.name() == name;
        options::all().find(is_here).map(|option| option.section)
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            if let Some((key, given)) = self.given(section, key, value) {
                self.said.options.insert(key, given);
            }
        }
    }

    /// What `key` of `section` is set to; none where that is a mistake.
    fn given(
        &mut self,
        section: &str,
        key: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<(String, Given)> {
        let name = key.get_ref().as_ref();
        let Some(option) = options::all().find(|option| option.section == section && option.name() == name)
        else {
            let here: Vec<String> = options::all()
                .filter(|option| option.section == section)
                .map(|option| option.name())
                .collect();
            let hint = match self.home_of(name) {
                Some(home) => format!("write it under [{home}]"),
                None => suggestion(name, here.iter().map(String::as_str), |near| format!("`{near}`")),
            };
            self.mistake(key.span(), format!("unknown key `{section}.{name}`"), hint);
            return None;
        };
        match texts(value.get_ref(), option.list) {
            Ok(texts) => Some((option.key(), Given { texts, source: self.source(&value.span()) })),
            Err(expected) => {
                let what = format!("`{}` is {}, not {expected}", option.key(), kind(value.get_ref()));
                let example = option.assignment();
                self.mistake(value.span(), what, format!("write for example {example}"));
                None
            }
        }
    }
}

/// What to do about an unknown word.
pub(crate) fn suggestion<'k>(
    unknown: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
    show: impl Fn(&str) -> String,
) -> String {
    match nearest(unknown, known.clone()) {
        Some(near) => format!("did you mean {}?", show(near)),
        None => {
            format!("take it out; known are {}", known.into_iter().map(show).collect::<Vec<_>>().join(", "))
        }
    }
}
