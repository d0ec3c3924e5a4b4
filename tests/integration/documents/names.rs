//! Names of flags, keys and variables in text: there is what has such a name.

use std::collections::BTreeSet;
use std::process::Command;

use super::markdown::{Page, pages};
use super::none;
use crate::support::guest::root;

/// Flags of others that pages speak of.
const OTHERS: [&str; 5] = [
    "--baseline",
    "--query.max-clock-skew-adjustment",
    "--enable-feature",
    "--release",
    "--import-interface-name",
];
/// Variables that have a meaning to the tests alone.
const OF_TESTS: &str = "POUNCE_TEST_COMMAND";

/// Pages about what is: of what was, the changelog speaks.
fn of_now() -> Vec<Page> {
    let mut pages = pages();
    pages.retain(|page| page.path != std::path::Path::new("CHANGELOG.md"));
    pages
}

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pounce")).args(words).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn flags_exist() {
    let all = help(&[]);
    let commands =
        all.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let mut flags = BTreeSet::new();
    for command in commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        let text = help(&[command]);
        let words = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-'));
        flags.extend(words.filter(|word| word.starts_with("--")).map(str::to_owned));
    }
    assert!(flags.len() > 80, "{flags:?}");
    let mut faults = Vec::new();
    for page in of_now() {
        for (line, code) in page.code() {
            let flag = code.split([' ', '=']).next().unwrap();
            if flag.starts_with("--") && flag.len() > 2 && !flags.contains(flag) && !OTHERS.contains(&flag) {
                faults.push(format!("{}:{line}: {flag}", page.path.display()));
            }
        }
    }
    none("flags that do not exist", &faults);
}

/// Keys that no attribute of a span looks like, since they have a hyphen; variables of Pounce and of OpenTelemetry.
#[test]
fn keys_and_variables_exist() {
    let pages = of_now();
    let configuration = pages.iter().find(|page| page.path.ends_with("docs/configuration.md")).unwrap();
    let keys: BTreeSet<_> =
        configuration.prose.iter().filter_map(|(_, line)| line.strip_prefix("### ")).collect();
    let variables: BTreeSet<_> = configuration.code().into_iter().map(|(_, code)| code).collect();
    assert!(keys.len() > 70 && variables.len() > keys.len(), "{keys:?}");
    let mut faults = Vec::new();
    for page in pages.iter().filter(|page| page.path.starts_with("docs") || page.path.ends_with("README.md"))
    {
        for (line, code) in page.code() {
            let name = code.split([' ', '=', ',']).next().unwrap();
            let (section, key) = name.split_once('.').unwrap_or((name, ""));
            let is_key = matches!(section, "http" | "guest" | "otel" | "admin" | "log")
                && key.contains('-')
                && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            let prefix = name.split(['*', '…', '[']).next().unwrap();
            let is_variable = prefix.starts_with("OTEL_") || prefix.starts_with("POUNCE_");
            let is_known = keys.contains(name)
                || name == OF_TESTS
                || variables.iter().any(|known| known.starts_with(prefix));
            if (is_key || is_variable) && !is_known {
                faults.push(format!("{}:{line}: {name}", page.path.display()));
            }
        }
    }
    none("keys and variables that do not exist", &faults);
}

/// Folders of the repository; a path in text that begins with one of them is a file's or a folder's.
const FOLDERS: [&str; 12] = [
    "benches", "crates", "docs", "examples", "findings", "fuzz", "guests", "kits", "ops", "scripts", "src",
    "tests",
];
/// Where the page about the architecture has its paths from, by their first part.
const LAYERS: [(&str, &str); 10] = [
    ("admin", "src/admin"),
    ("app", "src/app"),
    ("cases", "src/cases"),
    ("cli", "src/cli"),
    ("config", "src/config"),
    ("guest", "src/guest"),
    ("host", "src/host"),
    ("otlp", "crates/otlp/src"),
    ("server", "src/server"),
    ("telemetry", "crates/telemetry/src"),
];

#[test]
fn files_exist() {
    let is_path =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte));
    let exists = |path: &str| [path, &format!("{path}.rs")].iter().any(|path| root().join(path).exists());
    let (mut count, mut faults) = (0, Vec::new());
    for page in of_now() {
        let is_architecture = page.path.ends_with("architecture.md");
        for (line, code) in page.code().into_iter().filter(|(_, code)| is_path(code)) {
            let Some((first, rest)) = code.split_once('/') else { continue };
            let layer = LAYERS.iter().find(|(name, _)| *name == first && is_architecture);
            let path = match layer {
                Some((_, folder)) => format!("{folder}/{rest}"),
                None if FOLDERS.contains(&first) => code.clone(),
                None => continue,
            };
            count += 1;
            let path = path.trim_end_matches('/');
            // A README speaks of its folder as well. What tools make is not there before they have run.
            let beside = page.path.with_file_name(path);
            if !exists(path) && !exists(&beside.to_string_lossy()) && !path.contains("/build/") {
                faults.push(format!("{}:{line}: {code}", page.path.display()));
            }
        }
    }
    assert!(count > 100, "{count} paths");
    none("files that do not exist", &faults);
}
