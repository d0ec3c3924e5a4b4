//! Bodies that a guest writes in pieces of no bytes: they cost the host nothing, however many there are and whoever
//! does not read them.

use crate::support::client::{self, Connection, Raw};
use crate::support::origin::Origin;
use crate::support::pounce::Pounce;
use crate::support::{Abi, Protocol, for_both_abis, pounce, within};
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

for_both_abis!(
    pieces_of_no_bytes_do_not_leave,
    pieces_of_no_bytes_that_nobody_reads_take_no_memory,
    guests_that_write_nothing_leave_others_alone,
    pieces_of_no_bytes_are_no_progress_of_a_call,
);

/// So many that those for which the kernel has no room would show, at a hundred bytes for each.
const MANY: usize = 600_000;
/// Bytes by which the server may grow meanwhile.
const GROWTH: u64 = 32 << 20;

/// A socket whose reader stops when the test says so.
struct Deaf {
    socket: TcpStream,
    is_deaf: Arc<AtomicBool>,
}

impl AsyncRead for Deaf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_deaf.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// The body of the response to `GET path` over HTTP/2, and what makes its client stop reading.
async fn get(server: &Pounce, path: &str) -> (h2::RecvStream, Arc<AtomicBool>) {
    let is_deaf = Arc::new(AtomicBool::new(false));
    let socket = TcpSocket::new_v4().unwrap();
    // Little of what the server writes fits into the kernel; the rest would have to wait in the server.
    socket.set_recv_buffer_size(4096).unwrap();
    let socket = Deaf { socket: socket.connect(server.addr()).await.unwrap(), is_deaf: is_deaf.clone() };
    let (sender, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let mut sender = within("the connection to be ready", sender.ready()).await.unwrap();
    let request = http::Request::get(format!("http://{}{path}", server.addr())).body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    let response = within("the response head", response).await.unwrap();
    assert_eq!(response.status(), 200);
    (response.into_body(), is_deaf)
}

/// What the guest says comes, and no frame of nothing.
async fn pieces_of_no_bytes_do_not_leave(abi: Abi) {
    let server = pounce().guest(abi, "hoard").start().await;
    let (mut body, _) = get(&server, "/empty?n=2000").await;
    let mut frames: Vec<Bytes> = Vec::new();
    while let Some(frame) = within("a frame", body.data()).await {
        frames.push(frame.unwrap());
    }
    let empty = frames.iter().filter(|frame| frame.is_empty()).count();
    assert!(empty <= 1, "{empty} empty frames, where the end of the stream may be one");
    assert_eq!(frames.concat(), b"done\n");
    let answer = client::fetch(server.addr(), Protocol::H1, client::get("/empty?n=2000")).await;
    assert_eq!(answer.text(), "done\n");
}

/// Nobody reads the socket of one, and nobody the stream of the other.
async fn pieces_of_no_bytes_that_nobody_reads_take_no_memory(abi: Abi) {
    for protocol in Protocol::BOTH {
        let mut server = pounce().guest(abi, "hoard").start().await;
        client::fetch(server.addr(), protocol, client::get("/empty?n=1")).await.text();
        let before = server.resident();
        let mut raw = Raw::open(server.addr()).await;
        let mut unread = None;
        if protocol == Protocol::H2 {
            let (body, is_deaf) = get(&server, "/empty").await;
            is_deaf.store(true, Ordering::Release);
            unread = Some(body);
        } else {
            raw.write("GET /empty HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        }
        // The guest says how far it is; only one that stands still takes too long.
        for pieces in (50_000..=MANY).step_by(50_000) {
            server.logged(&[&format!("{pieces} pieces of no bytes")]).await;
        }
        let grown = server.resident().saturating_sub(before);
        assert!(grown < GROWTH, "{protocol:?}: {} KiB more", grown >> 10);
        drop((raw, unread));
    }
}

/// More of them than there are threads to serve anybody.
async fn guests_that_write_nothing_leave_others_alone(abi: Abi) {
    let server = pounce().guest(abi, "hoard").start().await;
    let mut endless = Vec::new();
    for protocol in Protocol::BOTH {
        for _ in 0..4 {
            let mut connection = Connection::open(server.addr(), protocol).await;
            let response = connection.send(client::get("/empty")).await;
            endless.push((connection, response));
        }
    }
    for protocol in Protocol::BOTH {
        for _ in 0..5 {
            let answer = client::fetch(server.addr(), protocol, client::get("/empty?n=10")).await;
            assert_eq!(answer.text(), "done\n");
        }
    }
}

/// The origin waits for the end of a body that goes on and on.
async fn pieces_of_no_bytes_are_no_progress_of_a_call(abi: Abi) {
    let origin = Origin::answering(200).await;
    let allowed = format!("http://{}", origin.addr());
    let server = pounce()
        .guest(abi, "hoard")
        .flag("--allow-outbound", allowed)
        .flag("--request-timeout", "50s")
        .start()
        .await;
    let url = origin.url("/");
    let answer = client::fetch_path(server.addr(), &format!("/empty?ms=1000&url={url}")).await;
    assert_eq!(answer.text(), "http_response_timeout");
    let answer = client::fetch_path(server.addr(), &format!("/empty?n=100&url={url}")).await;
    assert_eq!(answer.text(), "200");
}
