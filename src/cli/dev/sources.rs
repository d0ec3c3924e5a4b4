//! Sources that a build is made of, and which of them have changed.
//!
//! They are looked at, as all files that Pounce watches (`server/files`): that also works where no file system tells of
//! changes. A file has changed if its bytes have, not only its times: a build that writes one of its own sources anew, as it
//! was, is no reason to build again.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Folders that hold what tools write, not what people do; hidden ones are left out as well.
const LEFT_OUT: [&str; 6] = ["target", "node_modules", "dist", "build", "__pycache__", "venv"];
/// Files that are looked at; who has more names the folders that matter.
const MAX_FILES: usize = 20_000;
/// Bytes up to which files are compared by what is in them, and of all files that are read in one look; others are compared
/// by their times.
const MAX_COMPARED: u64 = 4 << 20;
const MAX_READ: u64 = 256 << 20;

/// What tells a file from the one that was there before, without reading it.
type Stamp = [i64; 4];

/// Device and inode of a file.
type Identity = (u64, u64);

/// All sources, as they were when they were looked at.
#[derive(Default)]
pub(super) struct Tree {
    roots: Vec<PathBuf>,
    /// What Pounce itself writes to: if that is below a root (`2> dev.log`), each build would change it.
    outputs: Vec<Identity>,
    files: BTreeMap<PathBuf, Seen>,
    /// There are more than are looked at.
    pub(super) is_too_large: bool,
}

struct Seen {
    stamp: Stamp,
    /// None for one that is too large to be read each time.
    digest: Option<blake3::Hash>,
}

impl Tree {
    /// The sources below these folders.
    pub(super) fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots, outputs: outputs(), ..Self::default() }
    }

    /// Looks at all sources, and tells which are other than at the look before, or were not there, or are gone.
    pub(super) fn look(&mut self) -> Vec<PathBuf> {
        let mut found = BTreeMap::new();
        self.is_too_large = !self.roots.iter().all(|root| walk(root, &self.outputs, &mut found));
        let mut changed = Vec::new();
        self.files.retain(|path, _| {
            let is_there = found.contains_key(path);
            if !is_there {
                changed.push(path.clone());
            }
            is_there
        });
        let mut room = MAX_READ;
        for (path, metadata) in found {
            let stamp = stamp_of(&metadata);
            let before = self.files.get(&path);
            if before.is_some_and(|before| before.stamp == stamp) {
                continue;
            }
            let is_compared = metadata.len() <= MAX_COMPARED.min(room);
            let digest = is_compared.then(|| digest_of(&path)).flatten();
            room -= if is_compared { metadata.len() } else { 0 };
            let is_same = before.is_some_and(|before| digest.is_some() && before.digest == digest);
            if !is_same {
                changed.push(path.clone());
            }
            self.files.insert(path, Seen { stamp, digest });
        }
        changed
    }
}

/// Finds all sources below `folder`; false if there are too many. Links to folders are not followed: they may lead in
/// circles.
fn walk(folder: &Path, outputs: &[Identity], found: &mut BTreeMap<PathBuf, Metadata>) -> bool {
    // A folder may go while it is looked at.
    let Ok(entries) = std::fs::read_dir(folder) else { return true };
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            if !name.starts_with('.') && !LEFT_OUT.contains(&&*name) && !walk(&path, outputs, found) {
                return false;
            }
            continue;
        }
        // Of files that begin with a dot most are what editors keep beside what they edit.
        let is_left_out = [".wasm", ".cwasm", "~"].iter().any(|end| name.ends_with(end));
        if name.starts_with('.') || is_left_out {
            continue;
        }
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        if metadata.is_file() && !outputs.contains(&identity_of(&metadata)) {
            if found.len() >= MAX_FILES {
                return false;
            }
            // `./src/lib.rs` is `src/lib.rs` to who reads of it.
            let path = path.strip_prefix("./").map(Path::to_path_buf).unwrap_or(path);
            found.insert(path, metadata);
        }
    }
    true
}

/// The files that standard output and standard error are.
fn outputs() -> Vec<Identity> {
    let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
    let identity = |fd: BorrowedFd<'_>| {
        let metadata = std::fs::File::from(fd.try_clone_to_owned().ok()?).metadata().ok()?;
        Some(identity_of(&metadata))
    };
    [stdout.as_fd(), stderr.as_fd()].into_iter().filter_map(identity).collect()
}

fn identity_of(file: &Metadata) -> Identity {
    (file.dev(), file.ino())
}

fn stamp_of(file: &Metadata) -> Stamp {
    let of = |number: u64| i64::from_ne_bytes(number.to_ne_bytes());
    [of(file.ino()), of(file.len()), file.mtime(), file.mtime_nsec()]
}

fn digest_of(path: &Path) -> Option<blake3::Hash> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(MAX_COMPARED).read_to_end(&mut bytes).ok()?;
    Some(blake3::hash(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_have_changed_when_their_bytes_have() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        };
        let mut tree = Tree::new(vec![folder.path().to_owned()]);
        assert_eq!(tree.look(), [""; 0].map(PathBuf::from));
        let source = write("src/lib.rs", "one");
        for name in ["target/x.rs", "node_modules/a/b.js", ".git/HEAD", "app.wasm", ".lib.rs.swp", "lib.rs~"]
        {
            write(name, "no source");
        }
        assert_eq!(tree.look(), std::slice::from_ref(&source));
        assert!(tree.look().is_empty());
        write("src/lib.rs", "one");
        assert!(tree.look().is_empty(), "written as it was");
        write("src/lib.rs", "two");
        let other = write("src/other.rs", "");
        assert_eq!(tree.look(), [source.clone(), other.clone()]);
        std::fs::remove_file(&other).unwrap();
        assert_eq!(tree.look(), [other]);
        let log = write("dev.log", "one");
        tree.outputs = vec![identity_of(&std::fs::metadata(&log).unwrap())];
        assert!(tree.look().is_empty(), "what Pounce writes itself");
        let draft = write("draft", "three");
        assert_eq!(tree.look(), std::slice::from_ref(&draft));
        std::fs::rename(&draft, &source).unwrap();
        assert_eq!(tree.look(), [draft, source], "as editors save");
    }
}
