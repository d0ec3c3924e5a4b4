//! Guests that have the host keep things for them, as much as they may and as many as may be.

use super::{Bounds, MIB, Trial};
use crate::support::client::{self, Answer, Connection};
use crate::support::server::serve_on;
use crate::support::{Abi, Protocol, for_both_abis, free_address, pounce};
use http_body_util::Empty;
use hyper::Response;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

for_both_abis!(hoards,);

/// What all guests may have together. That is resident beside the server itself, and a fifth of it more is.
const LIMIT: u64 = 512 * MIB;
/// Requests at once: as many as one client may have.
const AT_ONCE: usize = 256;

async fn hoards(abi: Abi) {
    let origin = free_address();
    let kinds: &[&str] = match abi {
        Abi::P2 => &["/bodies?n=150", "/pollables?n=8000"],
        Abi::P3 => &["/streams?n=8000", "/futures?n=8000", "/timers?n=8000", "/sets?n=8000"],
    };
    let both =
        ["/fields?n=300", "/requests?n=300&bytes=60000", "/handles?n=8000", "/memory?n=96&bytes=1048576"];
    let calls = format!("/calls?n=100&bytes=1000&url=http://{origin}/");
    let bounds = Bounds { memory: LIMIT + LIMIT / 5, path: "/fields?n=1&bytes=100" };
    let server = pounce()
        .guest(abi, "hoard")
        .flag("--isolation", "request")
        .flag("--max-total-memory", LIMIT)
        .flag("--allow-outbound", format!("http://{origin}"));
    let Some(mut trial) = Trial::begin(format!("{abi:?}"), server, bounds).await else { return };
    for kind in both.iter().chain(kinds).copied().chain([calls.as_str()]) {
        trial.endure(&format!("requests {kind}&ms=10000")).await;
    }
    trial.end().await;
}

/// Requests for `path`, always as many as one client may have, over both versions.
pub(super) async fn requests(addr: SocketAddr, path: String) {
    let _origin = match path.split_once("url=http://") {
        // Part of the flood: the measuring client has no processor to spare for it.
        Some((_, url)) => {
            let authority = url.split('/').next().expect("an authority");
            let listener = TcpListener::bind(authority).await.expect("a free address");
            let answer = |_| std::future::ready(Some(Response::new(Empty::new())));
            Some(serve_on(listener, None, answer))
        }
        None => None,
    };
    let mut requests = JoinSet::new();
    for n in 0..AT_ONCE {
        let (path, protocol) = (path.clone(), Protocol::BOTH[n % 2]);
        requests.spawn(async move {
            let mut connection = Connection::open(addr, protocol).await;
            loop {
                let Ok(response) = connection.try_send(client::get(&path)).await else {
                    connection = Connection::open(addr, protocol).await;
                    continue;
                };
                let answer = Answer::read(response).await;
                if answer.error.is_some() {
                    connection = Connection::open(addr, protocol).await;
                }
            }
        });
    }
    while requests.join_next().await.is_some() {}
}
