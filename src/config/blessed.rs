//! Files that are copies of something: compared in tests, rewritten with `BLESS=1`.

use std::path::Path;

/// Panics unless the file holds `text`; with `BLESS` set, writes it.
pub(crate) fn matches(path: &Path, text: &str) {
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == text, "{} is stale: run the tests with BLESS=1, and look at the diff", path.display());
}
