//! `[[component]]`: what is served.

use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Reader, suggestion};
use crate::config::resolve::{Layer, Source};

/// A `[[component]]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) name: Option<String>,
    /// As written; relative to the file's folder.
    pub(crate) source: PathBuf,
    pub(crate) lazy: bool,
    /// What it says for itself of `[guest]` and `[otel]`.
    pub(crate) options: Layer,
    /// Where it begins.
    pub(crate) at: Source,
}

/// Keys of `[otel]` that say how telemetry leaves the server: one way for all components.
const SERVERS: [&str; 10] = [
    "endpoint",
    "exporter",
    "headers",
    "protocol",
    "compression",
    "certificate",
    "client-certificate",
    "client-key",
    "spool",
    "spool-max",
];

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
        for one in tables {
            if let Some(table) = one.get_ref().as_table() {
                self.component(one.span(), table);
            }
        }
    }

    fn component(&mut self, at: Range<usize>, table: &DeTable<'_>) {
        let at_source = self.source(&at);
        let mut component = Component {
            name: None,
            source: PathBuf::new(),
            lazy: false,
            options: Layer::new(),
            at: at_source,
        };
        let mut has_source = false;
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            has_source |= name == "source";
            match (name, value.get_ref()) {
                ("name" | "source", value) if value.as_str().is_some_and(|text| !text.is_empty()) => {
                    let text = value.as_str().unwrap_or_default();
                    match name {
                        "name" => component.name = Some(text.to_owned()),
                        _ => component.source = PathBuf::from(text),
                    }
                }
                ("name" | "source", _) => {
                    let what = format!("`component.{name}` must be a text that is not empty");
                    self.mistake(value.span(), what, format!("write for example {name} = \"hello\""));
                }
                ("lazy", DeValue::Boolean(lazy)) => component.lazy = *lazy,
                ("lazy", _) => {
                    let what = "`component.lazy` must be true or false";
                    self.mistake(
                        value.span(),
                        what,
                        "write lazy = true for one that is loaded when it is asked for",
                    );
                }
                (section @ ("guest" | "otel"), DeValue::Table(own)) => {
                    let section = if section == "guest" { "guest" } else { "otel" };
                    for (key, value) in own {
                        self.own(section, key, value, &mut component.options);
                    }
                }
                _ => match self.home_among(name, &["guest", "otel"]) {
                    Some(section) => self.own(section, key, value, &mut component.options),
                    None => {
                        let hint = match self.home_of(name) {
                            Some(home) => format!("write it under [{home}]: it is for all components"),
                            None => suggestion(name, ["name", "source", "lazy"], |near| format!("`{near}`")),
                        };
                        self.mistake(key.span(), format!("unknown key `component.{name}`"), hint);
                    }
                },
            }
        }
        match has_source {
            true if component.source.as_os_str().is_empty() => {}
            true => self.said.components.push(component),
            false => self.mistake(
                at,
                "the component has no source",
                "add the path of its file: source = \"app.wasm\"",
            ),
        }
    }

    /// A key of `section` that a component has for itself.
    fn own(
        &mut self,
        section: &'static str,
        key: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        into: &mut Layer,
    ) {
        if section == "otel" && SERVERS.contains(&key.get_ref().as_ref()) {
            let what = format!("`otel.{}` is for all components", key.get_ref());
            return self.mistake(key.span(), what, "write it under [otel]");
        }
        if let Some((key, given)) = self.given(section, key, value) {
            into.insert(key, given);
        }
    }
}
