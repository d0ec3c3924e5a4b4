//! `pounce.toml`: what it says, with the line and column of everything.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::Mistake;
use super::options;
use super::resolve::{Given, Layer, Source};
use super::suggest::nearest;

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) options: Layer,
    pub(crate) component: Option<Component>,
    pub(crate) mistakes: Vec<Mistake>,
}

/// A `[[component]]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) name: Option<String>,
    /// As written; relative to the file's folder.
    pub(crate) source: PathBuf,
}

/// Sections and tables of the design that are not built yet.
const LATER: [&str; 2] = ["admin", "route"];

/// Reads the file at `path`.
pub(crate) fn read(path: &Path) -> Said {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path),
        Err(error) => {
            let hint = "check the path of --config (or POUNCE_CONFIG) and the file's permissions";
            let mistake = Mistake::new(
                path.display().to_string(),
                format!("can't be read: {error}"),
                hint,
            );
            Said {
                mistakes: vec![mistake],
                ..Said::default()
            }
        }
    }
}

/// Reads the text of the file at `path`.
pub(crate) fn parse(text: &str, path: &Path) -> Said {
    let mut reader = Reader {
        text,
        path: path.into(),
        said: Said::default(),
        positions: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let what = format!("is not TOML here: {}", error.message());
        reader.mistake(
            error.span().unwrap_or(0..0),
            what,
            "write KEY = VALUE, with texts in quotes",
        );
    }
    // What follows a syntax error may be read wrongly: no further mistakes are worth telling.
    if errors.is_empty() {
        reader.document(table.get_ref());
    }
    reader.finish()
}

struct Reader<'a> {
    text: &'a str,
    path: Arc<Path>,
    said: Said,
    /// Where each mistake stands: tables are not kept in the order of the file.
    positions: Vec<usize>,
}

impl Reader<'_> {
    fn finish(self) -> Said {
        let mut placed: Vec<_> = self.positions.into_iter().zip(self.said.mistakes).collect();
        placed.sort_by_key(|(position, _)| *position);
        Said {
            mistakes: placed.into_iter().map(|(_, mistake)| mistake).collect(),
            ..self.said
        }
    }

    fn mistake(&mut self, at: Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        let place = self.source(&at).to_string();
        self.said.mistakes.push(Mistake::new(place, what, hint));
        self.positions.push(at.start);
    }

    fn source(&self, at: &Range<usize>) -> Source {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Source::File {
            path: Arc::clone(&self.path),
            line,
            column,
        }
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
            } else if LATER.contains(&name) {
                let what = format!("`{name}` is not yet supported");
                self.mistake(
                    key.span(),
                    what,
                    "take it out; this version serves one component on every path",
                );
            } else {
                let hint = match self.home_of(name) {
                    Some(home) => format!("write it under [{home}]"),
                    None => suggestion(
                        name,
                        sections.iter().copied().chain(["component"]),
                        |near| {
                            if near == "component" {
                                "[[component]]".to_owned()
                            } else {
                                format!("[{near}]")
                            }
                        },
                    ),
                };
                self.mistake(key.span(), format!("unknown key `{name}`"), hint);
            }
        }
    }

    /// The section of a key that stands outside of one.
    fn home_of(&self, name: &str) -> Option<&'static str> {
        options::all()
            .find(|option| option.name() == name)
            .map(|option| option.section)
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let Some(option) =
                options::all().find(|option| option.section == section && option.name() == name)
            else {
                let here: Vec<String> = options::all()
                    .filter(|option| option.section == section)
                    .map(|option| option.name())
                    .collect();
                let hint = match self.home_of(name) {
                    Some(home) => format!("write it under [{home}]"),
                    None => suggestion(name, here.iter().map(String::as_str), |near| {
                        format!("`{near}`")
                    }),
                };
                self.mistake(key.span(), format!("unknown key `{section}.{name}`"), hint);
                continue;
            };
            match texts(value.get_ref(), option.list) {
                Ok(texts) => {
                    let source = self.source(&value.span());
                    self.said
                        .options
                        .insert(option.key(), Given { texts, source });
                }
                Err(expected) => {
                    let what = format!(
                        "`{}` is {}, not {expected}",
                        option.key(),
                        kind(value.get_ref())
                    );
                    let example = option.assignment();
                    self.mistake(value.span(), what, format!("write for example {example}"));
                }
            }
        }
    }

    fn components(&mut self, value: &Spanned<DeValue<'_>>) {
        let tables: Option<Vec<_>> = value
            .get_ref()
            .as_array()
            .map(|array| array.iter().collect());
        let tables = tables.filter(|tables| tables.iter().all(|table| table.get_ref().is_table()));
        let Some(tables) = tables else {
            self.mistake(
                value.span(),
                "`component` is a list of tables",
                "write [[component]], with two brackets",
            );
            return;
        };
        if let Some(second) = tables.get(1) {
            let hint = "keep one [[component]], and serve the others with a pounce of their own";
            self.mistake(
                second.span(),
                "more than one component is not yet supported",
                hint,
            );
        }
        if let Some((first, table)) = tables
            .first()
            .and_then(|first| Some((first, first.get_ref().as_table()?)))
        {
            self.component(first.span(), table);
        }
    }

    fn component(&mut self, at: Range<usize>, table: &DeTable<'_>) {
        let (mut name, mut source) = (None, None);
        let mut has_source = false;
        for (key, value) in table {
            let key_name = key.get_ref().as_ref();
            has_source |= key_name == "source";
            match (key_name, value.get_ref().as_str()) {
                ("name" | "source", None | Some("")) => {
                    let what = format!("`component.{key_name}` must be a text that is not empty");
                    self.mistake(
                        value.span(),
                        what,
                        format!("write for example {key_name} = \"hello\""),
                    );
                }
                ("name", Some(text)) => name = Some(text.to_owned()),
                ("source", Some(text)) => source = Some(PathBuf::from(text)),
                _ => match self
                    .home_of(key_name)
                    .filter(|home| matches!(*home, "guest" | "otel"))
                {
                    Some(home) => {
                        let what =
                            format!("`{key_name}` for a single component is not yet supported");
                        self.mistake(key.span(), what, format!("write it under [{home}]"));
                    }
                    None => {
                        let hint =
                            suggestion(key_name, ["name", "source"], |near| format!("`{near}`"));
                        self.mistake(
                            key.span(),
                            format!("unknown key `component.{key_name}`"),
                            hint,
                        );
                    }
                },
            }
        }
        match source {
            Some(source) => self.said.component = Some(Component { name, source }),
            None if has_source => {}
            None => self.mistake(
                at,
                "the component has no source",
                "add the path of its file: source = \"app.wasm\"",
            ),
        }
    }
}

fn suggestion<'k>(
    unknown: &str,
    known: impl IntoIterator<Item = &'k str> + Clone,
    show: impl Fn(&str) -> String,
) -> String {
    match nearest(unknown, known.clone()) {
        Some(near) => format!("did you mean {}?", show(near)),
        None => format!(
            "take it out; known are {}",
            known.into_iter().map(show).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// A value as the texts it would be typed as; else what was expected.
fn texts(value: &DeValue<'_>, list: bool) -> Result<Vec<String>, &'static str> {
    match value {
        DeValue::Array(items) if list => items
            .iter()
            .map(|item| text(item.get_ref()).ok_or("a list of texts"))
            .collect(),
        value => match text(value) {
            Some(text) => Ok(vec![text]),
            None if list => Err("a list of texts"),
            None => Err("a text or a number"),
        },
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) => Some(
            match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => number.to_string(),
                Err(_) => number.as_str().to_owned(),
            },
        ),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
        DeValue::Datetime(_) => "a date",
        _ => "a value",
    }
}
