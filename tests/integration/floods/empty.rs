//! Guests that write pieces of no bytes without end: in a response that nobody reads, and in a request of their own.

use super::{Bounds, Trial};
use crate::support::origin::Origin;
use crate::support::{Abi, for_both_abis, pounce};
use bytes::Bytes;
use std::net::SocketAddr;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

for_both_abis!(in_a_response, in_a_request);

/// What others ask the same guest for.
const OTHERS: Bounds = Bounds { memory: super::MOST, path: "/fields?n=1&bytes=100" };

async fn in_a_response(abi: Abi) {
    let server = pounce().guest(abi, "hoard").flag("--isolation", "request");
    let Some(mut trial) = Trial::begin(format!("{abi:?}"), server, OTHERS).await else { return };
    trial.endure("unread /empty").await;
    trial.end().await;
}

async fn in_a_request(abi: Abi) {
    let origin = Origin::answering(200).await;
    let server = pounce().guest(abi, "hoard").flag("--isolation", "request");
    let server = server.flag("--allow-outbound", origin.url("")).flag("--request-timeout", "none");
    let Some(mut trial) = Trial::begin(format!("{abi:?}"), server, OTHERS).await else { return };
    trial.endure(&format!("unread /empty?ms=86400000&url={}", origin.url("/"))).await;
    trial.end().await;
}

/// A request whose response is begun and never read, neither its stream nor its socket.
pub(super) async fn unread(addr: SocketAddr, path: String) {
    let mut streams = JoinSet::new();
    streams.spawn(async move {
        loop {
            let socket = TcpSocket::new_v4().expect("a socket");
            // Little of what the server writes fits into the kernel.
            socket.set_recv_buffer_size(4096).expect("a size");
            let socket: TcpStream = socket.connect(addr).await.expect("it listens");
            let (mut sender, connection) =
                h2::client::Builder::new().handshake::<_, Bytes>(socket).await.expect("a handshake");
            let driver = tokio::spawn(connection);
            let request = http::Request::get(format!("http://{addr}{path}")).body(()).expect("a request");
            let (response, _) = sender.send_request(request, true).expect("a stream");
            // As long as the server keeps it open.
            let end = match response.await {
                Ok(mut response) => std::future::poll_fn(|cx| response.body_mut().poll_data(cx)).await,
                Err(_) => None,
            };
            driver.abort();
            drop(end);
        }
    });
    while streams.join_next().await.is_some() {}
}
