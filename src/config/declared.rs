//! What is known of an option before anyone sets it: its names, help and default.

use super::otel_env::Reader;
use super::value::{Invalid, Place, Setting};
use super::vars::Vars;

/// One option, as [`options!`](super::macros) declares it.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) section: &'static str,
    pub(crate) heading: &'static str,
    /// Whether flag and variable carry the section (`--otel-endpoint`) or are the bare key (`--listen`).
    pub(crate) carries_section: bool,
    pub(crate) field: &'static str,
    pub(crate) docs: &'static [&'static str],
    /// What stands for the value in the help: `ADDR`.
    pub(crate) value_name: &'static str,
    /// The default as people read it.
    pub(crate) default: &'static str,
    /// A value that shows how to write one.
    pub(crate) example: &'static str,
    /// Whether it may be given more than once.
    pub(crate) list: bool,
    /// Whether its flag needs no value.
    pub(crate) switch: bool,
    /// Standard variables that set it, too.
    pub(crate) standard: &'static [&'static str],
}

impl Declared {
    /// `max-in-flight`: the key within its section.
    pub(crate) fn name(&self) -> String {
        self.field.replace('_', "-")
    }

    /// `http.max-in-flight`.
    pub(crate) fn key(&self) -> String {
        format!("{}.{}", self.section, self.name())
    }

    /// `max-in-flight`, `otel-endpoint`: the flag without its dashes.
    pub(crate) fn flag(&self) -> String {
        if self.carries_section { format!("{}-{}", self.section, self.name()) } else { self.name() }
    }

    /// `POUNCE_MAX_IN_FLIGHT`, `POUNCE_OTEL_ENDPOINT`.
    pub(crate) fn variable(&self) -> String {
        format!("POUNCE_{}", self.flag().replace('-', "_").to_ascii_uppercase())
    }

    /// `max-in-flight = 1024`, as a file sets it.
    pub(crate) fn assignment(&self) -> String {
        let number = self.example.parse::<f64>().is_ok();
        let value = if number { self.example.to_owned() } else { format!("{:?}", self.example) };
        if self.list { format!("{} = [{value}]", self.name()) } else { format!("{} = {value}", self.name()) }
    }

    /// The documentation as paragraphs; the first is the short help.
    pub(crate) fn paragraphs(&self) -> Vec<String> {
        let lines: Vec<&str> = self.docs.iter().map(|line| line.trim()).collect();
        lines.split(|line| line.is_empty()).map(|paragraph| paragraph.join(" ").replace('`', "")).collect()
    }
}

/// The value of an option that nobody set.
pub(crate) enum Default<T> {
    /// Written as a user would.
    Text(&'static str),
    /// Found out at run time, or nothing.
    Found(fn() -> T),
}

impl<T: Setting> Default<T> {
    pub(crate) fn value(self) -> T {
        let vars = Vars::default();
        let place = Place { base: "".as_ref(), vars: &vars };
        match self {
            Self::Text(text) => match T::read_all(&[text.to_owned()], &place) {
                Ok(value) => value,
                Err(flaws) => unreachable!("a test reads every default: {flaws:?}"),
            },
            Self::Found(find) => find(),
        }
    }
}

/// What standard variables say of an option: nothing, or a value and the variable it is from.
///
/// An error here is fatal; what is only worth a warning goes into the warnings.
pub(crate) type Standard<T> = Result<Option<(T, &'static str)>, Flawed>;

/// A standard variable whose value must not be ignored.
#[derive(Debug)]
pub(crate) struct Flawed {
    pub(crate) variable: &'static str,
    /// The value as it may be repeated.
    pub(crate) quoted: String,
    pub(crate) flaw: Invalid,
}

/// Reads the standard variables of one option, of which the last counts before the others.
pub(crate) type ReadStandard<T> = fn(&mut Reader<'_>, &[&'static str]) -> Standard<T>;
