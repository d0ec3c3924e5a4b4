//! Settings that a program has in a file of its own, in whichever format serde reads.
//!
//! What is read becomes the tree that a `pounce.toml` is read into, so that keys, values and mistakes are those of the
//! file; only places in it are not known.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, Sources, Vars, file, load};

/// Settings over the defaults, with the keys of `pounce.toml`.
///
/// Any format will do that says of itself what its values are (TOML, JSON, YAML, …): texts, whole numbers and booleans are
/// taken as in a `pounce.toml`, null is taken for a key that is not there. Paths are relative to the working directory.
/// The environment is asked only for what `guest.env` names. The error has all mistakes.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     greeting: String,
///     pounce: pounce::Config,
/// }
///
/// let settings: Settings = toml::from_str(
///     r#"
///     greeting = "hello"
///
///     [pounce.http]
///     listen = ["127.0.0.1:0"]
///     request-timeout = "5s"
///
///     [[pounce.component]]
///     source = "app.wasm"
///     "#,
/// )?;
/// assert_eq!(settings.pounce.component_name().as_deref(), Some("app"));
/// # assert_eq!(settings.greeting, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// There is no way back: settings have secrets, and a text without them would not be the settings.
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(Node(DeValue::Table(table))) = Option::<Node>::deserialize(deserializer)? else {
            return Err(D::Error::custom("the settings of pounce are a table of sections, such as `http`"));
        };
        let sources = Sources {
            said: Some(file::of_table(&table)),
            vars: Vars::of_process().without_options(),
            ..Sources::default()
        };
        load(sources).map(|loaded| loaded.config).map_err(D::Error::custom)
    }
}

/// A value as a `pounce.toml` has it.
struct Node(DeValue<'static>);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfNode)
    }
}

struct OfNode;

impl OfNode {
    /// Numbers are read from texts, which are the same in a file.
    fn text<E>(text: impl fmt::Display) -> Result<Node, E> {
        Ok(Node(DeValue::String(Cow::Owned(text.to_string()))))
    }
}

impl<'de> Visitor<'de> for OfNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, a boolean, a list or a table")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node(DeValue::Boolean(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Self::text(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Self::text(value)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Self::text(value)
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Self::text(value)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut array = toml::de::DeArray::new();
        while let Some(Node(value)) = list.next_element()? {
            array.push(Spanned::new(0..0, value));
        }
        Ok(Node(DeValue::Array(array)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut table = DeTable::new();
        while let Some(key) = map.next_key::<String>()? {
            if let Some(Node(value)) = map.next_value::<Option<Node>>()? {
                table.insert(Spanned::new(0..0, Cow::Owned(key)), Spanned::new(0..0, value));
            }
        }
        Ok(Node(DeValue::Table(table)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ListenAddr, Timeout};
    use std::time::Duration;

    #[test]
    fn json_says_what_toml_says() {
        let toml = r#"
            [http]
            listen = ["127.0.0.1:1", "unix:/run/x.sock"]
            max-in-flight = 7
            server-timing = true
            request-timeout = "5s"
            [otel]
            sample = 0.5
            [[component]]
            name = "shop"
            source = "shop.wasm"
            max-memory = "1MiB"
            [[component]]
            source = "site.wasm"
            lazy = true
            [[route]]
            component = "shop"
            path = "/items/{id}"
            [[route]]
            component = "site"
        "#;
        let json = r#"{
            "http": {"listen": ["127.0.0.1:1", "unix:/run/x.sock"], "max-in-flight": 7, "server-timing": true,
                     "request-timeout": "5s", "rate-limit": null},
            "otel": {"sample": 0.5},
            "component": [{"name": "shop", "source": "shop.wasm", "max-memory": "1MiB"},
                          {"source": "site.wasm", "lazy": true}],
            "route": [{"component": "shop", "path": "/items/{id}"}, {"component": "site"}]
        }"#;
        let config: Config = toml::from_str(toml).unwrap();
        assert_eq!(config, serde_json::from_str(json).unwrap());
        assert_eq!(config.http.listen[0], ListenAddr::Tcp("127.0.0.1:1".parse().unwrap()));
        assert_eq!(config.http.request_timeout, Timeout(Some(Duration::from_secs(5))));
        assert_eq!((config.components.len(), config.http.route.len()), (2, 2));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pounce.toml");
        std::fs::write(&path, toml).unwrap();
        let of_file = Config::from_file(&path).unwrap();
        assert_eq!(of_file.http.max_in_flight, config.http.max_in_flight);
        assert_eq!(of_file.otel, config.otel);
    }

    #[test]
    fn all_mistakes_are_told_with_what_to_write() {
        let error = serde_json::from_str::<Config>(
            r#"{"http": {"lissten": "a", "max-in-flight": "many", "request-timeout": 5}, "gest": {}}"#,
        );
        let error = error.unwrap_err().to_string();
        for part in [
            "unknown key `http.lissten`",
            "did you mean `listen`?",
            "http.max-in-flight: `many` is not a whole number",
            "http.request-timeout: `5` is not a duration: it has no unit",
            "unknown key `gest`",
            "did you mean [guest]?",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains(":1:1"), "{error}");
        for text in ["[]", "1", "null", r#"{"http": 1}"#, r#"{"http": {"listen": {"a": 1}}}"#] {
            assert!(serde_json::from_str::<Config>(text).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
    }
}
