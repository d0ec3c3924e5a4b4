//! Files that are written in the place of others: whole or not at all where that can be, and as they were otherwise.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{Error, Result, Write as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

/// Finds out whether a report can be written, before anything has run for it; what is there stays until then.
///
/// # Errors
/// Why it can't.
pub(super) fn check(path: &Path) -> Result<()> {
    // To open a pipe would wait for somebody who reads.
    if fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return Ok(());
    }
    OpenOptions::new().append(true).create(true).open(path).map(drop)
}

/// Writes a file. One that is there keeps its mode, its owner, and the links that lead to it; a pipe or a device is written
/// to.
///
/// # Errors
/// It can't be written; it is as it was, then, unless it could only be written in place.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    match fs::metadata(path) {
        Ok(there) if there.is_file() && there.nlink() == 1 => {
            let path = fs::canonicalize(path)?;
            // The folder may be another's, or the owner nobody whom we may give a file to.
            match draft(&path, content, |file, draft| keep(&there, file, draft)) {
                Ok(draft) => fs::rename(&draft, &path).inspect_err(|_| discard(&draft)),
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    fs::write(&path, content)
                }
                Err(error) => Err(error),
            }
        }
        _ => fs::write(path, content),
    }
}

/// Writes a new file that takes the place of one that is there: whole or not at all.
///
/// # Errors
/// It can't be written; what was there is as it was.
pub(super) fn whole(path: &Path, content: &[u8]) -> Result<()> {
    let draft = draft(path, content, |_, _| Ok(()))?;
    fs::rename(&draft, path).inspect_err(|_| discard(&draft))
}

/// The content in a new file beside `path`; `prepare` makes of the file what it should be before there is anything in it.
fn draft(path: &Path, content: &[u8], prepare: impl FnOnce(&File, &Path) -> Result<()>) -> Result<PathBuf> {
    let mut name = path.file_name().ok_or_else(|| Error::other("it names no file"))?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let draft = path.with_file_name(name);
    // Left by a process that ended too soon and had the same number, as all of a container's have.
    discard(&draft);
    let written = File::create_new(&draft).and_then(|mut file| {
        prepare(&file, &draft)?;
        file.write_all(content)?;
        file.sync_all()
    });
    written.inspect_err(|_| discard(&draft)).map(|()| draft)
}

/// Gives a file the mode and the owner of the one `there`.
fn keep(there: &Metadata, file: &File, path: &Path) -> Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (there.uid(), there.gid()) {
        chown(path, Some(there.uid()), Some(there.gid()))?;
    }
    file.set_permissions(there.permissions())
}

fn discard(draft: &Path) {
    // What could not be written may not be there to be removed.
    drop(fs::remove_file(draft));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_is_replaced_stays_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        check(&link).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        replace(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no draft is left");
        let null = Path::new("/dev/null");
        check(null).and_then(|()| replace(null, b"gone")).unwrap();
        assert!(fs::metadata(null).unwrap().file_type().is_char_device());
        assert!(check(folder.path()).is_err() && check(&folder.path().join("not/there")).is_err());
    }
}
