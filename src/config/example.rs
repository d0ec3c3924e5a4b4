//! `pounce.example.toml`: every option with its help and default, as a file to start from.
//!
//! Built in tests only: they compare it with the committed file, and write that with `BLESS=1`.

use super::options;

const HEAD: &str = "\
# Settings of `pounce serve --config pounce.toml`.
#
# Every key is shown with its default (or, where it has none, an example): take away the `#` in
# front of those to set. Paths are relative to this file. Flags and POUNCE_* variables win over it.

[[component]]
# Name in traces; the file's name without its ending if absent.
name = \"hello\"
# Path of the component (.wasm, .wat or .cwasm).
source = \"hello.wasm\"
# Whether it is loaded when a request asks for it.
# lazy = false
# With several [[component]] tables, [[route]] tables say which requests go to which. Keys of [guest]
# and [otel] may stand here, too, for this component alone (not those of the endpoint).
# max-memory = \"64MiB\"
# otel.service-name = \"shop\"

# Which requests it serves; all of them without a [[route]]. What is left out stands for all.
# [[route]]
# component = \"hello\"
# host = \"*.example.com\"
# path = \"/items/{id}\"
# method = \"GET\"
";

/// The whole file.
pub(crate) fn file() -> String {
    let mut text = HEAD.to_owned();
    let mut section = "";
    for option in options::all() {
        if option.section != section {
            section = option.section;
            text.push_str(&format!("\n[{section}]"));
        }
        text.push('\n');
        for paragraph in option.paragraphs() {
            for line in wrap(&paragraph, 96) {
                text.push_str(&format!("# {line}\n"));
            }
        }
        if option.default != option.example {
            text.push_str(&format!("# Default: {}.\n", option.default));
        }
        text.push_str(&format!("# {}\n", option.assignment()));
    }
    text
}

/// Lines of words, none wider than `width` unless a word is.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Sources, file as toml_file, load};

    /// The file with every option set to its example.
    fn uncommented() -> String {
        let sets = |line: &str| options::all().any(|option| line == format!("# {}", option.assignment()));
        file().lines().map(|line| if sets(line) { &line[2..] } else { line }).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_committed_file_is_what_the_options_say() {
        crate::config::blessed::matches(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("pounce.example.toml"),
            &file(),
        );
    }

    #[test]
    fn every_key_of_the_example_reads() {
        let said = toml_file::parse(&uncommented(), Path::new("pounce.toml"), &[]);
        assert_eq!(said.mistakes, []);
        assert_eq!(said.options.len(), options::all().count());
        assert!(toml_file::parse(&file(), Path::new("pounce.toml"), &[]).mistakes.is_empty());
    }

    #[test]
    fn every_value_of_the_example_is_valid() {
        let said = toml_file::parse(&uncommented(), Path::new("pounce.toml"), &[]);
        let mut flags = said.options;
        // Values that need something on this machine.
        for key in crate::config::tests::NEED_FILES {
            flags.remove(key);
        }
        assert!(load(Sources { flags, ..Sources::default() }).is_ok());
    }
}
