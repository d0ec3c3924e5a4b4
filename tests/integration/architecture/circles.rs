//! Circles of imports within a folder: files that can only be understood together.
//!
//! A file imports another where a path of its `use` declarations, or one in its code, leads there. That a parent declares
//! its children is no import; that it re-exports them is. Tests may reach for whatever they test.

use super::{code, files};
use crate::support::guest::root;
use std::collections::{BTreeMap, BTreeSet};

/// Folders, and the path of the module that each is.
const FOLDERS: &[(&str, &str)] = &[("crates/telemetry/src", "crate"), ("crates/otlp/src", "crate")];
/// Files that may need each other in a circle.
const MOST: usize = 4;
/// Tests.
const APART: [&str; 2] = ["tests", "tests.rs"];

type Module = Vec<String>;

/// The modules under a folder, and what each imports.
struct Imports(BTreeMap<Module, BTreeSet<Module>>);

fn split(path: &str) -> Module {
    path.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// The paths that a `use` tree names: `a::{b, c::{self, d}}` is `a::b`, `a::c::self` and `a::c::d`.
fn expand(tree: &str, paths: &mut Vec<String>) {
    let Some((prefix, group)) = tree.split_once('{') else {
        paths.push(tree.split(" as ").next().unwrap_or(tree).trim().to_owned());
        return;
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = &group[start..at];
                if !part.trim().is_empty() {
                    expand(&format!("{}{}", prefix.trim(), part.trim()), paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The paths that `code` names: those of its `use` declarations, and those in it that begin at the crate or the parent.
fn paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        let declaration = statement.rfind("use ").filter(|at| {
            let before = statement[..*at].trim_end();
            before.is_empty() || before.ends_with(['}', ']', ')', ';']) || before.ends_with("pub")
        });
        match declaration {
            Some(at) if statement.trim_end().ends_with(';') => {
                rest.push_str(&statement[..at]);
                expand(statement[at + "use ".len()..].trim_end().trim_end_matches(';'), &mut paths);
            }
            _ => rest.push_str(statement),
        }
    }
    // `pub(in PATH)` says who may see, not what is imported.
    let rest = rest.replace("(in crate::", "(crate_");
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = rest.split(|c| !is_word(c)).filter(|word| word.contains("::"));
    paths.extend(
        words
            .filter(|word| ["crate", "super", "self"].contains(&word.split("::").next().unwrap()))
            .map(str::to_owned),
    );
    paths
}

impl Imports {
    fn of(folder: &str, base: &str) -> Self {
        let sources: BTreeMap<Module, String> = files(folder, ".rs")
            .into_iter()
            .filter_map(|(path, text)| {
                let path = path.strip_prefix(root().join(folder)).expect("under the folder");
                let mut parts: Module =
                    path.iter().map(|part| part.to_str().expect("text").to_owned()).collect();
                if parts.iter().any(|part| APART.contains(&part.as_str())) {
                    return None;
                }
                let file = parts.pop()?;
                parts.extend(
                    file.strip_suffix(".rs").filter(|file| !["mod", "lib"].contains(file)).map(str::to_owned),
                );
                let code = code(&text);
                let product = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or(&code).to_owned();
                Some((parts, product))
            })
            .collect();
        let imports = sources.iter().map(|(module, code)| {
            let found =
                paths(code).into_iter().filter_map(|path| lead(&sources, module, &split(base), &path));
            (module.clone(), found.filter(|found| found != module).collect())
        });
        Imports(imports.collect())
    }

    /// The modules that a module leads to, over however many others.
    fn reach(&self, from: &Module) -> BTreeSet<&Module> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&Module> = self.0[from].iter().collect();
        while let Some(module) = next.pop() {
            if reached.insert(module) {
                next.extend(&self.0[module]);
            }
        }
        reached
    }

    /// The largest circle.
    fn circle(&self) -> Vec<String> {
        let reached: BTreeMap<_, _> = self.0.keys().map(|module| (module, self.reach(module))).collect();
        let circle_of = |module: &Module| -> Vec<String> {
            let is_in =
                |other: &&Module| reached[module].contains(*other) && reached[*other].contains(module);
            self.0.keys().filter(is_in).map(|other| other.join("/")).collect()
        };
        self.0.keys().map(circle_of).max_by_key(Vec::len).unwrap_or_default()
    }
}

/// The module that a path leads to from `module`, if it is one of `sources`: the file that has what the path names.
fn lead<T>(sources: &BTreeMap<Module, T>, module: &Module, base: &Module, path: &str) -> Option<Module> {
    let path = split(path);
    let (mut at, mut rest) = (module.clone(), path.as_slice());
    if let Some(within) = path.strip_prefix(base.as_slice()) {
        (at, rest) = (Module::new(), within);
    } else if path[0] == "super" {
        while let Some((_, more)) = rest.split_first().filter(|(first, _)| *first == "super") {
            at.pop()?;
            rest = more;
        }
    } else if path[0] == "self" {
        rest = &path[1..];
    } else if !sources.contains_key(&[module.as_slice(), &path[..1]].concat()) {
        return None;
    }
    for name in rest {
        if APART.contains(&name.as_str()) {
            return None;
        }
        let deeper = [at.as_slice(), std::slice::from_ref(name)].concat();
        if !sources.contains_key(&deeper) {
            break;
        }
        at = deeper;
    }
    Some(at)
}

#[test]
fn no_circle_of_files_is_large() {
    for (folder, base) in FOLDERS {
        let circle = Imports::of(folder, base).circle();
        assert!(circle.len() <= MOST, "{folder}: {} files need each other: {circle:?}", circle.len());
    }
}

#[test]
fn the_check_for_circles_sees_what_it_should() {
    let found = paths(
        "pub(super) use a::{b, c::{self, d as e}};\nuse super::f;\nfn g(x: crate::h::I) { super::super::j::k() }",
    );
    assert_eq!(found, ["a::b", "a::c::self", "a::c::d", "super::f", "crate::h::I", "super::super::j::k"]);
    let sources: BTreeMap<Module, ()> = ["", "a", "a::b", "c"].iter().map(|path| (split(path), ())).collect();
    for (from, path, to) in [
        ("a::b", "super::X", Some("a")),
        ("a::b", "super::super::c::X", Some("c")),
        ("a::b", "crate::top::a::b::X", Some("a::b")),
        ("a", "b::X", Some("a::b")),
        ("a", "std::fmt", None),
        ("c", "crate::other::X", None),
        ("c", "crate::top::X", Some("")),
    ] {
        let base = split("crate::top");
        assert_eq!(lead(&sources, &split(from), &base, path), to.map(split), "{path} in {from}");
    }
}
