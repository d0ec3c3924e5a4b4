//! `[[route]]`: which requests a component serves.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Reader, suggestion};
use crate::config::Invalid;
use crate::config::route::{self, Route};

const KEYS: [&str; 4] = ["component", "host", "path", "method"];

impl Reader<'_> {
    pub(super) fn routes(&mut self, value: &Spanned<DeValue<'_>>) {
        let tables: Option<Vec<_>> = value.get_ref().as_array().map(|array| array.iter().collect());
        let tables = tables.filter(|tables| tables.iter().all(|table| table.get_ref().is_table()));
        let Some(tables) = tables else {
            return self.mistake(
                value.span(),
                "`route` is a list of tables",
                "write [[route]], with two brackets",
            );
        };
        for one in tables {
            if let Some(table) = one.get_ref().as_table() {
                self.route(one.span(), table);
            }
        }
    }

    fn route(&mut self, at: Range<usize>, table: &DeTable<'_>) {
        let mut route = Route::to(String::new());
        let before = self.places.count();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let text = value.get_ref().as_str().filter(|text| !text.is_empty());
            let Some(text) = text.filter(|_| KEYS.contains(&name)) else {
                if KEYS.contains(&name) {
                    let what = format!("`route.{name}` must be a text that is not empty");
                    self.mistake(value.span(), what, "write for example path = \"/items/{id}\"");
                } else {
                    let hint = suggestion(name, KEYS, |near| format!("`{near}`"));
                    self.mistake(key.span(), format!("unknown key `route.{name}`"), hint);
                }
                continue;
            };
            let read = match name {
                "component" => {
                    route.component = text.to_owned();
                    Ok(())
                }
                "host" => route::read_host(text).map(|host| route.host = Some(host)),
                "path" => route::read_path(text).map(|path| route.path = Some(path)),
                _ => route::read_method(text).map(|method| route.method = Some(method)),
            };
            if let Err(Invalid { what, hint }) = read {
                self.mistake(value.span(), format!("route.{name}: `{text}` {what}"), hint);
            }
        }
        if route.component.is_empty() && self.places.count() == before {
            let hint = "add the name of the component that serves it: component = \"shop\"";
            self.mistake(at.clone(), "the route leads nowhere", hint);
        }
        let source = self.source(&at);
        route.place = source.to_string();
        self.said.routes_at.get_or_insert(source);
        self.said.routes.push(route);
    }
}
