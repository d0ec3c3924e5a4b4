//! Endpoints that are none: what stands behind an address when something is wrong with it.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    /// Connections are accepted, and nothing is ever read.
    Hang,
    /// Connections are reset once a request has begun.
    Reset,
    /// A TLS server that stops in the middle of its handshake.
    HalfHandshake,
    /// A request is read a byte at a time.
    SlowRead,
    /// An answer that is no HTTP.
    Garbage,
    /// A server that speaks only HTTP/2, as gRPC does.
    Http2Only,
    /// A server that speaks only HTTP/1.1, and says so.
    Http1Only,
}

/// A listener with a trouble, until it is dropped.
pub(crate) struct Broken {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Broken {
    /// Listens on a free port.
    pub(crate) async fn start(trouble: Trouble) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, trouble));
            }
        });
        Broken { addr, task }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(mut stream: TcpStream, trouble: Trouble) {
    let mut buffer = [0; 4096];
    match trouble {
        Trouble::Hang => std::future::pending().await,
        Trouble::Reset => {
            let _begun = stream.read(&mut buffer).await;
            // Without a wait for what is unsent, closing is a reset.
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
        }
        Trouble::HalfHandshake => {
            let _hello = stream.read(&mut buffer).await;
            // The start of a record of the handshake, whose rest never comes.
            let _gone = stream.write_all(&[22, 3, 3, 1, 0, 2, 0]).await;
            std::future::pending().await
        }
        Trouble::SlowRead => {
            while let Ok(1) = stream.read(&mut buffer[..1]).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Trouble::Garbage => {
            let _request = stream.read(&mut buffer).await;
            let _gone = stream.write_all(b"\x00\xff I am a teapot\r\n\r\n").await;
        }
        Trouble::Http2Only => {
            // SETTINGS come first; then what came is seen to be no preface, and GOAWAY follows.
            let _gone = stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
            let _request = stream.read(&mut buffer).await;
            let _gone = stream.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]).await;
        }
        Trouble::Http1Only => {
            let _request = stream.read(&mut buffer).await;
            let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _gone = stream.write_all(answer).await;
        }
    }
}
