//! What becomes of the cache, of artifacts and of the disk: whatever it is, a server serves the right bytes or says why
//! not. `make hostile-cache` runs more rounds (`POUNCE_HOSTILE_CACHE=200`).

use super::{CACHED, Home, change, says_hello};
use crate::support::pounce::{Builder, Pounce};
use crate::support::{Abi, eventually, for_both_abis};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

for_both_abis!(
    whatever_is_changed_in_the_cache_is_compiled_anew,
    whatever_is_changed_in_an_artifact_is_refused,
    whoever_is_killed_leaves_nothing_wrong,
    an_artifact_that_changes_while_it_is_checked_is_never_half_believed,
);

/// So many rounds, or as many as are asked for.
fn rounds(few: usize) -> usize {
    std::env::var("POUNCE_HOSTILE_CACHE").ok().map_or(few, |text| text.parse().expect("a number of rounds"))
}

/// Does something to a file of so many bytes: `n` says what, chance says where.
fn mutate(path: &Path, n: usize) {
    let whole = std::fs::read(path).unwrap();
    let length = whole.len();
    let anywhere = || fastrand::usize(..length);
    let mut changed = whole.clone();
    match n % 8 {
        // The head of the machine code, any of it, its end with facts and seal, the seal itself.
        0 => return change(path, fastrand::usize(..64)),
        1 | 2 => return change(path, anywhere()),
        3 => return change(path, length - 1 - fastrand::usize(..700)),
        4 => return change(path, length - 1 - fastrand::usize(..88)),
        5 => changed.truncate(anywhere()),
        6 => changed.extend_from_slice(&whole[..fastrand::usize(1..100)]),
        // A hole, as a power cut leaves it; none where there are zeros anyway.
        _ => {
            let from = length - 1 - fastrand::usize(..700);
            let to = length.min(from + 512);
            changed[from..to].fill(0);
            changed[from] = !whole[from];
        }
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(path, changed).unwrap();
}

async fn whatever_is_changed_in_the_cache_is_compiled_anew(abi: Abi) {
    let home = Home::new();
    home.pounce().guest(abi, "hello").start().await.stop().await;
    for n in 0..rounds(16) {
        let [file] = &home.cached()[..] else { panic!("{:?}", home.cached()) };
        mutate(file, n);
        let server = home.pounce().guest(abi, "hello").start().await;
        says_hello(&server).await;
        let exit = server.stop().await;
        assert!(exit.stderr.contains("compiled anew") && !exit.stderr.contains(CACHED), "{n}: {exit}");
    }
    let exit = home.pounce().guest(abi, "hello").start().await.stop().await;
    assert!(exit.stderr.contains(CACHED), "{exit}");
}

async fn whatever_is_changed_in_an_artifact_is_refused(abi: Abi) {
    let home = Home::new();
    let (artifact, _) = home.compile(abi.guest("hello"), &[]).await;
    let whole = std::fs::read(&artifact).unwrap();
    for n in 0..rounds(24) {
        mutate(&artifact, n);
        let exit = home.pounce().component(&artifact).run().await;
        let reasons = "ends too early|changed or damaged|not an artifact|not webassembly|is empty|layout|another machine|signature|signed";
        exit.expect(2, &["app.cwasm", reasons]);
        std::fs::write(&artifact, &whole).unwrap();
        // Every other time there is a sound copy in the cache, which does not stand for what was changed.
        if n % 2 == 0 {
            says_hello(&home.pounce().component(&artifact).start().await).await;
        } else if let Some(copy) = home.cached().pop() {
            std::fs::remove_file(copy).unwrap();
        }
    }
    says_hello(&home.pounce().component(&artifact).start().await).await;
}

/// Two that start with nothing, one of them killed at any moment: the other serves, and so does whoever comes later.
async fn whoever_is_killed_leaves_nothing_wrong(abi: Abi) {
    let begun = Instant::now();
    drop(Home::new().pounce().guest(abi, "hello").start().await);
    let usual = begun.elapsed();
    for _ in 0..rounds(10) {
        let home = Home::new();
        let killed = home.pounce().guest(abi, "hello").begin();
        let mut other = home.pounce().guest(abi, "hello").begin();
        let moment = usual.mul_f64(fastrand::f64() * 2.0);
        tokio::time::sleep(moment).await;
        killed.signal(rustix::process::Signal::KILL);
        killed.wait().await;
        let is_sound = async |server: Pounce| {
            says_hello(&server).await;
            let exit = server.stop().await;
            assert!(!exit.stderr.contains("compiled anew"), "killed after {moment:?}: {exit}");
            exit.stderr.contains(CACHED)
        };
        other.ready().await;
        is_sound(other).await;
        let later = home.pounce().guest(abi, "hello").start().await;
        assert!(is_sound(later).await, "one of the two has compiled it");
    }
}

/// A byte of the file goes back and forth all the time: what is served is right, or nothing is.
async fn an_artifact_that_changes_while_it_is_checked_is_never_half_believed(abi: Abi) {
    let home = Home::new();
    let (artifact, _) = home.compile(abi.guest("hello"), &[]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let changing = std::thread::spawn({
        let (artifact, stop) = (artifact.clone(), stop.clone());
        move || {
            use std::os::unix::fs::FileExt as _;
            let file = std::fs::File::options().write(true).read(true).open(artifact).unwrap();
            let mut byte = [0];
            let at = file.metadata().unwrap().len() / 2;
            file.read_exact_at(&mut byte, at).unwrap();
            while !stop.load(Ordering::Relaxed) {
                file.write_all_at(&[!byte[0]], at).unwrap();
                file.write_all_at(&byte, at).unwrap();
                std::thread::yield_now();
            }
            file.write_all_at(&byte, at).unwrap();
        }
    });
    for n in 0..rounds(16) {
        let mut server = home.pounce().component(&artifact).begin();
        let mut listens = false;
        eventually("the server to be ready, or to have ended", async || {
            listens = server.stdout().contains("listening on");
            listens || !server.is_alive()
        })
        .await;
        if listens {
            server.ready().await;
            for _ in 0..5 {
                says_hello(&server).await;
            }
        } else {
            server.wait().await.expect(2, &["changed or damaged"]);
        }
        // With a copy that is sound, and without.
        if n % 2 == 0 {
            home.cached().iter().for_each(|file| std::fs::remove_file(file).unwrap());
        }
    }
    stop.store(true, Ordering::Relaxed);
    changing.join().unwrap();
    says_hello(&home.pounce().component(&artifact).start().await).await;
}

/// A server that serves without what it could not keep, and says so in one line.
async fn does_without(server: Builder, said: &[&str]) {
    let server = server.start().await;
    says_hello(&server).await;
    let exit = server.stop().await;
    for part in said {
        assert!(exit.stderr.contains(part), "{part:?}: {exit}");
    }
    assert!(!exit.stderr.contains(CACHED), "{exit}");
    assert_eq!(exit.stderr.matches("not kept").count(), 1, "{exit}");
}

/// Directories that are not the user's alone.
#[tokio::test]
async fn a_cache_that_cannot_be_trusted_is_done_without() {
    let home = Home::new();
    let start = async |said: &[&str]| does_without(home.pounce().guest(Abi::P2, "hello"), said).await;
    let mode = |mode| std::fs::set_permissions(home.cache(), std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::create_dir_all(home.cache()).unwrap();
    for others in [0o777, 0o750, 0o704] {
        mode(others);
        start(&["chmod 700"]).await;
    }
    mode(0o700);
    if rustix::process::geteuid().is_root() {
        chown(home.cache(), Some(12345), None).unwrap();
        start(&["belongs to another user"]).await;
    } else {
        does_without(
            home.pounce().guest(Abi::P2, "hello").flag("--cache", "/usr"),
            &["belongs to another user"],
        )
        .await;
    }
    std::fs::remove_dir(home.cache()).unwrap();
    std::fs::create_dir(home.path("elsewhere")).unwrap();
    symlink(home.path("elsewhere"), home.cache()).unwrap();
    start(&["symbolic link"]).await;
    std::fs::remove_file(home.cache()).unwrap();
    std::fs::write(home.cache(), "a file").unwrap();
    start(&[]).await;
}

/// A key that others may know, that is no key, or that is somebody else's.
#[tokio::test]
async fn a_key_that_cannot_be_trusted_vouches_for_nothing() {
    let home = Home::new();
    home.pounce().guest(Abi::P2, "hello").start().await.stop().await;
    let start = async |said: &[&str]| does_without(home.pounce().guest(Abi::P2, "hello"), said).await;
    let key = home.path("data/pounce/machine.key");
    let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    for others in [0o644, 0o640, 0o602] {
        mode(others);
        start(&["machine.key", "others may read it"]).await;
    }
    mode(0o600);
    if rustix::process::geteuid().is_root() {
        chown(&key, Some(12345), None).unwrap();
        start(&["machine.key", "not a file of this user"]).await;
    }
    std::fs::remove_file(&key).unwrap();
    std::fs::write(&key, "short").unwrap();
    mode(0o600);
    start(&["32 bytes"]).await;
    let moved = home.path("moved.key");
    std::fs::rename(&key, &moved).unwrap();
    symlink(&moved, &key).unwrap();
    start(&["machine.key"]).await;
    // Another key: nothing that the old one vouched for counts.
    std::fs::remove_file(&key).unwrap();
    let exit = home.pounce().guest(Abi::P2, "hello").start().await.stop().await;
    assert!(exit.stderr.contains("another machine") && exit.stderr.contains("compiled anew"), "{exit}");
    let exit = home.pounce().guest(Abi::P2, "hello").start().await.stop().await;
    assert!(exit.stderr.contains(CACHED), "{exit}");
}

/// A file in the directory that somebody else could have put there is not run.
#[tokio::test]
async fn a_file_that_is_not_ours_alone_is_not_used() {
    let home = Home::new();
    let start = async || home.pounce().guest(Abi::P2, "hello").start().await.stop().await;
    start().await;
    let file = home.cached().pop().unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let exit = start().await;
    assert!(exit.stderr.contains("not a file of this user alone") && !exit.stderr.contains(CACHED), "{exit}");
    // It was replaced.
    assert!(start().await.stderr.contains(CACHED));
    if rustix::process::geteuid().is_root() {
        chown(&file, Some(12345), None).unwrap();
        let exit = start().await;
        assert!(
            exit.stderr.contains("not a file of this user alone") && !exit.stderr.contains(CACHED),
            "{exit}"
        );
    }
    // A link to where it was moved.
    let moved = home.path("moved.cwasm");
    std::fs::rename(&file, &moved).unwrap();
    symlink(&moved, &file).unwrap();
    assert!(!start().await.stderr.contains(CACHED));
    assert!(!std::fs::symlink_metadata(&file).unwrap().is_symlink());
    // A pipe, at which nobody waits.
    std::fs::remove_file(&file).unwrap();
    crate::support::fifo::make(&file);
    assert!(!start().await.stderr.contains(CACHED));
    assert!(start().await.stderr.contains(CACHED));
}

/// What a killed process has left is cleared away, and nothing that may still be written.
#[tokio::test]
async fn drafts_that_nobody_will_finish_go() {
    let home = Home::new();
    let start = async |guest: &str| home.pounce().guest(Abi::P2, guest).start().await.stop().await;
    start("hello").await;
    let [old, new] = ["draft-old", "draft-new"].map(|name| home.cache().join(name));
    for draft in [&old, &new] {
        std::fs::write(draft, "half of it").unwrap();
    }
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    std::fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    start("trap").await;
    assert!(!old.exists() && new.exists());
}

/// A server in a mount namespace of its own, whose cache directory is a file system with these options.
fn on_file_system(builder: Builder, at: &Path, options: &str) -> Builder {
    std::fs::create_dir_all(at).unwrap();
    let own_user: &[&str] =
        if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let unshare = [&["unshare", "--mount"], own_user].concat();
    let allowed = Command::new(unshare[0]).args(&unshare[1..]).arg("true").status();
    assert!(
        allowed.is_ok_and(|status| status.success()),
        "a test of file systems needs user namespaces (sysctl kernel.unprivileged_userns_clone), or root"
    );
    let script = r#"mount -t tmpfs -o "$0" tmpfs "$1" && shift && exec "$@""#;
    let words = unshare.into_iter().chain(["sh", "-c", script, options]).map(String::from);
    builder.launched_by(words.chain([at.display().to_string()]))
}

/// The disk is full before, or while, the compiled component is written.
#[tokio::test]
async fn a_full_disk_is_done_without() {
    let home = Home::new();
    for size in ["4k", "64k", "200k"] {
        let options = format!("mode=0700,size={size}");
        let server = on_file_system(home.pounce().guest(Abi::P2, "hello"), &home.cache(), &options);
        does_without(server, &["No space left on device"]).await;
    }
    // An artifact is copied into memory.
    let (artifact, _) = home.compile(Abi::P2.guest("hello"), &[]).await;
    let server = on_file_system(home.pounce().component(&artifact), &home.cache(), "mode=0700,size=64k");
    does_without(server, &["No space left on device"]).await;
    let full = on_file_system(home.house(crate::support::pounce()), &home.path("full"), "mode=0700,size=64k");
    let exit = full
        .command("compile")
        .component(Abi::P2.guest("hello"))
        .arg("-o")
        .arg(home.path("full/app.cwasm"))
        .run()
        .await;
    exit.expect(1, &["app.cwasm", "cannot be written", "No space left on device"]);
}

/// Nothing can be written at all.
#[tokio::test]
async fn a_read_only_disk_is_done_without() {
    let home = Home::new();
    let server = on_file_system(home.pounce().guest(Abi::P2, "hello"), &home.cache(), "ro,mode=0700");
    does_without(server, &["Read-only file system"]).await;
    // Neither key nor cache.
    let server = on_file_system(home.pounce().guest(Abi::P2, "hello"), &home.path("data"), "ro,mode=0700");
    does_without(server, &["Read-only file system"]).await;
    let nobody = home
        .pounce()
        .guest(Abi::P2, "hello")
        .env("XDG_DATA_HOME", "/proc/nowhere")
        .env("XDG_CACHE_HOME", "/proc/nowhere");
    does_without(nobody, &[]).await;
    // A signed artifact needs neither.
    let (key, public) = home.key("mine");
    let (artifact, _) = home.compile(Abi::P2.guest("hello"), &["--key", &key]).await;
    let server = on_file_system(home.pounce().component(&artifact), &home.path("data"), "ro,mode=0700");
    let server = server.flag("--artifact-key", public).flag("--cache", "none").start().await;
    says_hello(&server).await;
    assert!(!server.stop().await.stderr.contains("not kept"));
}
