//! `[[component]]`: what is served.

use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Reader, suggestion};

/// A `[[component]]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) name: Option<String>,
    /// As written; relative to the file's folder.
    pub(crate) source: PathBuf,
}

impl Reader<'_> {
    pub(super) fn components(&mut self, value: &Spanned<DeValue<'_>>) {
        let tables: Option<Vec<_>> = value.get_ref().as_array().map(|array| array.iter().collect());
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
            self.mistake(second.span(), "more than one component is not yet supported", hint);
        }
        if let Some((first, table)) =
            tables.first().and_then(|first| Some((first, first.get_ref().as_table()?)))
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
                    self.mistake(value.span(), what, format!("write for example {key_name} = \"hello\""));
                }
                ("name", Some(text)) => name = Some(text.to_owned()),
                ("source", Some(text)) => source = Some(PathBuf::from(text)),
                _ => match self.home_of(key_name).filter(|home| matches!(*home, "guest" | "otel")) {
                    Some(home) => {
                        let what = format!("`{key_name}` for a single component is not yet supported");
                        self.mistake(key.span(), what, format!("write it under [{home}]"));
                    }
                    None => {
                        let hint = suggestion(key_name, ["name", "source"], |near| format!("`{near}`"));
                        self.mistake(key.span(), format!("unknown key `component.{key_name}`"), hint);
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
