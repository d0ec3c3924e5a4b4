//! `pounce test`: the repository's own case files, and what the command says and does of any.

/// Mocks, calls that nothing answers, calls that may pass.
mod calls;
/// Diffs, and all the ways in which a case can fail.
mod failing;
/// The case files of `tests/cases`, each with the guests that it is about, and the examples of the docs.
mod files;
/// What goes wrong before a case runs.
mod mistakes;
/// Reports in forms of others, and files that are updated.
mod reports;
/// Many cases at once.
mod together;

use std::path::{Path, PathBuf};

use crate::support::exit::Exit;
use crate::support::guest::root;
use crate::support::pounce;

/// A file of cases of its own, gone when the test is over.
struct Cases {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Cases {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cases.toml");
        std::fs::write(&path, text).unwrap();
        Self { _folder: folder, path }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }

    /// Runs it with a component.
    async fn run(&self, component: &Path) -> Exit {
        self.run_with(component, &[]).await
    }

    async fn run_with(&self, component: &Path, args: &[&str]) -> Exit {
        let builder = pounce().command("test").component(component).flag("--cases", self.path.display());
        args.iter().fold(builder, |builder, arg| builder.arg(*arg)).run().await
    }
}

/// A case with these lines, called `a`.
fn case(lines: &str) -> String {
    format!("[[case]]\nname = \"a\"\nrequest = \"GET /\"\n{lines}\n")
}

/// What was said, without times and where code lies.
fn settled(said: &str) -> String {
    let mut out = String::new();
    for line in said.lines() {
        let line = match line.rsplit_once(", ").filter(|(_, last)| last.ends_with(" ms)")) {
            Some((before, _)) => format!("{before}, TIME)"),
            None => line.to_owned(),
        };
        let line = match line.rsplit_once(" in ").filter(|(_, last)| last.ends_with(" s")) {
            Some((before, _)) => format!("{before} in TIME"),
            None => line,
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// Compares with the committed text of this name; `BLESS=1` writes it, to be read before it is committed.
fn matches(name: &str, said: &str) {
    let path = root().join("tests/integration/snapshots/cases").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        return std::fs::write(&path, said).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(said, committed, "{} is other than committed; BLESS=1 writes it", path.display());
}
