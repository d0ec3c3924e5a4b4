//! What is wrong with a configuration, told all at once.

use std::fmt;

/// One mistake: where it is, what is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The flag, the variable, or `FILE:LINE:COLUMN` with the key; empty where there is no one place.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to do next.
    pub hint: String,
}

impl Mistake {
    pub(crate) fn new(place: impl Into<String>, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), hint: hint.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "{}\n  tip: {}", self.what, self.hint)
    }
}

/// What is wrong with the setting of one key.
pub(crate) struct Wrong {
    pub(crate) key: &'static str,
    pub(crate) what: String,
    pub(crate) hint: Hint,
}

/// What to do next about the setting of a key.
pub(crate) enum Hint {
    /// The same wherever it is set.
    Do(String),
    /// With a flag, or in the file where there are no flags.
    Set { flag: String, file: String },
}

impl Hint {
    /// The words for somebody who has flags, or only a file (`pounce test`).
    pub(crate) fn told(self, has_flags: bool) -> String {
        match self {
            Self::Do(words) => words,
            Self::Set { flag, .. } if has_flags => flag,
            Self::Set { file, .. } => file,
        }
    }
}

impl From<String> for Hint {
    fn from(words: String) -> Self {
        Self::Do(words)
    }
}

impl From<&str> for Hint {
    fn from(words: &str) -> Self {
        Self::Do(words.to_owned())
    }
}

/// Every mistake of a configuration, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub(crate) Vec<Mistake>);

impl Mistakes {
    /// The mistakes, in the order of the options.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
