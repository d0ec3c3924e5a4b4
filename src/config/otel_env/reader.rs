//! Reading of standard variables: which of several counts, and what is said of those that do not.
//!
//! Empty is unset. What is malformed is warned about and ignored, unless ignoring it would cost money or data: then it is
//! a mistake.

use std::path::Path;
use std::time::Duration;

use crate::config::declared::{Flawed, Standard};
use crate::config::resolve::{InForce, Source, Sourced};
use crate::config::value::{Invalid, Place, Timeout, Value};
use crate::config::vars::Vars;

/// The variables, and what came of reading them.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) vars: &'a Vars,
    pub(crate) warnings: Vec<String>,
    /// What must not be ignored.
    pub(crate) flawed: Vec<Flawed>,
    /// The settings that have no option: each goes by the name of its strongest variable.
    pub(crate) in_force: Vec<InForce>,
    /// The variables of those settings, each once.
    pub(crate) variables: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(vars: &'a Vars) -> Self {
        Reader { vars, warnings: Vec::new(), flawed: Vec::new(), in_force: Vec::new(), variables: Vec::new() }
    }

    /// Adds a warning once: several settings may read the same variable.
    pub(crate) fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Warns of a text that is ignored.
    pub(super) fn ignore(&mut self, variable: &str, text: &str, flaw: &Invalid) {
        self.warn(format!("{variable}: `{text}` {}, and is ignored ({})", flaw.what, flaw.hint));
    }

    /// The text of a value, of which it does not matter where it stands.
    pub(super) fn value<T: Value>(&self, text: &str) -> Result<T, Invalid> {
        T::read(text, &Place { base: Path::new(""), vars: self.vars })
    }

    /// The first of `variables` that is set, with its text.
    pub(super) fn first_set(&self, variables: &[&'static str]) -> Option<(&'static str, &'a str)> {
        variables.iter().find_map(|variable| Some((*variable, self.vars.set(variable)?)))
    }

    /// The value of the first of `variables` that `read` takes; it warns of the text where it takes none.
    pub(super) fn first<T>(
        &mut self,
        variables: &[&'static str],
        read: impl Fn(&mut Self, &'static str, &str) -> Option<T>,
    ) -> Option<(T, &'static str)> {
        let vars = self.vars;
        variables.iter().find_map(|variable| {
            let text = vars.set(variable)?;
            read(self, variable, text).map(|value| (value, *variable))
        })
    }

    /// A setting that only `variables` set, the strongest first.
    pub(super) fn setting<T>(
        &mut self,
        variables: &[&'static str],
        read: impl Fn(&mut Self, &'static str, &str) -> Option<T>,
        default: T,
    ) -> Sourced<T> {
        self.knows(variables);
        match self.first(variables, read) {
            Some((value, variable)) => Sourced::by(value, variable),
            None => Sourced::default_of(default),
        }
    }

    /// Remembers that these variables set something that has no option.
    pub(super) fn knows(&mut self, variables: &[&'static str]) {
        for variable in variables {
            if !self.variables.contains(variable) {
                self.variables.push(variable);
            }
        }
    }

    /// Tells of a setting by the name of its strongest variable.
    pub(super) fn tell(&mut self, variable: &str, value: String, source: Source) {
        self.in_force.push(InForce {
            section: "otel",
            key: variable.to_owned(),
            value,
            source,
            is_valid: true,
        });
    }
}

/// The last of an option's variables whose word is known.
pub(crate) fn word<T: Value>(reader: &mut Reader<'_>, variables: &[&'static str]) -> Standard<T> {
    let strongest_first: Vec<_> = variables.iter().rev().copied().collect();
    Ok(reader.first(&strongest_first, one_word))
}

/// The file that the last of an option's variables names. One that does not read must not be ignored: nobody would be
/// trusted, or by nobody.
pub(crate) fn file<T: Value>(reader: &mut Reader<'_>, variables: &[&'static str]) -> Standard<Option<T>> {
    let strongest_first: Vec<_> = variables.iter().rev().copied().collect();
    let Some((variable, text)) = reader.first_set(&strongest_first) else {
        return Ok(None);
    };
    match reader.value(text) {
        Ok(value) => Ok(Some((Some(value), variable))),
        Err(flaw) => Err(Flawed { variable, quoted: T::quote(text), flaw }),
    }
}

/// One word of a few.
pub(super) fn one_word<T: Value>(reader: &mut Reader<'_>, variable: &'static str, text: &str) -> Option<T> {
    let found = reader.value(text);
    found.inspect_err(|flaw| reader.ignore(variable, text, flaw)).ok()
}

/// A whole number.
fn number(reader: &mut Reader<'_>, variable: &'static str, text: &str) -> Option<u64> {
    // A year in milliseconds: more can't be meant, and must not overflow a clock.
    const LARGEST: u64 = 365 * 24 * 3_600_000;
    let number = text.trim().parse().ok().filter(|number| *number <= LARGEST);
    if number.is_none() {
        reader.warn(format!("{variable}: `{text}` is not a whole number in range, and is ignored"));
    }
    number
}

/// A number of items, at least one.
pub(super) fn items(reader: &mut Reader<'_>, variable: &'static str, text: &str) -> Option<usize> {
    let number = number(reader, variable, text)?;
    if number == 0 {
        reader.warn(format!("{variable}: 0 would drop everything, and is ignored"));
    }
    usize::try_from(number).ok().filter(|number| *number > 0)
}

/// A limit, which is never above `MOST`; 0 is one, too.
pub(super) fn up_to<const MOST: usize>(
    reader: &mut Reader<'_>,
    variable: &'static str,
    text: &str,
) -> Option<usize> {
    let wanted = usize::try_from(number(reader, variable, text)?).unwrap_or(usize::MAX);
    if wanted > MOST {
        reader.warn(format!("{variable}: {wanted} is more than Pounce keeps, and counts as {MOST}"));
    }
    Some(wanted.min(MOST))
}

/// Milliseconds that may be no time at all, which means "at once" and must not become a busy loop.
pub(super) fn delay(reader: &mut Reader<'_>, variable: &'static str, text: &str) -> Option<Duration> {
    number(reader, variable, text).map(|ms| Duration::from_millis(ms.max(1)))
}

/// Milliseconds between two collections.
pub(super) fn interval(reader: &mut Reader<'_>, variable: &'static str, text: &str) -> Option<Duration> {
    let ms = number(reader, variable, text)?;
    if ms == 0 {
        reader.warn(format!("{variable}: 0 would export all the time, and is ignored"));
    }
    Some(Duration::from_millis(ms)).filter(|interval| !interval.is_zero())
}

/// Milliseconds; 0 is no limit.
pub(super) fn timeout(reader: &mut Reader<'_>, variable: &'static str, text: &str) -> Option<Timeout> {
    number(reader, variable, text)
        .map(|ms| Timeout(Some(Duration::from_millis(ms)).filter(|time| !time.is_zero())))
}
