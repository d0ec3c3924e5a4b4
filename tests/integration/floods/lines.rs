//! What strangers cause to be logged, as often as they can.

use super::{Bounds, Trial};
use crate::log;
use crate::support::client::Raw;
use crate::support::{Abi, pounce};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::task::JoinSet;

/// Lines of one kind within a window, and the length of the window in seconds.
const LINES: u64 = 10;
const WINDOW: u64 = 10;

#[tokio::test]
async fn lines_of_each_kind_are_few() {
    let begun = std::time::Instant::now();
    let server = pounce().guest(Abi::P2, "hello").flag("--log-level", "debug");
    let Some(mut trial) = Trial::begin("log".to_owned(), server, Bounds::default()).await else { return };
    for flood in ["connects", "frames rapid resets", "frames acknowledgements of pings"] {
        trial.endure(flood).await;
    }
    let exit = trial.end().await;
    // A window may have begun before, and another after.
    let windows = begun.elapsed().as_secs() / WINDOW + 2;
    let mut kinds = BTreeMap::<_, u64>::new();
    for line in log::lines(&exit) {
        let text = |key: &str| line[key].as_str().unwrap_or_default();
        // What is told of a kind that was left out is of that kind.
        let (what, kind) = match text("example") {
            "" => ("line", text("message")),
            example => ("summary", example),
        };
        let kind: String = kind.chars().filter(|c| !c.is_ascii_digit()).take(40).collect();
        *kinds.entry((what, text("target").to_owned(), kind)).or_default() += 1;
    }
    let summaries: u64 = kinds.iter().filter(|((what, ..), _)| *what == "summary").map(|(_, n)| n).sum();
    assert!(summaries > 0, "a flood that fills no log shows nothing: {kinds:#?}");
    for ((what, target, kind), lines) in &kinds {
        let most = if *what == "line" { LINES * windows } else { windows };
        assert!(*lines <= most, "{lines} of {target}: {kind}\n{kinds:#?}");
    }
}

/// Connections that are reset at once, closed at once, or begin with nonsense.
pub(super) async fn connects(addr: SocketAddr) {
    let mut clients = JoinSet::new();
    for n in 0..16 {
        clients.spawn(async move {
            loop {
                let mut raw = Raw::open(addr).await;
                let opening: &[u8] = [
                    b"".as_slice(),
                    b"nonsense\r\n\r\n",
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense nonsense",
                    b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
                ][n % 4];
                let _refused = raw.write(opening).await;
                if n % 8 < 4 {
                    raw.reset();
                }
            }
        });
    }
    while clients.join_next().await.is_some() {}
}
