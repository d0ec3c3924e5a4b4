//! Names of projects: those that every language's tools take, so that a name does not depend on the language.

use std::path::Path;

use crate::config::Mistake;

const MAX_LENGTH: usize = 64;
/// Words that Rust, JavaScript or Python keep for themselves, and names that their tools or the kits use.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "core",
    "crate",
    "debugger",
    "def",
    "default",
    "del",
    "delete",
    "deps",
    "do",
    "dyn",
    "elif",
    "else",
    "enum",
    "eval",
    "except",
    "export",
    "extends",
    "extern",
    "false",
    "final",
    "finally",
    "fn",
    "for",
    "from",
    "function",
    "gen",
    "global",
    "if",
    "impl",
    "import",
    "in",
    "incremental",
    "instanceof",
    "is",
    "lambda",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "new",
    "node_modules",
    "nonlocal",
    "not",
    "null",
    "or",
    "override",
    "pass",
    "pounce-guest",
    "pounce-guest-macros",
    "pounce_guest",
    "priv",
    "proc-macro",
    "proc_macro",
    "pub",
    "raise",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "switch",
    "test",
    "this",
    "throw",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "var",
    "virtual",
    "void",
    "where",
    "while",
    "wit_world",
    "with",
    "wstd",
    "yield",
];

/// The name that a project in this folder has.
///
/// # Errors
/// One of the languages would not take it: why, and what to do.
pub(super) fn of(folder: &Path) -> Result<String, Mistake> {
    let shown = folder.display().to_string();
    let Some(name) = folder.file_name() else {
        return Err(Mistake::new(
            shown,
            "is no name",
            "name a folder that is to be made: pounce new shop --lang rust",
        ));
    };
    let name = name.to_string_lossy().into_owned();
    match wrong(&name) {
        None => Ok(name),
        Some((what, hint)) => Err(Mistake::new(shown, what, hint)),
    }
}

fn wrong(name: &str) -> Option<(String, String)> {
    let rules =
        "a name has lower-case letters, digits, - and _, begins with a letter and does not end with - or _";
    let tip = |fixed: String| if wrong(&fixed).is_none() { format!("try {fixed}") } else { rules.to_owned() };
    if name.len() > MAX_LENGTH {
        return Some((format!("is a name of {} characters", name.len()), format!("keep to {MAX_LENGTH}")));
    }
    if TAKEN.contains(&name) {
        let what = "is a name that Rust, JavaScript, Python or their tools keep for themselves".to_owned();
        return Some((what, format!("try my-{name}")));
    }
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if let Some(odd) = name.chars().find(|c| !is_allowed(*c)) {
        let fixed: String = name
            .chars()
            .map(|c| if is_allowed(c.to_ascii_lowercase()) { c.to_ascii_lowercase() } else { '-' })
            .collect();
        return Some((format!("has {odd:?}, which cargo, npm or Python takes in no name"), tip(fixed)));
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Some(("does not begin with a letter".to_owned(), rules.to_owned()));
    }
    if name.ends_with(['-', '_']) {
        return Some((
            format!("ends with {:?}", &name[name.len() - 1..]),
            tip(name.trim_end_matches(['-', '_']).to_owned()),
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_all_languages_take_are_taken() {
        for name in ["shop", "my-shop", "shop_2", "a", &"x".repeat(64)] {
            assert_eq!(of(Path::new(name)).unwrap(), name);
        }
        assert_eq!(of(Path::new("/somewhere/else/shop")).unwrap(), "shop");
        assert_eq!(of(Path::new("shop/")).unwrap(), "shop");
    }

    #[test]
    fn others_are_refused_with_a_way_out() {
        for (name, hint) in [
            ("Shop", "try shop"),
            ("my shop", "try my-shop"),
            ("shop.js", "try shop-js"),
            ("café", "a name has"),
            ("2shop", "begins with a letter"),
            ("-shop", "begins with a letter"),
            ("shop-", "try shop"),
            ("shop\n", "a name has"),
            ("async", "try my-async"),
            ("test", "try my-test"),
            ("..", "name a folder"),
            ("/", "name a folder"),
            ("", "name a folder"),
        ] {
            let mistake = of(Path::new(name)).unwrap_err();
            assert!(mistake.hint.contains(hint), "{name:?}: {mistake}");
        }
        assert!(of(Path::new(&"x".repeat(65))).unwrap_err().what.contains("65"));
    }

    #[test]
    fn the_words_that_are_taken_are_in_order() {
        assert!(TAKEN.is_sorted());
    }
}
