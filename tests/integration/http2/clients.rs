//! Go's standard client and Node's: uploads in small pieces to guests that are busy with something else, and messages to
//! and fro as gRPC has them, each many at a time on one connection.

use crate::backend::tool;
use crate::support::{Abi, for_both_abis, pounce, within};
use serde_json::{Value, json};
use std::process::Command;

for_both_abis!(uploads_wait_for_a_busy_guest, messages_go_to_and_fro);

const CLIENTS: [Client; 2] = [Client::Go, Client::Node];

#[derive(Clone, Copy, Debug)]
enum Client {
    Go,
    Node,
}

impl Client {
    /// What came of so many streams: `{"ok": …, "failures": {…}}`.
    async fn run(self, url: &str, mode: &str, [streams, pieces, size]: [usize; 3]) -> Value {
        let mut command = match self {
            Client::Go => Command::new(tool("POUNCE_H2C", "h2c-1/h2c")),
            Client::Node => {
                let mut node = Command::new("node");
                node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/services/h2c/client.mjs"));
                node
            }
        };
        command.args([url, mode]).args([streams, pieces, size].map(|n| n.to_string()));
        let run = tokio::task::spawn_blocking(move || command.output().expect("it starts"));
        let said = within("the client to end", run).await.expect("no panic");
        serde_json::from_slice(&said.stdout).unwrap_or_else(|error| panic!("{error}: {said:?}"))
    }
}

fn all(streams: usize) -> Value {
    json!({ "ok": streams, "failures": {} })
}

/// Each in an instance of its own, and 16 in one.
fn isolations(abi: Abi) -> &'static [&'static str] {
    if abi == Abi::P3 { &["request", "instance"] } else { &["request"] }
}

async fn uploads_wait_for_a_busy_guest(abi: Abi) {
    for isolation in isolations(abi) {
        let server = pounce().guest(abi, "echo").flag("--isolation", isolation).start().await;
        let url = format!("http://{}/?ms=1000", server.addr());
        for client in CLIENTS {
            let said = client.run(&url, "uploads", [150, 8, 10]).await;
            assert_eq!(said, all(150), "{client:?}, {isolation}");
            // More than a stream has room for while nobody reads.
            let said = client.run(&url, "uploads", [2, 50_000, 1]).await;
            assert_eq!(said, all(2), "{client:?}, {isolation}");
        }
    }
}

async fn messages_go_to_and_fro(abi: Abi) {
    for isolation in isolations(abi) {
        let server = pounce().guest(abi, "echo").flag("--isolation", isolation).start().await;
        let url = format!("http://{}/", server.addr());
        for client in CLIENTS {
            let said = client.run(&url, "talks", [100, 30, 20]).await;
            assert_eq!(said, all(100), "{client:?}, {isolation}");
        }
    }
}
