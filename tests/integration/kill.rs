//! What each signal does that people and supervisors send, while the server runs and before it does.

use crate::support::client;
use crate::support::fifo;
use crate::support::guest::fixture;
use crate::support::{Abi, Held, Protocol, eventually, for_both_abis, pounce};
use rustix::process::Signal;
use std::io::Write as _;

for_both_abis!(sigquit_drains);

/// Signals that end a program which does not know them.
const IGNORED: [Signal; 2] = [Signal::USR1, Signal::USR2];

#[tokio::test]
async fn sighup_reloads_and_the_server_goes_on() {
    let mut server = pounce().fixture("status.wat").start().await;
    for _ in 0..3 {
        server.signal(Signal::HUP);
    }
    server.logged(&["SIGHUP", "reading the settings again"]).await;
    server.logged(&["reloaded: requests that come now"]).await;
    assert_eq!(client::fetch_path(server.addr(), "/200").await.status, 200);
    server.stop().await.expect(0, &[]);
}

#[tokio::test]
async fn what_other_servers_are_told_by_sigusr_is_ignored() {
    let mut server = pounce().fixture("status.wat").start().await;
    for signal in IGNORED {
        server.signal(signal);
        // They end at once whom they end.
        assert_eq!(client::fetch_path(server.addr(), "/200").await.status, 200, "{signal:?}");
        assert!(server.is_alive(), "{signal:?}");
    }
    server.stop().await.expect(0, &[]);
}

async fn sigquit_drains(abi: Abi) {
    let mut server = pounce().guest(abi, "relay").with_admin().start().await;
    let mut held = Vec::new();
    for protocol in Protocol::BOTH {
        held.push(Held::begin(server.addr(), protocol, "/").await);
    }
    server.in_flight(2).await;
    server.signal(Signal::QUIT);
    server.logged(&["draining", "SIGQUIT"]).await;
    for held in held {
        assert_eq!(held.end().await.1.text(), "[]");
    }
    server.wait().await.expect(0, &[]);
}

/// A server that is not ready yet is no different.
#[tokio::test]
async fn while_the_component_is_loaded_signals_mean_the_same() {
    for stop in [None, Some(Signal::QUIT)] {
        let dir = tempfile::tempdir().unwrap();
        let component = dir.path().join("app.wat");
        fifo::make(&component);
        let mut server = pounce().component(&component).begin();
        let mut pipe = fifo::read_by_somebody(&component).await;
        for signal in IGNORED {
            server.signal(signal);
        }
        server.signal(Signal::HUP);
        server.logged(&["SIGHUP", "nothing to reload yet"]).await;
        if let Some(stop) = stop {
            server.signal(stop);
            server.wait().await.expect(0, &["told to stop before the component was loaded", "SIGQUIT"]);
            continue;
        }
        pipe.write_all(&std::fs::read(fixture("status.wat")).unwrap()).unwrap();
        drop(pipe);
        eventually("the ready line", async || server.stdout().contains("listening on")).await;
        server.stop().await.expect(0, &[]);
    }
}
