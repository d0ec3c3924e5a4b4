//! What answers at a port, whatever it should be: asked when something failed, to say what to do.

use super::steps::Way;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Time that a port has to show what it speaks.
const LISTEN: Duration = Duration::from_secs(1);

/// Protocol that answers at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// TLS, with anything inside.
    Tls,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 from the first byte, as gRPC does.
    Http2,
    /// It accepts connections, and says nothing that is known.
    Nothing,
    /// Nobody is there, or not to be asked.
    Nobody,
}

/// What the endpoint of a way speaks; not asked through a proxy.
pub(super) async fn speaks(way: &Way) -> Speaks {
    if way.proxy.is_some() || way.encrypted {
        return Speaks::Nobody;
    }
    speaks_at(&way.host, way.port).await
}

/// What listens at a port of this machine, for at most three seconds.
pub async fn speaks_here(port: u16) -> Speaks {
    speaks_at("localhost", port).await
}

async fn speaks_at(host: &str, port: u16) -> Speaks {
    /// Begins HTTP/2, with settings that change nothing.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    /// Asks for TLS 1.2, which every server of TLS answers, if only with an alert.
    const HELLO: &[u8] = &[
        22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 3, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 4, 0xc0, 0x2f, 0xc0, 0x2b, 1, 0,
    ];
    let request = format!("OPTIONS / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut found = Speaks::Nobody;
    for opening in [PREFACE, HELLO, request.as_bytes()] {
        let Ok(answer) = timeout(LISTEN, ask(host, port, opening)).await.unwrap_or(Ok(Vec::new())) else {
            return found;
        };
        found = Speaks::Nothing;
        let text = String::from_utf8_lossy(&answer);
        match answer.as_slice() {
            // Frames of settings.
            [_, _, _, 4, ..] => return Speaks::Http2,
            // Alerts and handshakes.
            [21 | 22, 3, ..] => return Speaks::Tls,
            _ if text.starts_with("HTTP/1.") => {
                return if text.contains("HTTPS server") { Speaks::Tls } else { Speaks::Http1 };
            }
            _ => {}
        }
    }
    found
}

/// The first bytes that come for `opening`; the error is that nobody is there.
async fn ask(host: &str, port: u16, opening: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((host, port)).await?;
    let mut answer = vec![0; 512];
    let read = async {
        stream.write_all(opening).await?;
        stream.read(&mut answer).await
    };
    let count = read.await.unwrap_or(0);
    answer.truncate(count);
    Ok(answer)
}
