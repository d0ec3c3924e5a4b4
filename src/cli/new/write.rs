//! Writes a project's files, all of them or none.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::config::Mistake;

/// A file of a project.
#[derive(Debug)]
pub(super) struct Planned {
    /// Where, from the project's folder.
    pub(super) path: &'static str,
    pub(super) text: String,
}

/// Why there is no project.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The folder that was typed is not the right one.
    Mistake(Mistake),
    /// It could not be written.
    Failure(String),
}

/// Writes the files into a folder beside `folder`, which then takes its place: there is a whole project or none.
///
/// # Errors
/// There is something already, or it could not be written.
pub(super) fn project(folder: &Path, files: &[Planned]) -> Result<(), Refusal> {
    is_free(folder)?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        let (what, hint) =
            ("is in a folder that is not there", format!("make it first: mkdir -p {}", parent.display()));
        return Err(Refusal::Mistake(Mistake::new(folder.display().to_string(), what, hint)));
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let draft = Draft(parent.join(format!(".{name}.new-{}", std::process::id())));
    let failed = |path: &Path, error: io::Error| {
        let hint = match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                format!(
                    "name a folder that you may write to, or give yourself the right to write to {}",
                    parent.display()
                )
            }
            _ => "mend that, then run it again: nothing of the project is left".to_owned(),
        };
        Refusal::Failure(format!("{}: can't be written: {error}\n  tip: {hint}", path.display()))
    };
    // Not one that is there: it would be somebody else's.
    fs::create_dir(&draft.0).map_err(|error| failed(folder, error))?;
    for file in files {
        write(&draft.0.join(file.path), &file.text)
            .map_err(|error| failed(&folder.join(file.path), error))?;
    }
    // Takes the place of an empty folder as well, and of no other.
    fs::rename(&draft.0, folder).map_err(|error| match error.kind() {
        ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => not_empty(folder),
        _ => failed(folder, error),
    })
}

fn is_free(folder: &Path) -> Result<(), Refusal> {
    let mistake = |what: &str, hint: &str| {
        Err(Refusal::Mistake(Mistake::new(folder.display().to_string(), what, hint)))
    };
    match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Refusal::Failure(format!("{}: can't be read: {error}", folder.display()))),
        Ok(found) if !found.is_dir() => mistake("is there already, and is no folder", "choose another name"),
        Ok(_) => match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
            Ok(false) => Ok(()),
            Ok(true) => Err(not_empty(folder)),
            Err(error) => Err(Refusal::Failure(format!("{}: can't be read: {error}", folder.display()))),
        },
    }
}

fn not_empty(folder: &Path) -> Refusal {
    let (what, hint) = ("is there already, and is not empty", "choose another name: nothing is written over");
    Refusal::Mistake(Mistake::new(folder.display().to_string(), what, hint))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).create(parent)?;
    }
    File::create_new(path)?.write_all(text.as_bytes())
}

/// A folder that is gone again unless it has been renamed.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // It is not there any more where all went well.
        _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<Planned> {
        vec![
            Planned { path: "a.txt", text: "a".to_owned() },
            Planned { path: "b/c.txt", text: "c".to_owned() },
        ]
    }

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn all_files_are_written_also_into_an_empty_folder() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("empty")).unwrap();
        for name in ["new", "empty"] {
            let folder = dir.path().join(name);
            project(&folder, &files()).unwrap();
            assert_eq!(entries(&folder), ["a.txt", "b"]);
            assert_eq!(fs::read_to_string(folder.join("b/c.txt")).unwrap(), "c");
        }
        assert_eq!(entries(dir.path()), ["empty", "new"]);
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = files();
        // The parent of this one is a file.
        files.push(Planned { path: "a.txt/d", text: String::new() });
        let refused = project(&dir.path().join("shop"), &files).unwrap_err();
        assert!(matches!(&refused, Refusal::Failure(said) if said.contains("shop/a.txt/d")), "{refused:?}");
        assert_eq!(entries(dir.path()), [""; 0]);
    }
}
