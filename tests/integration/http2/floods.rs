//! Frames by hand: clients that send as much as they may, as small as they can, to guests that read none of it.

use crate::support::client::{self, Connection};
use crate::support::http2::{DATA, HEADERS, PING, RST_STREAM, SETTINGS, UNKNOWN, frame, preface};
use crate::support::pounce::Pounce;
use crate::support::{Abi, Protocol, for_both_abis, pounce, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

for_both_abis!(
    tiny_frames_without_end_cost_their_stream_alone,
    tiny_frames_do_not_keep_the_buffers_they_came_in,
);

const FLOW_CONTROL_ERROR: u32 = 3;
/// What the server gives a stream.
const WINDOW: usize = 256 * 1024;

/// `POST` of a guest that waits for a day; more of the body follows.
fn head(stream: u32) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    for (name, value) in [(4, "/?ms=86400000"), (1, "test")] {
        block.extend([name, u8::try_from(value.len()).expect("short")]);
        block.extend(value.bytes());
    }
    frame(HEADERS, 4, stream, &block)
}

/// A connection whose client minds no window but the first of each stream.
async fn open(server: &Pounce) -> (OwnedReadHalf, OwnedWriteHalf) {
    let socket = TcpStream::connect(server.addr()).await.unwrap();
    let (mut reads, mut writes) = socket.into_split();
    writes.write_all(&preface()).await.unwrap();
    // The windows are in force when the client has said that it knows them.
    next(&mut reads, SETTINGS).await;
    writes.write_all(&frame(SETTINGS, 1, 0, &[])).await.unwrap();
    (reads, writes)
}

/// The payload of the next frame of this kind.
async fn next(reads: &mut OwnedReadHalf, kind: u8) -> Vec<u8> {
    loop {
        let mut head = [0; 9];
        within("a frame", reads.read_exact(&mut head)).await.expect("before the end");
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        within("its payload", reads.read_exact(&mut payload)).await.expect("before the end");
        if head[3] == kind {
            return payload;
        }
    }
}

/// Waits until the server has read all that was written.
async fn settled((reads, writes): &mut (OwnedReadHalf, OwnedWriteHalf)) {
    writes.write_all(&frame(PING, 0, 0, b"all read")).await.unwrap();
    assert_eq!(next(reads, PING).await, b"all read");
}

async fn others_are_served(server: &Pounce) {
    for protocol in Protocol::BOTH {
        let mut connection = Connection::open(server.addr(), protocol).await;
        assert_eq!(connection.fetch(client::get("/?ms=0")).await.status, 200);
    }
}

/// Memory stays what the windows allow, however much is sent.
async fn tiny_frames_without_end_cost_their_stream_alone(abi: Abi) {
    const CONNECTIONS: usize = 16;
    let server = pounce().guest(abi, "slow").start().await;
    others_are_served(&server).await;
    let before = server.resident();
    let tiny = frame(DATA, 0, 1, b"x").repeat(WINDOW / 8);
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = open(&server).await;
        connection.1.write_all(&head(1)).await.unwrap();
        for _ in 0..8 {
            connection.1.write_all(&tiny).await.unwrap();
        }
        settled(&mut connection).await;
        held.push(connection);
    }
    // All that may be sent has been, and is held: twice as much for what holds it.
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 2 * (CONNECTIONS * WINDOW) as u64 + (32 << 20), "{grown} bytes more");
    for connection in &mut held {
        connection.1.write_all(&tiny[..10]).await.unwrap();
        assert_eq!(next(&mut connection.0, RST_STREAM).await, FLOW_CONTROL_ERROR.to_be_bytes());
        settled(connection).await;
        // On and on: the server may close the connection before all is written.
        _ = connection.1.write_all(&tiny).await;
    }
    others_are_served(&server).await;
}

/// A frame of one byte among others that are read and thrown away.
async fn tiny_frames_do_not_keep_the_buffers_they_came_in(abi: Abi) {
    let server = pounce().guest(abi, "slow").start().await;
    others_are_served(&server).await;
    let before = server.resident();
    let mut connection = open(&server).await;
    connection.1.write_all(&head(1)).await.unwrap();
    let filler = frame(UNKNOWN, 0, 0, &[0; 16 * 1024]);
    let pair = [frame(DATA, 0, 1, b"x"), filler].concat();
    // 160 MiB.
    for _ in 0..10_000 {
        within("the server to read", connection.1.write_all(&pair)).await.unwrap();
    }
    settled(&mut connection).await;
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
}
