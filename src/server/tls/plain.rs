//! Clients that speak plain HTTP to a port that speaks TLS: they are told in words that they understand.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 36\r\nconnection: close\r\n\r\nThis port speaks TLS: use https://.\n";
/// Bytes of the request that are read, and the time for them: a socket closed before that would be reset, and the answer
/// lost.
const MOST: usize = 64 * 1024;
const LINGER: Duration = Duration::from_secs(1);

/// Answers whatever the client asks with 400.
pub(super) async fn refuse(mut stream: TcpStream) {
    let answering = async {
        stream.write_all(ANSWER).await?;
        stream.shutdown().await?;
        let (mut part, mut left) = ([0; 4096], MOST);
        while left > 0 {
            match stream.read(&mut part).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    // A client that is gone, or slow, has had its chance.
    _ = tokio::time::timeout(LINGER, answering).await;
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(super::ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
    }
}
