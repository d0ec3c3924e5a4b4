//! The kits: what a project begins with, by language. Their files are in `kits/`, ready but for the project's name.

use super::write::Planned;

/// What the files call the project.
const NAME: &str = "kit-name";

/// What a project in one language begins with.
#[derive(Debug)]
pub(super) struct Kit {
    /// As it is typed.
    pub(super) id: &'static str,
    /// Other ways to type it.
    pub(super) aliases: &'static [&'static str],
    /// As it is written.
    pub(super) language: &'static str,
    files: &'static [File],
    /// What to type next, and why; `kit-name` is the project.
    steps: &'static [(&'static str, &'static str)],
}

/// A file of a kit: where it is in `kits/LANG`, and what it holds.
#[derive(Debug)]
struct File {
    path: &'static str,
    text: &'static str,
}

/// Lists the files of `kits/LANG`.
macro_rules! files {
    ($kit:literal: $($path:literal)*) => {
        &[$(File {
            path: $path,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/kits/", $kit, "/", $path)),
        }),*]
    };
}

/// All of them, in the order in which they are told.
pub(super) const KITS: [&Kit; 3] = [&RUST, &JAVASCRIPT, &PYTHON];

const RUST: Kit = Kit {
    id: "rust",
    aliases: &["rs"],
    language: "Rust",
    files: files!("rust":
        ".cargo/config.toml" ".github/workflows/ci.yml" ".gitignore.in" "Cargo.toml.in" "README.md" "cases.toml" "src/lib.rs"
        "pounce-guest/Cargo.toml.in" "pounce-guest/README.md" "pounce-guest/macros/Cargo.toml.in"
        "pounce-guest/macros/src/arguments.rs" "pounce-guest/macros/src/expand.rs" "pounce-guest/macros/src/lib.rs"
        "pounce-guest/src/bindings.rs" "pounce-guest/src/instrument.rs" "pounce-guest/src/layer.rs"
        "pounce-guest/src/lib.rs" "pounce-guest/src/logs.rs" "pounce-guest/src/metrics.rs" "pounce-guest/src/panic.rs"
        "pounce-guest/src/propagation.rs" "pounce-guest/src/request.rs" "pounce-guest/src/span.rs"
        "pounce-guest/src/traced.rs" "pounce-guest/src/tracing.rs" "pounce-guest/src/value.rs"
        "pounce-guest/wit/telemetry.wit"
    ),
    steps: &[
        ("rustup target add wasm32-wasip2", "once for this machine"),
        ("pounce dev --build 'cargo build'", "serves it, http://127.0.0.1:8080/hello/world"),
        ("pounce test target/wasm32-wasip2/debug/kit_name.wasm --cases cases.toml", "tests its trace"),
    ],
};

const JAVASCRIPT: Kit = Kit {
    id: "js",
    aliases: &["javascript"],
    language: "JavaScript",
    files: files!("js":
        ".github/workflows/ci.yml" ".gitignore.in" "README.md" "cases.toml" "package.json" "src/app.js" "wit/world.wit"
        "wit/deps/cli.wit" "wit/deps/clocks.wit" "wit/deps/http.wit" "wit/deps/io.wit" "wit/deps/random.wit"
        "wit/deps/telemetry.wit" "wit/deps/wasi-config.wit"
        "pounce-guest/README.md" "pounce-guest/index.d.ts" "pounce-guest/index.js" "pounce-guest/package.json"
        "pounce-guest/wit/telemetry.wit"
    ),
    steps: &[
        ("npm install", "componentize-js and esbuild"),
        ("pounce dev --build 'npm run build'", "serves it, http://127.0.0.1:8080/hello/world"),
        ("pounce test dist/kit-name.wasm --cases cases.toml", "tests its trace"),
    ],
};

const PYTHON: Kit = Kit {
    id: "python",
    aliases: &["py"],
    language: "Python",
    files: files!("python":
        ".github/workflows/ci.yml" ".gitignore.in" "README.md" "app.py" "cases.toml" "requirements.txt" "wit/world.wit"
        "wit/deps/cli.wit" "wit/deps/clocks.wit" "wit/deps/http.wit" "wit/deps/io.wit" "wit/deps/random.wit"
        "wit/deps/telemetry.wit"
        "pounce_guest/__init__.py" "pounce_guest/_host.py" "pounce_guest/_request.py" "pounce_guest/_spans.py"
        "pounce_guest/_values.py" "pounce_guest/logs.py" "pounce_guest/metrics.py" "pounce_guest/propagation.py"
        "pounce_guest/py.typed"
    ),
    steps: &[
        ("python3 -m venv .venv && . .venv/bin/activate", "a place for what is installed"),
        ("pip install -r requirements.txt", "componentize-py"),
        (
            "pounce dev --build 'componentize-py -d wit -w guest componentize app -o kit-name.wasm'",
            "serves it, http://127.0.0.1:8080/hello/world",
        ),
        ("pounce test kit-name.wasm --cases cases.toml", "tests its trace"),
    ],
};

/// The kit of the language that was typed.
pub(super) fn find(typed: &str) -> Option<&'static Kit> {
    KITS.into_iter().find(|kit| kit.id == typed || kit.aliases.contains(&typed))
}

impl Kit {
    /// The files of a project of this name.
    pub(super) fn files(&self, name: &str) -> Vec<Planned> {
        let planned = |file: &File| Planned {
            // Under its own name Cargo would leave the folder out of Pounce's package, and git what the kit ignores.
            path: file.path.strip_suffix(".in").unwrap_or(file.path),
            text: named(file.text, name),
        };
        self.files.iter().map(planned).collect()
    }

    /// What to type next in a project of this name, and why.
    pub(super) fn steps(&self, name: &str) -> Vec<(String, &'static str)> {
        self.steps.iter().map(|(typed, why)| (named(typed, name), *why)).collect()
    }
}

/// A kit's text with the project's name in place of its own; files that Cargo makes have `_` for `-`.
fn named(text: &str, name: &str) -> String {
    let (theirs, ours) = (NAME.replace('-', "_"), name.replace('-', "_"));
    // What has been put in is not looked at again: a project may be called as a kit is.
    text.split(NAME).map(|piece| piece.replace(&theirs, &ours)).collect::<Vec<_>>().join(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// The files below a folder, from there; links are followed.
    fn found(folder: &Path, below: &str, into: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder.join(below)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            match folder.join(&path).is_dir() {
                true => found(folder, &path, into),
                false => assert!(into.insert(path)),
            }
        }
    }

    #[test]
    fn every_file_of_a_kit_is_written() {
        for kit in KITS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kits").join(kit.id);
            let mut there = BTreeSet::new();
            found(&folder, "", &mut there);
            there.retain(|path| !path.contains("__pycache__"));
            let listed: BTreeSet<_> = kit.files.iter().map(|file| file.path.to_owned()).collect();
            assert_eq!(listed, there, "{}", kit.id);
        }
    }

    #[test]
    fn a_project_may_be_called_as_a_kit_is() {
        let text = "kit-name and kit_name.wasm";
        assert_eq!(named(text, "a_kit_name"), "a_kit_name and a_kit_name.wasm");
        assert_eq!(named(text, "my-kit-name"), "my-kit-name and my_kit_name.wasm");
    }

    #[test]
    fn nothing_is_replaced_but_the_name() {
        for kit in KITS {
            for (file, planned) in kit.files.iter().zip(kit.files("my-shop")) {
                assert!(
                    !planned.text.contains("kit-name") && !planned.text.contains("kit_name"),
                    "{}",
                    file.path
                );
                assert_eq!(planned.text.replace("my-shop", NAME).replace("my_shop", "kit_name"), file.text);
            }
        }
    }
}
