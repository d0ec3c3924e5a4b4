//! Starting from the cache.

use super::{CACHED, Home, says_hello};
use crate::support::{Abi, for_both_abis};
use std::os::unix::fs::PermissionsExt as _;

for_both_abis!(the_second_start_compiles_nothing);

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
