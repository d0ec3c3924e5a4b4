//! Where files of a user go (XDG Base Directory Specification).

use std::path::PathBuf;

/// Directory of what can be made again: `XDG_CACHE_HOME`, or `.cache` in the home directory. None without either.
pub(crate) fn cache() -> Option<PathBuf> {
    directory("XDG_CACHE_HOME", ".cache")
}

/// Directory of what must be kept: `XDG_DATA_HOME`, or `.local/share` in the home directory. None without either.
pub(crate) fn data() -> Option<PathBuf> {
    directory("XDG_DATA_HOME", ".local/share")
}

/// The specification has relative paths ignored.
fn directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| Some(absolute("HOME")?.join(below_home)))
}
