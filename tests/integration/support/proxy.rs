//! A proxy as companies have them: tunnels (`CONNECT`) and requests with whole URLs, all led to one address.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The proxy, until it is dropped.
pub(crate) struct Proxy {
    addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Leads everything to `target`, whatever host was asked for. With a `password`, whoever does not send that gets 407.
    pub(crate) async fn to(target: SocketAddr, password: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("bound");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                connections.spawn(async move { lead(stream, target, password, &seen).await });
            }
        });
        Proxy { addr, heads, task }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The first head of each connection so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("not poisoned").clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn lead(
    mut client: TcpStream,
    target: SocketAddr,
    password: Option<&str>,
    seen: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut read = Vec::new();
    let end = loop {
        if client.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    seen.lock().expect("not poisoned").push(head.clone());
    let is_asked = password.is_none_or(|password| {
        head.lines().any(|line| line.eq_ignore_ascii_case(&format!("proxy-authorization: {password}")))
    });
    if !is_asked {
        let answer =
            b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        return client.write_all(answer).await.ok();
    }
    let mut server = TcpStream::connect(target).await.ok()?;
    if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
        server.write_all(&read[end..]).await.ok()?;
    } else {
        server.write_all(&read).await.ok()?;
    }
    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok()?;
    Some(())
}
