//! Where compiled components are kept.

use std::path::PathBuf;

use super::{Invalid, Place, Value};
use crate::config::directories;

/// The directory of compiled components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheDir {
    /// Nothing is kept.
    Off,
    /// A directory, which need not be there yet.
    Dir(PathBuf),
}

impl CacheDir {
    /// `pounce/compiled` in the XDG cache directory; off where there is no home directory.
    pub(crate) fn of_user() -> Self {
        directories::cache().map_or(Self::Off, |cache| Self::Dir(cache.join("pounce/compiled")))
    }
}

impl Value for CacheDir {
    fn read(text: &str, place: &Place<'_>) -> Result<Self, Invalid> {
        if text == "none" { Ok(Self::Off) } else { PathBuf::read(text, place).map(Self::Dir) }
    }

    fn show(&self) -> String {
        match self {
            Self::Off => "none".to_owned(),
            Self::Dir(path) => path.display().to_string(),
        }
    }

    fn is_nothing(&self) -> bool {
        *self == Self::Off
    }
}
