//! Guests that have the host keep things for them, as much as they may and as many as may be.

use super::{Bounds, MIB, Trial};
use crate::support::client::{self, Answer, Connection};
use crate::support::{Abi, Protocol, for_both_abis, free_address, pounce};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::Response;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
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
    let mut requests = JoinSet::new();
    if let Some((_, url)) = path.split_once("url=http://") {
        // Part of the flood: whoever measures has no processor to spare for it.
        let origin = url.split('/').next().expect("an authority").parse().expect("an address");
        requests.spawn(answer_all(origin));
    }
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

/// Answers every request to `addr` with 200 and no body.
async fn answer_all(addr: SocketAddr) {
    let listener = TcpListener::bind(addr).await.expect("a free address");
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            let answer = |_| async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) };
            // The server may leave when it likes.
            _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)).await;
        });
    }
}
