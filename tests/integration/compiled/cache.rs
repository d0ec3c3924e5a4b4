//! Starting from the cache.

use super::{CACHED, Home, change, says_hello};
use crate::support::{Abi, for_both_abis};
use std::os::unix::fs::{PermissionsExt as _, symlink};

for_both_abis!(
    the_second_start_compiles_nothing,
    whatever_is_changed_in_the_cache_is_compiled_anew,
    whoever_is_killed_leaves_nothing_wrong,
);

async fn the_second_start_compiles_nothing(abi: Abi) {
    let home = Home::new();
    let first = home.pounce().guest(abi, "hello").start().await;
    says_hello(&first).await;
    assert!(!first.stop().await.stderr.contains(CACHED));
    let [file] = &home.cached()[..] else { panic!("{:?}", home.cached()) };
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(file), 0o400);
    assert_eq!(mode(&home.cache()), 0o700);
    assert_eq!(mode(&home.path("data/pounce/machine.key")), 0o600);
    // Two at once, from one file.
    let (one, other) = (home.pounce().guest(abi, "hello"), home.pounce().guest(abi, "hello"));
    let (one, other) = tokio::join!(one.start(), other.start());
    for server in [one, other] {
        says_hello(&server).await;
        let exit = server.stop().await;
        assert!(exit.stderr.contains(CACHED), "{exit}");
    }
    assert_eq!(home.cached().len(), 1);
    // Other bytes, or other settings that change the code, are another file.
    let exit = home.pounce().guest(abi, "trap").start().await.stop().await;
    assert!(!exit.stderr.contains(CACHED), "{exit}");
    assert_eq!(home.cached().len(), 2);
    // Who wants none has none.
    let exit = home.pounce().guest(abi, "hello").flag("--cache", "none").start().await.stop().await;
    assert!(!exit.stderr.contains(CACHED), "{exit}");
}

/// A byte here and there, and an end that comes too early.
async fn whatever_is_changed_in_the_cache_is_compiled_anew(abi: Abi) {
    let home = Home::new();
    home.pounce().guest(abi, "hello").start().await.stop().await;
    for n in 0..12_usize {
        let [file] = &home.cached()[..] else { panic!("{:?}", home.cached()) };
        let length = std::fs::metadata(file).unwrap().len() as usize;
        // From the head of the machine code to the last byte of the seal.
        match n {
            0 => change(file, length - 1),
            1 => change(file, length - 10),
            2 => change(file, length - 80),
            3 => std::fs::File::options().write(true).open(file).map_or_else(
                |_| {
                    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
                    std::fs::write(file, &std::fs::read(file).unwrap()[..length / 2]).unwrap();
                },
                |whole| whole.set_len(length as u64 / 2).unwrap(),
            ),
            n => change(file, fastrand::usize(..length.min(length / (n - 3)))),
        }
        let server = home.pounce().guest(abi, "hello").start().await;
        says_hello(&server).await;
        let exit = server.stop().await;
        assert!(exit.stderr.contains("compiled anew") && !exit.stderr.contains(CACHED), "{exit}");
    }
    let exit = home.pounce().guest(abi, "hello").start().await.stop().await;
    assert!(exit.stderr.contains(CACHED), "{exit}");
}

/// Two that start with nothing, one of them killed at any moment.
async fn whoever_is_killed_leaves_nothing_wrong(abi: Abi) {
    for n in 0..10_u64 {
        let home = Home::new();
        let killed = home.pounce().guest(abi, "hello").begin();
        let other = home.pounce().guest(abi, "hello").begin();
        tokio::time::sleep(std::time::Duration::from_millis(fastrand::u64(..=40 * (n + 1)))).await;
        killed.signal(rustix::process::Signal::KILL);
        drop((killed, other));
        for _ in 0..2 {
            let server = home.pounce().guest(abi, "hello").start().await;
            says_hello(&server).await;
            let exit = server.stop().await;
            assert!(!exit.stderr.contains("compiled anew"), "{exit}");
        }
    }
}

/// Directories that are not the user's alone, and homes that cannot be written: said, and served without.
#[tokio::test]
async fn a_cache_that_cannot_be_trusted_is_done_without() {
    let home = Home::new();
    let start = async |said: &[&str]| {
        let server = home.pounce().guest(Abi::P2, "hello").start().await;
        says_hello(&server).await;
        let exit = server.stop().await;
        for part in said {
            assert!(exit.stderr.contains(part), "{part}: {exit}");
        }
        assert!(!exit.stderr.contains(CACHED), "{exit}");
    };
    let mode = |mode| std::fs::set_permissions(home.cache(), std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::create_dir_all(home.cache()).unwrap();
    for others in [0o777, 0o750, 0o704] {
        mode(others);
        start(&["not kept", "chmod 700"]).await;
    }
    std::fs::remove_dir(home.cache()).unwrap();
    std::fs::create_dir(home.path("elsewhere")).unwrap();
    symlink(home.path("elsewhere"), home.cache()).unwrap();
    start(&["not kept", "symbolic link"]).await;
    std::fs::remove_file(home.cache()).unwrap();
    std::fs::write(home.cache(), "a file").unwrap();
    start(&["not kept"]).await;
    // The key, too.
    let key = home.path("data/pounce/machine.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    start(&["not kept", "machine.key", "others may read it"]).await;
    std::fs::write(&key, "short").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    start(&["not kept", "32 bytes"]).await;
    // No home at all: one line.
    let nobody = home
        .pounce()
        .guest(Abi::P2, "hello")
        .env("XDG_DATA_HOME", "/proc/nowhere")
        .env("XDG_CACHE_HOME", "/proc/nowhere")
        .start()
        .await;
    says_hello(&nobody).await;
    assert_eq!(nobody.stop().await.stderr.matches("not kept").count(), 1);
}

/// A file in the directory that somebody else could have put there is not run.
#[tokio::test]
async fn a_file_that_is_not_ours_alone_is_not_used() {
    let home = Home::new();
    home.pounce().guest(Abi::P2, "hello").start().await.stop().await;
    let file = home.cached().pop().unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let exit = home.pounce().guest(Abi::P2, "hello").start().await.stop().await;
    assert!(exit.stderr.contains("not a file of this user alone") && !exit.stderr.contains(CACHED), "{exit}");
    // It was replaced; now by a link to where it was moved.
    let moved = home.path("moved.cwasm");
    std::fs::rename(&file, &moved).unwrap();
    symlink(&moved, &file).unwrap();
    let exit = home.pounce().guest(Abi::P2, "hello").start().await.stop().await;
    assert!(!exit.stderr.contains(CACHED), "{exit}");
    assert!(!std::fs::symlink_metadata(&file).unwrap().is_symlink());
}

/// The least recently used goes first, and what is larger than all there may be is not kept.
#[tokio::test]
async fn the_cache_has_a_size() {
    let home = Home::new();
    let start = async |guest: &str, max: u64| {
        let server = home.pounce().guest(Abi::P2, guest).flag("--cache-max", max).start().await;
        let exit = server.stop().await;
        exit.stderr.contains(CACHED)
    };
    assert!(!start("hello", 1 << 30).await);
    let size = std::fs::metadata(home.cached().pop().unwrap()).unwrap().len();
    assert!(!start("hello", size / 2).await || home.cached().len() == 1);
    assert!(!start("trap", 1 << 30).await);
    assert!(start("hello", 1 << 30).await, "used after the other");
    assert!(!start("leave", size * 3).await);
    assert!(start("leave", size * 3).await && start("hello", size * 3).await);
    assert!(!start("trap", size * 3).await, "the least recently used");
}
