//! Finds the component that a developer means who has named none.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where tools put components, beside Cargo's own folders.
const FOLDERS: [&str; 3] = [".", "dist", "build"];
/// How projects are built that have such a file; the first also where there is none of them.
const BUILDS: [(&str, &str); 3] = [
    ("Cargo.toml", "cargo build --target wasm32-wasip2"),
    ("package.json", "npm run build"),
    ("app.py", "componentize-py -d wit -w guest componentize app -o app.wasm"),
];
/// How a component in binary form begins, and how a core module does.
const COMPONENT: &[u8; 8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8; 8] = b"\0asm\x01\0\0\0";
/// Files that a message names.
const MAX_NAMED: usize = 8;

/// A component that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Why this one.
    pub(super) why: &'static str,
}

/// A file that may be meant.
#[derive(Debug)]
struct Candidate {
    path: PathBuf,
    name: String,
    written: SystemTime,
}

/// The one component in the places where tools put them; `built` is when the developer's own build began, if there was one.
///
/// # Errors
/// There is none, or it cannot be told which one is meant: what to do.
pub(super) fn component(built: Option<SystemTime>) -> Result<Found, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let mut folders: Vec<_> = FOLDERS.iter().map(PathBuf::from).collect();
    folders.extend(of_cargo(&target));
    choose(&folders, built)
}

/// Cargo's folders for all targets of WebAssembly.
fn of_cargo(target: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(target).into_iter().flatten().flatten();
    let mut targets: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("wasm32-"))
        .map(|entry| entry.path())
        .collect();
    targets.sort();
    targets.iter().flat_map(|target| ["debug", "release"].map(|profile| target.join(profile))).collect()
}

fn choose(folders: &[PathBuf], built: Option<SystemTime>) -> Result<Found, String> {
    let (mut found, modules) = look(folders);
    if found.is_empty() {
        return Err(none(folders, &modules));
    }
    // The newest first.
    found.sort_by(|one, two| two.written.cmp(&one.written).then_with(|| one.path.cmp(&two.path)));
    let is_alone = |candidates: &[Candidate]| {
        candidates.first().is_some_and(|first| candidates.iter().all(|other| other.name == first.name))
    };
    if is_alone(&found) {
        let why = match (found.len(), built) {
            (1, _) => "it is the only component here",
            _ => "it is the newest of this name",
        };
        return Ok(Found { path: found.swap_remove(0).path, why });
    }
    if let Some(built) = built {
        let written = found.iter().take_while(|candidate| candidate.written >= built).count();
        if is_alone(&found[..written]) {
            return Ok(Found { path: found.swap_remove(0).path, why: "the build has just written it" });
        }
    }
    let mut message = "there are several components here:".to_owned();
    for candidate in found.iter().take(MAX_NAMED) {
        let _infallible = write!(message, "\n  {}", candidate.path.display());
    }
    if found.len() > MAX_NAMED {
        let _infallible = write!(message, "\n  and {} more", found.len() - MAX_NAMED);
    }
    let _infallible =
        write!(message, "\n  tip: name the one that is to be served: pounce dev {}", found[0].path.display());
    Err(message)
}

/// Components in these folders, and core modules.
fn look(folders: &[PathBuf]) -> (Vec<Candidate>, Vec<PathBuf>) {
    let (mut components, mut modules) = (Vec::new(), Vec::new());
    for folder in folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "wasm") {
                continue;
            }
            let path = path.strip_prefix("./").map(Path::to_path_buf).unwrap_or(path);
            let mut head = [0; 8];
            let read = File::open(&path).and_then(|mut file| file.read_exact(&mut head));
            match (read, &head) {
                (Ok(()), COMPONENT) => {
                    let written = entry.metadata().and_then(|metadata| metadata.modified());
                    let name = entry.file_name().to_string_lossy().into_owned();
                    components.push(Candidate {
                        path,
                        name,
                        written: written.unwrap_or(SystemTime::UNIX_EPOCH),
                    });
                }
                (Ok(()), MODULE) => modules.push(path),
                _ => {}
            }
        }
    }
    (components, modules)
}

fn none(folders: &[PathBuf], modules: &[PathBuf]) -> String {
    let is_there = |(file, _): &&(&str, _)| folders.first().is_some_and(|here| here.join(file).is_file());
    let (_, build) = BUILDS.iter().find(is_there).unwrap_or(&BUILDS[0]);
    match modules {
        [] => format!(
            "there is no component here: looked in ., dist, build and target/wasm32-*/debug and release\n  tip: name its \
             file (pounce dev app.wasm), or say how it is built (pounce dev --build '{build}')"
        ),
        [first, ..] => format!(
            "there is no component here, only the core module {}\n  tip: build a component: `cargo build --target \
             wasm32-wasip2` (Rust), `componentize-js` (JavaScript), `componentize-py` (Python), or wrap the module with \
             `wasm-tools component new`",
            first.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Files with what they begin with, each written a minute after the one before.
    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (minute, (name, head)) in (0..).zip(files) {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, head).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(at(minute)).unwrap();
        }
        folder
    }

    fn at(minute: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + 60 * minute)
    }

    fn found(files: &[(&str, &[u8])], built: Option<SystemTime>) -> Result<(String, &'static str), String> {
        let folder = folder(files);
        let mut folders: Vec<_> = FOLDERS.iter().map(|name| folder.path().join(name)).collect();
        folders.extend(of_cargo(&folder.path().join("target")));
        let place = format!("{}/", folder.path().display());
        match choose(&folders, built) {
            Ok(found) => {
                Ok((found.path.display().to_string().replace(&place, "").replace("./", ""), found.why))
            }
            Err(why) => Err(why.replace(&place, "").replace("./", "")),
        }
    }

    #[test]
    fn the_only_component_is_taken() {
        let files: &[(&str, &[u8])] =
            &[("app.wasm", COMPONENT), ("core.wasm", MODULE), ("empty.wasm", b""), ("notes.txt", b"")];
        assert_eq!(found(files, None), Ok(("app.wasm".to_owned(), "it is the only component here")));
    }

    #[test]
    fn of_one_name_the_newest_is_taken() {
        let files: &[(&str, &[u8])] = &[
            ("target/wasm32-wasip2/release/app.wasm", COMPONENT),
            ("target/wasm32-wasip2/debug/app.wasm", COMPONENT),
            ("target/wasm32-wasip2/debug/deps/app.wasm", COMPONENT),
            ("target/debug/host.wasm", COMPONENT),
        ];
        let expected = ("target/wasm32-wasip2/debug/app.wasm".to_owned(), "it is the newest of this name");
        assert_eq!(found(files, None), Ok(expected));
    }

    #[test]
    fn of_several_names_the_one_that_was_just_built_is_taken() {
        let files: &[(&str, &[u8])] = &[("old.wasm", COMPONENT), ("dist/new.wasm", COMPONENT)];
        let expected = ("dist/new.wasm".to_owned(), "the build has just written it");
        assert_eq!(found(files, Some(at(1))), Ok(expected));
        let several = found(files, None).unwrap_err();
        assert_eq!(
            several,
            "there are several components here:\n  dist/new.wasm\n  old.wasm\n  tip: name the one that is to be served: \
             pounce dev dist/new.wasm"
        );
        assert_eq!(found(files, Some(at(9))).unwrap_err(), several, "the build wrote none of them");
        assert_eq!(found(files, Some(at(0))).unwrap_err(), several, "and here both");
    }

    #[test]
    fn where_there_is_none_it_is_said_what_to_do() {
        for (file, build) in [
            ("notes.txt", "cargo build"),
            ("Cargo.toml", "cargo build"),
            ("package.json", "npm run build"),
            ("app.py", "componentize-py"),
        ] {
            let said = found(&[(file, b"")], None).unwrap_err();
            assert!(said.contains(&format!("pounce dev --build '{build}")), "{said}");
        }
        let files: &[(&str, &[u8])] = &[("target/wasm32-wasip1/debug/app.wasm", MODULE)];
        assert!(
            found(files, None)
                .unwrap_err()
                .contains("only the core module target/wasm32-wasip1/debug/app.wasm")
        );
    }
}
