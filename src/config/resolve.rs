//! Flag over environment over file over default, option by option, with the source of each value.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::declared::{Declared, Default, ReadStandard};
use super::dev;
use super::mistake::Mistake;
use super::options;
use super::otel_env::Reader;
use super::suggest::nearest;
use super::value::{Place, Setting};
use super::vars::Vars;

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The flag of this name, without dashes.
    Flag(String),
    /// This environment variable.
    Variable(String),
    /// This line and column of a file.
    File { path: Arc<Path>, line: usize, column: usize },
    /// The program, in a file of its own.
    Program,
    /// Nobody.
    Default,
}

impl Source {
    /// This environment variable.
    pub(crate) fn by(variable: &str) -> Self {
        Self::Variable(variable.to_owned())
    }
}

/// Value of a setting, and who set it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sourced<T> {
    pub(crate) value: T,
    pub(crate) source: Source,
    /// Whether it is what `source` says; if not, that was a mistake, and `value` only stands in for it.
    pub(crate) is_valid: bool,
}

impl<T> Sourced<T> {
    /// A value that a variable says.
    pub(crate) fn by(value: T, variable: &str) -> Self {
        Self { value, source: Source::by(variable), is_valid: true }
    }

    /// A value that nobody has set.
    pub(crate) fn default_of(value: T) -> Self {
        Self { value, source: Source::Default, is_valid: true }
    }
}

impl<T: Setting> Sourced<T> {
    /// The value as the log and `pounce check` show it; what nobody has set may be decided later on, and is shown in the
    /// option's own words.
    pub(crate) fn show(&self, option: Option<&Declared>) -> String {
        match option {
            _ if !self.is_valid => INVALID.to_owned(),
            Some(option) if self.source == Source::Default && self.value.is_nothing() => {
                option.default.to_owned()
            }
            _ => self.value.show_all(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Program => f.write_str("the program"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What one source says of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) texts: Vec<String>,
    pub(crate) source: Source,
}

/// What one source says of all options, by key.
pub(crate) type Layer = BTreeMap<String, Given>;

/// A value in force, as the log and `pounce check` show it.
#[derive(Debug, Clone)]
pub(crate) struct InForce {
    /// `http`: the section of the file.
    pub(crate) section: &'static str,
    /// `http.listen`; of what only standard variables set, the variable.
    pub(crate) key: String,
    /// With secrets left out.
    pub(crate) value: String,
    pub(crate) source: Source,
    /// Whether `value` is what `source` says.
    pub(super) is_valid: bool,
}

impl InForce {
    /// The setting cannot work, although its text could be read.
    pub(super) fn invalidate(&mut self) {
        self.value = INVALID.to_owned();
        self.is_valid = false;
    }
}

/// What stands for the value of a setting that was set to no value.
pub(super) const INVALID: &str = "(not valid)";

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({})", self.key, self.value, self.source)
    }
}

/// Takes each option from the highest source that has it, and collects every mistake on the way.
pub(crate) struct Resolver<'a> {
    flags: Layer,
    /// What a component says for itself, above variables and file.
    own: Layer,
    file: Layer,
    /// Whether the defaults are those of `pounce dev`.
    is_dev: bool,
    /// The variables, and what is warned about.
    pub(crate) reader: Reader<'a>,
    pub(crate) in_force: Vec<InForce>,
    pub(crate) mistakes: Vec<Mistake>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(flags: Layer, vars: &'a Vars, file: Layer, is_dev: bool) -> Self {
        let own = Layer::new();
        Self {
            flags,
            own,
            file,
            is_dev,
            reader: Reader::new(vars),
            in_force: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    /// The resolver of a component that says this for itself.
    pub(crate) fn of_component(mut self, own: Layer) -> Self {
        self.own = own;
        self
    }

    /// The setting of one option.
    ///
    /// Flags, our own variables and the file are all judged, also where a higher source wins: each
    /// was written for us. Standard variables are judged only where they count: they were written
    /// for every program on the machine.
    pub(crate) fn take<T: Setting>(
        &mut self,
        option: &'static Declared,
        default: Default<T>,
        standard: Option<ReadStandard<T>>,
    ) -> Sourced<T> {
        let key = option.key();
        let before = self.mistakes.len();
        let flag = self.flags.remove(&key);
        let own = self.own.remove(&key);
        let variable = self.variable(option);
        let file = self.file.remove(&key);
        let said =
            [&flag, &own, &variable, &file].into_iter().flatten().next().map(|given| given.source.clone());
        let flag = flag.and_then(|given| self.read(option, given));
        let own = own.and_then(|given| self.read(option, given));
        let variable = variable.and_then(|given| self.read(option, given));
        let ours = flag.or(own).or(variable);
        let standard = match standard.filter(|_| ours.is_none()) {
            Some(read) => self.standard(option, read),
            None => Ok(None),
        };
        let file = file.and_then(|given| self.read(option, given));
        // Who is named where there is no value: the one that should have given it.
        let nobody = standard.as_ref().err().cloned().or(said).unwrap_or(Source::Default);
        let found = ours.or(standard.ok().flatten()).or(file);
        let of_dev = dev::default_of(&key).filter(|_| self.is_dev && found.is_none());
        let default = of_dev.map_or(default, |of_dev| Default::Text(of_dev.text));
        let (value, source) = found.unwrap_or_else(|| (default.value(), nobody));
        // With a mistake nothing is in force, whatever stands below it.
        let found = Sourced { value, source, is_valid: self.mistakes.len() == before };
        let (value, source) = (found.show(Some(option)), found.source.clone());
        let is_valid = found.is_valid;
        self.in_force.push(InForce { section: option.section, key, value, source, is_valid });
        found
    }

    fn variable(&mut self, option: &Declared) -> Option<Given> {
        let name = option.variable();
        if self.reader.vars.is_garbled(&name) {
            self.mistakes.push(Mistake::new(
                &name,
                "the value is not UTF-8",
                "set it to plain text, or unset it",
            ));
        }
        let text = self.reader.vars.set(&name)?;
        let texts = if option.list { split_list(text) } else { vec![text.to_owned()] };
        Some(Given { texts, source: Source::Variable(name) })
    }

    /// The error is the variable that was at fault.
    fn standard<T: Setting>(
        &mut self,
        option: &Declared,
        read: ReadStandard<T>,
    ) -> Result<Option<(T, Source)>, Source> {
        match read(&mut self.reader, option.standard) {
            Ok(found) => Ok(found.map(|(value, variable)| (value, Source::by(variable)))),
            Err(flawed) => {
                let what = format!("{} {}", flawed.quoted, flawed.flaw.what);
                let hint = format!("{} (it sets {})", flawed.flaw.hint, option.key());
                self.mistakes.push(Mistake::new(flawed.variable, what, hint));
                Err(Source::by(flawed.variable))
            }
        }
    }

    fn read<T: Setting>(&mut self, option: &Declared, given: Given) -> Option<(T, Source)> {
        let base = match &given.source {
            Source::File { path, .. } => path.parent().unwrap_or(Path::new("")),
            _ => Path::new(""),
        };
        let place = Place { base, vars: self.reader.vars };
        match T::read_all(&given.texts, &place) {
            Ok(value) => Some((value, given.source)),
            Err(flaws) => {
                let place = match &given.source {
                    Source::File { .. } => format!("{}: {}", given.source, option.key()),
                    Source::Program => option.key(),
                    source => source.to_string(),
                };
                let mistake = |(quoted, flaw): (String, super::value::Invalid)| {
                    Mistake::new(&place, format!("{quoted} {}", flaw.what), flaw.hint)
                };
                self.mistakes.extend(flaws.into_iter().map(mistake));
                None
            }
        }
    }

    /// Warns of `POUNCE_*` variables that are nearly those of options.
    ///
    /// Not an error, and only for near ones: an orchestrator sets variables such as
    /// `POUNCE_SERVICE_HOST` for a service that is called pounce.
    pub(crate) fn warn_of_typos(&mut self) {
        let known: Vec<String> = options::all().map(Declared::variable).collect();
        for name in self.reader.vars.names().filter(|name| name.starts_with("POUNCE_")) {
            if name == "POUNCE_CONFIG" || known.iter().any(|known| known == name) {
                continue;
            }
            // Compared without the prefix, which would make everything look near.
            let words = known.iter().map(|known| &known["POUNCE_".len()..]);
            if let Some(near) = nearest(&name["POUNCE_".len()..], words) {
                self.reader.warn(format!("{name} sets nothing: did you mean POUNCE_{near}?"));
            }
        }
    }
}

/// Splits the value of a list's variable at commas; `\,` is a comma within an entry.
fn split_list(text: &str) -> Vec<String> {
    let mut entries = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next_if_eq(&',').is_some() => entries.last_mut().expect("never empty").push(','),
            ',' => entries.push(String::new()),
            c => entries.last_mut().expect("never empty").push(c),
        }
    }
    entries.into_iter().map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty()).collect()
}
