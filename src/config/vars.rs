//! The environment, read once: the only place that asks the process for variables.

use std::collections::BTreeMap;

/// Environment variables by name.
#[derive(Debug, Default, Clone)]
pub(crate) struct Vars {
    valid: BTreeMap<String, String>,
    /// Names of variables whose value is not UTF-8.
    garbled: Vec<String>,
    /// Whether the process has others that are not to be asked for.
    is_withheld: bool,
}

impl Vars {
    /// None at all: what is read means the same whatever the process has.
    pub(crate) fn withheld() -> Self {
        Self { is_withheld: true, ..Self::default() }
    }

    pub(crate) fn is_withheld(&self) -> bool {
        self.is_withheld
    }

    /// The variables of this process.
    pub(crate) fn of_process() -> Self {
        let mut vars = Self::default();
        for (name, value) in std::env::vars_os() {
            // A name that is not UTF-8 can't be asked for.
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => drop(vars.valid.insert(name, value)),
                Err(_) => vars.garbled.push(name),
            }
        }
        vars
    }

    /// These variables without those that set options (`POUNCE_*`, `OTEL_*`) or hand over sockets (`LISTEN_*`).
    pub(crate) fn without_options(mut self) -> Self {
        let prefixes = ["POUNCE_", "OTEL_", "LISTEN_"];
        let is_ours = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        self.valid.retain(|name, _| !is_ours(name));
        self.garbled.retain(|name| !is_ours(name));
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.valid.get(name).map(String::as_str)
    }

    /// The value, unless it is empty: for options, empty means unset.
    pub(crate) fn set(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.trim().is_empty())
    }

    pub(crate) fn is_garbled(&self, name: &str) -> bool {
        self.garbled.iter().any(|garbled| garbled == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.valid.keys().map(String::as_str)
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Vars {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let valid = pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { valid, ..Self::default() }
    }
}
