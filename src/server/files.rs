//! Files that change while the server runs.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

/// Time between two looks at files. By looking, also links that are put in place of others are noticed, as Kubernetes
/// does, and file systems that tell of nothing.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// What tells a file from the one that was there before: device, number, length, and when it was written and made.
type Stamp = [i64; 7];

/// Files, as they were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    paths: Vec<PathBuf>,
    /// At the last look.
    seen: Vec<Option<Stamp>>,
    /// When they were read.
    read: Option<Vec<Option<Stamp>>>,
}

impl Files {
    /// These files, of which nobody has read any.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, ..Self::default() }
    }

    /// These files, which have just been read.
    pub(crate) fn as_read(paths: Vec<PathBuf>) -> Self {
        let mut files = Self::new(paths);
        files.seen = files.look();
        files.have_been_read(true);
        files
    }

    /// Whether they have changed since they were read, and not since the last look: a certificate and its key are
    /// written one after the other.
    pub(crate) fn have_settled(&mut self) -> bool {
        let stamps = self.look();
        let have_settled = stamps == self.seen && self.read.as_ref() != Some(&stamps);
        self.seen = stamps;
        have_settled
    }

    /// They are read as they are now; if that went wrong, they will be once more.
    pub(crate) fn have_been_read(&mut self, well: bool) {
        self.read = well.then(|| self.seen.clone());
    }

    fn look(&self) -> Vec<Option<Stamp>> {
        let stamp = |path: &PathBuf| std::fs::metadata(path).ok().as_ref().map(stamp_of);
        self.paths.iter().map(stamp).collect()
    }
}

fn stamp_of(file: &Metadata) -> Stamp {
    let of = |number: u64| i64::from_ne_bytes(number.to_ne_bytes());
    [
        of(file.dev()),
        of(file.ino()),
        of(file.len()),
        file.mtime(),
        file.mtime_nsec(),
        file.ctime(),
        file.ctime_nsec(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_when_they_have_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let mut files = Files::new(vec![path.clone()]);
        assert!(!files.have_settled() && files.have_settled(), "nobody has read them yet");
        files.have_been_read(true);
        assert!(!files.have_settled() && !files.have_settled());
        std::fs::write(&path, "other").unwrap();
        assert!(!files.have_settled(), "more may come");
        assert!(files.have_settled());
        files.have_been_read(false);
        assert!(files.have_settled(), "it is tried again");
        files.have_been_read(true);
        // Another file behind the same name.
        let other = folder.path().join("other");
        std::fs::write(&other, "other").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(!files.have_settled() && files.have_settled());
        std::fs::remove_file(&path).unwrap();
        assert!(!files.have_settled() && files.have_settled(), "gone is changed, too");
        let mut read = Files::as_read(vec![path.clone()]);
        assert!(!read.have_settled(), "it was read as it is");
        std::fs::write(&path, "again").unwrap();
        assert!(!read.have_settled() && read.have_settled());
    }
}
