//! Frames by hand: clients that send as much as they may, as small as they can, to guests that read none of it.

use crate::support::client::{self, Connection};
use crate::support::http2::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, UNKNOWN, WINDOW_UPDATE, frame,
    preface,
};
use crate::support::pounce::Pounce;
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

for_both_abis!(
    tiny_frames_without_end_cost_their_stream_alone,
    tiny_frames_do_not_keep_the_buffers_they_came_in,
    little_is_kept_of_responses_that_a_client_never_reads,
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

/// All windows are open, and the socket is never read. What has been taken of the guests is known once their responses are
/// cut off, since no byte of them moves any more.
async fn little_is_kept_of_responses_that_a_client_never_reads(abi: Abi) {
    const STREAMS: u32 = 256;
    /// Bytes that wait in HTTP/2, the frame that goes over them, and the one that follows.
    const OF_ONE: i64 = (64 + 16 + 16) * 1024;
    /// Bytes that two kernels hold of a connection on this machine, at most.
    const OF_SOCKETS: i64 = 16 << 20;
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "slow").flag("--idle-timeout", "3s").traced(&collector).start().await;
    let mut connection = open(&server).await;
    let wide = [0, 4, 127, 255, 255, 255];
    let mut frames = [frame(SETTINGS, 0, 0, &wide), frame(WINDOW_UPDATE, 0, 0, &[127, 0, 0, 0])].concat();
    let path = b"/?ms=0&chunks=1000000&size=65535";
    for stream in 0..STREAMS {
        let length = u8::try_from(path.len()).expect("a short path");
        let block = [&[0x82, 0x86, 4, length][..], path, &[1, 1, b'a']].concat();
        frames.extend(frame(HEADERS, END_HEADERS | END_STREAM, 2 * stream + 1, &block));
    }
    connection.1.write_all(&frames).await.unwrap();
    // The connection is cut for taking nothing; on a busy machine before all of them have begun.
    eventually("a span", async || !collector.received().is_empty()).await;
    others_are_served(&server).await;
    server.stop().await.expect(0, &[]);
    let spans = collector.received();
    let sizes: Vec<_> = spans.iter().filter_map(|span| span.int("http.response.body.size")).collect();
    let (most, all) = (sizes.iter().max().copied().unwrap_or(0), sizes.iter().sum::<i64>());
    assert!(all > 1 << 20, "{all} bytes: no guest has got far, so this shows nothing");
    assert!(most < OF_ONE + OF_SOCKETS, "{most} bytes of one response");
    assert!(all < i64::from(STREAMS) * OF_ONE + OF_SOCKETS, "{all} bytes of all responses");
}
