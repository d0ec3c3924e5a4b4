//! Clients that hold places: streams that nobody reads, uploads that never go on.

use super::{Bounds, Trial};
use crate::support::client::Raw;
use crate::support::{Abi, for_both_abis, pounce};
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

for_both_abis!(places,);

async fn places(abi: Abi) {
    for (guest, path, flood) in [("hello", "/", "closed windows"), ("echo", "/?seen", "one-byte uploads")] {
        let bounds = Bounds { path, ..Bounds::default() };
        let Some(mut trial) = Trial::begin(format!("{abi:?}"), pounce().guest(abi, guest), bounds).await
        else {
            return;
        };
        trial.endure(flood).await;
        trial.end().await;
    }
}

/// Four connections, each with all streams that it may have, and a new one for each that the server ends.
pub(super) async fn closed_windows(addr: SocketAddr) {
    let mut connections = JoinSet::new();
    for _ in 0..4 {
        connections.spawn(async move {
            loop {
                let socket = TcpStream::connect(addr).await.expect("it listens");
                let client = h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(socket);
                let (mut sender, connection) = client.await.expect("a handshake");
                let driver = tokio::spawn(connection);
                // A response that is let go of is given up; those that were given longest ago have been ended.
                let mut held = VecDeque::new();
                while let Ok(ready) = sender.ready().await {
                    sender = ready;
                    // Until it has heard of the limit on streams it may send without end: others have their turn first.
                    tokio::task::yield_now().await;
                    let request = http::Request::get(format!("http://{addr}/")).body(()).expect("a request");
                    let Ok((response, _)) = sender.send_request(request, true) else { break };
                    held.push_back(response);
                    if held.len() > 1024 {
                        held.pop_front();
                    }
                }
                driver.abort();
            }
        });
    }
    while connections.join_next().await.is_some() {}
}

/// 1,024 connections, and a new one for each that the server closes.
pub(super) async fn one_byte_uploads(addr: SocketAddr) {
    let mut uploads = JoinSet::new();
    for _ in 0..1024 {
        uploads.spawn(async move {
            loop {
                let mut raw = Raw::open(addr).await;
                let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nx";
                if raw.write(head).await.is_err() {
                    continue;
                }
                let mut part = [0; 256];
                while let Ok(1..) = raw.0.read(&mut part).await {}
            }
        });
    }
    while uploads.join_next().await.is_some() {}
}
