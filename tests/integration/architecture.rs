//! The layers of DESIGN §3 as a test: import arrows, circles, file sizes, heads, and that every guest is put to use. What the
//! crates may import, the compiler holds.

mod circles;

use crate::support::guest::root;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folder → what its files must not mention.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("config", &["cli", "cases", "app", "admin", "server", "guest", "host"]),
    ("host", &["cli", "cases", "app", "admin", "server", "guest"]),
    ("guest", &["cli", "cases", "app", "admin", "server"]),
    ("server", &["cli", "cases", "app", "admin", "host"]),
    ("admin", &["cli", "cases", "app", "server", "guest", "host"]),
    ("app", &["cli", "cases"]),
    ("cases", &["cli", "admin", "server", "host"]),
];

/// Folder → crates it must not know.
const FORBIDDEN_CRATES: &[(&str, &[&str])] = &[
    ("host", &["hyper::server", "hyper_util::server"]),
    ("guest", &["hyper::server", "hyper_util::server"]),
    ("server", &["wasmtime", "wasmtime_wasi", "wasmtime_wasi_http"]),
];

const MAX_LINES: usize = 700;
const NO_NAMES: [&str; 5] = ["utils", "util", "helpers", "common", "misc"];

/// Files under `folder` with this ending, and their text; generated and built ones left out.
fn files(folder: &str, ending: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<(PathBuf, String)>) {
        let entries =
            std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries.map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().and_then(|name| name.to_str()).expect("text");
            match entry.is_dir() {
                true if ["target", "build", "node_modules"].contains(&name) => {}
                true => walk(&entry, ending, found),
                false if name.ends_with(ending) => {
                    found.push((entry.clone(), std::fs::read_to_string(&entry).expect("text")));
                }
                false => {}
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), ending, &mut found);
    assert!(!found.is_empty(), "nothing under {folder}");
    found
}

fn sources() -> Vec<(PathBuf, String)> {
    ["src", "crates", "tests", "guests"].iter().flat_map(|folder| files(folder, ".rs")).collect()
}

/// Whether `text` mentions `path` as a whole path: `crate::app` but not `crate::apple`, `hyper` but not `hyper_util`.
fn mentions(text: &str, path: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(path).any(|(at, _)| {
        !text[..at].ends_with(|c| word(c) || c == ':') && !text[at + path.len()..].starts_with(word)
    })
}

/// Code without comments: they may name what they like.
fn code(text: &str) -> String {
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(is_code).map(|line| line.split(" // ").next().unwrap_or(line)).fold(
        String::new(),
        |mut code, line| {
            code.push_str(line);
            code.push('\n');
            code
        },
    )
}

/// The crate modules that a file uses: `crate::NAME`, and names in `use crate::{NAME, …}`.
fn layers_used(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => {
                used.insert(word(rest));
            }
            Some(group) => {
                let mut depth = 0;
                let mut expect_name = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => expect_name = true,
                        c if expect_name && !c.is_whitespace() => {
                            used.insert(word(&group[at..]));
                            expect_name = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    used
}

#[test]
fn imports_point_down() {
    let mut wrong = Vec::new();
    for (path, text) in files("src", ".rs") {
        let relative = path.strip_prefix(root().join("src")).unwrap();
        let layer = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let layer = layer.strip_suffix(".rs").unwrap_or(layer);
        let code = code(&text);
        let used = layers_used(&code);
        let of = |table: &'static [(&str, &'static [&str])]| {
            table.iter().filter(|(folder, _)| *folder == layer).flat_map(|(_, forbidden)| forbidden.iter())
        };
        let upwards = of(FORBIDDEN).filter(|layer| used.contains(**layer));
        // A unit test may play the other side of a connection.
        let is_test =
            relative.components().any(|part| part.as_os_str().to_string_lossy().starts_with("tests"));
        let foreign = of(FORBIDDEN_CRATES).filter(|name| !is_test && mentions(&code, name));
        wrong.extend(upwards.chain(foreign).map(|name| format!("src/{} uses {name}", relative.display())));
    }
    assert!(wrong.is_empty(), "DESIGN §3:\n{}", wrong.join("\n"));
}

#[test]
fn the_layer_check_sees_what_it_should() {
    let used =
        layers_used("use crate::{app::App, config::{self, Guest}, host};\nlet x = crate::server::Handler;");
    assert_eq!(used, ["app", "config", "host", "server"].map(str::to_owned).into());
    assert!(mentions("use hyper::Request;", "hyper") && !mentions("use hyper_util::rt;", "hyper"));
    assert!(mentions("fn f(x: wasmtime::Store)", "wasmtime") && !mentions("wasmtime_wasi::x", "wasmtime"));
    assert!(
        mentions("use hyper::server::conn;", "hyper::server")
            && !mentions("tokio::hyper::server", "hyper::server")
    );
    assert!(!code("// crate::app\n    /// crate::app\nlet x = 1; // crate::app").contains("crate::app"));
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > MAX_LINES)
        .map(|(path, _)| path)
        .collect();
    assert!(long.is_empty(), "more than {MAX_LINES} lines: {long:?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let mute: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert!(mute.is_empty(), "no `//!` head: {mute:?}");
}

#[test]
fn no_file_is_a_drawer() {
    let drawers: Vec<_> = sources()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| {
            path.components()
                .any(|part| NO_NAMES.contains(&part.as_os_str().to_str().unwrap().trim_end_matches(".rs")))
        })
        .collect();
    assert!(drawers.is_empty(), "named after nothing: {drawers:?}");
}

/// A fixture without a test rots: each folder that builds a guest is named by a test.
#[test]
fn every_guest_is_tested() {
    let tests: String = files("tests/integration", ".rs").into_iter().map(|(_, text)| text).collect();
    let folder = |manifest: &Path, levels: usize| {
        let name = manifest.ancestors().nth(levels).and_then(Path::file_name).expect("a folder");
        name.to_str().expect("text").to_owned()
    };
    let mut guests: BTreeSet<String> = files("guests", "Cargo.toml")
        .into_iter()
        .filter(|(path, _)| {
            path.parent().is_some_and(|folder| folder.ends_with("p2") || folder.ends_with("p3"))
        })
        .map(|(path, _)| folder(&path, 2))
        .collect();
    for (language, main) in [("js", "app.js"), ("py", "app.py")] {
        if root().join("guests").join(language).exists() {
            let apps = files(&format!("guests/{language}"), main);
            guests.extend(apps.iter().map(|(path, _)| format!("{}-{language}", folder(path, 1))));
        }
    }
    assert!(guests.len() > 10, "{guests:?}");
    let untested: Vec<_> = guests.iter().filter(|name| !tests.contains(&format!("\"{name}\""))).collect();
    assert!(untested.is_empty(), "no test names {untested:?}");
}
