//! HTTP/2 frames that cost their sender nothing, as fast as the server takes them.

use super::{Bounds, Trial};
use crate::support::client::Raw;
use crate::support::http2::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, PING, RST_STREAM, SETTINGS, UNKNOWN, WINDOW_UPDATE,
    frame, preface,
};
use crate::support::{Abi, pounce};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

/// Connections of each flood.
const AT_ONCE: usize = 4;
/// Bytes that are written at once.
const BATCH: usize = 16 * 1024;

const PRIORITY: u8 = 2;
const PUSH_PROMISE: u8 = 5;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const HAS_PRIORITY: u8 = 32;

/// `GET http://a/` and `POST http://a/`, as HPACK.
const GET: [u8; 6] = [0x82, 0x86, 0x84, 1, 1, b'a'];
const POST: [u8; 6] = [0x83, 0x86, 0x84, 1, 1, b'a'];

/// A kind of frames.
struct Kind {
    name: &'static str,
    /// What comes first on each connection.
    opening: fn() -> Vec<u8>,
    /// What follows for the n-th time.
    round: fn(u32) -> Vec<u8>,
    /// What the server sends is read.
    reads: bool,
}

const fn kind(name: &'static str, round: fn(u32) -> Vec<u8>) -> Kind {
    Kind { name, opening: Vec::new, round, reads: true }
}

impl Kind {
    const fn after(self, opening: fn() -> Vec<u8>) -> Self {
        Self { opening, ..self }
    }

    const fn unread(self) -> Self {
        Self { reads: false, ..self }
    }
}

/// A stream of its own for each round.
fn stream(round: u32) -> u32 {
    2 * round + 1
}

/// A request that is complete with its head.
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &GET)
}

/// The head of a request whose body follows.
fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &POST)
}

/// A stream for each thousand rounds, that begins with the first of them.
fn on_a_long_stream(round: u32, frame: impl FnOnce(u32) -> Vec<u8>) -> Vec<u8> {
    let stream = stream(round / 1000);
    let head = if round.is_multiple_of(1000) { post(stream) } else { Vec::new() };
    [head, frame(stream)].concat()
}

const KINDS: &[Kind] = &[
    kind("settings", |_| frame(SETTINGS, 0, 0, &[])),
    kind("settings that change", |n| {
        let table = [0, 1, 0, 0, u8::from(n.is_multiple_of(2)) * 16, 0];
        let window = [0, 4, 0, 0, u8::from(n.is_multiple_of(2)) * 255, 255];
        frame(SETTINGS, 0, 0, &[table, window].concat())
    }),
    kind("settings whose acknowledgements nobody reads", |_| frame(SETTINGS, 0, 0, &[])).unread(),
    kind("acknowledgements of settings", |_| frame(SETTINGS, ACK, 0, &[])),
    kind("pings", |_| frame(PING, 0, 0, b"flooding")),
    kind("pings whose answers nobody reads", |_| frame(PING, 0, 0, b"flooding")).unread(),
    kind("acknowledgements of pings", |_| frame(PING, ACK, 0, b"flooding")),
    kind("room for the connection", |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
    kind("room for a stream", |_| frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).after(|| post(1)),
    kind("no room for a stream", |n| [post(stream(n)), frame(WINDOW_UPDATE, 0, stream(n), &[0; 4])].concat()),
    kind("too much room for a stream", |n| {
        [post(stream(n)), frame(WINDOW_UPDATE, 0, stream(n), &[127, 255, 255, 255])].concat()
    }),
    kind("rapid resets", |n| [get(stream(n)), frame(RST_STREAM, 0, stream(n), &[0, 0, 0, 8])].concat()),
    kind("resets of nothing", |n| frame(RST_STREAM, 0, stream(n), &[0, 0, 0, 8])),
    kind("resets in uploads", |n| {
        let data = frame(DATA, 0, stream(n), b"x");
        [post(stream(n)), data, frame(RST_STREAM, 0, stream(n), &[0, 0, 0, 8])].concat()
    }),
    kind("empty frames of data", |n| on_a_long_stream(n, |stream| frame(DATA, 0, stream, &[]))),
    kind("tiny frames of data", |n| on_a_long_stream(n, |stream| frame(DATA, 0, stream, b"x"))),
    kind("padding", |n| {
        on_a_long_stream(n, |stream| frame(DATA, PADDED, stream, &[[255].as_slice(), &[0; 255]].concat()))
    }),
    kind("data after the end", |n| [get(stream(n)), frame(DATA, 0, stream(n), b"x")].concat()),
    kind("small uploads", |n| [post(stream(n)), frame(DATA, END_STREAM, stream(n), b"x")].concat()),
    kind("uploads without end", |n| [post(stream(n)), frame(DATA, 0, stream(n), b"x")].concat()),
    kind("trailers", |n| {
        // `a: b`, not to be kept in the table.
        let trailers = [0, 1, b'a', 1, b'b'];
        [post(stream(n)), frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &trailers)].concat()
    }),
    kind("continuations", |_| frame(CONTINUATION, 0, 1, &[0, 1, b'a', 1, b'b'].repeat(100)))
        .after(|| frame(HEADERS, END_STREAM, 1, &GET)),
    kind("empty continuations", |_| frame(CONTINUATION, 0, 1, &[]))
        .after(|| frame(HEADERS, END_STREAM, 1, &GET)),
    kind("header lines", |n| {
        let lines = [0, 1, b'a', 1, b'b'].repeat(1000);
        frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &[GET.as_slice(), &lines].concat())
    }),
    kind("lines out of the table", |n| {
        // `a: vvv…`, to be kept; then named by a byte each.
        let kept = [[0x40, 1, b'a', 127, 0x81, 0x1d].as_slice(), &[b'v'; 3840]].concat();
        let begin = if n == 0 { kept } else { Vec::new() };
        let block = [GET.as_slice(), &begin, &[0xbe; 8000]].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, stream(n), &block)
    }),
    kind("priorities", |n| frame(PRIORITY, 0, stream(n), &[0, 0, 0, 0, 16])),
    kind("streams that depend on themselves", |n| {
        let block = [&stream(n).to_be_bytes()[..], &[16], &GET].concat();
        frame(HEADERS, END_HEADERS | END_STREAM | HAS_PRIORITY, stream(n), &block)
    }),
    kind("frames that nobody knows", |_| frame(UNKNOWN, 0, 0, &[0; 1024])),
    kind("goodbyes", |_| frame(GOAWAY, 0, 0, &[0; 8])),
    kind("promises", |_| frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &GET].concat()))
        .after(|| get(1)),
    kind("requests whose responses nobody reads", |n| get(stream(n))).unread(),
];

/// Whatever guest there is, it is HTTP/2 that is flooded here.
#[tokio::test]
async fn frames() {
    let server = pounce().guest(Abi::P2, "hello");
    let Some(mut trial) = Trial::begin("frames".to_owned(), server, Bounds::default()).await else { return };
    for kind in KINDS {
        trial.endure(&format!("frames {}", kind.name)).await;
    }
    trial.end().await;
}

/// The flood of this kind.
pub(super) async fn flood(addr: SocketAddr, name: String) {
    let kind = KINDS.iter().find(|kind| kind.name == name).expect("a kind");
    let mut connections = JoinSet::new();
    for _ in 0..AT_ONCE {
        connections.spawn(async move {
            loop {
                send(addr, kind).await;
            }
        });
    }
    while connections.join_next().await.is_some() {}
}

/// One connection, until the server ends it.
async fn send(addr: SocketAddr, kind: &Kind) {
    let mut raw = Raw::open(addr).await;
    // An end at once, where nothing else is left to be read.
    raw.0.set_nodelay(true).expect("a socket");
    if raw.0.write_all(&[preface(), (kind.opening)()].concat()).await.is_err() {
        return;
    }
    let (mut reads, mut writes) = raw.0.into_split();
    let reader = async {
        let mut part = [0; BATCH];
        while kind.reads && reads.read(&mut part).await.is_ok_and(|read| read > 0) {}
        if !kind.reads {
            std::future::pending::<()>().await;
        }
    };
    let writer = async {
        // As many streams as a connection may have.
        let mut rounds = 0..1 << 30;
        loop {
            let mut batch = Vec::with_capacity(2 * BATCH);
            while batch.len() < BATCH {
                let Some(round) = rounds.next() else { return };
                batch.extend((kind.round)(round));
            }
            if writes.write_all(&batch).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = reader => {}
        () = writer => {}
    }
}
