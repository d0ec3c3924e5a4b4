//! A TCP connection to the first of several addresses that answers.
//!
//! Happy eyeballs, the light kind: families alternate, each next address gets its
//! chance when the ones before have failed or are slow.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long an address has before the next one is tried beside it (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);

/// Addresses tried for one connection; more only cost time that nobody waits.
const MOST_ADDRESSES: usize = 8;

/// How long a connection may be silent before the kernel asks whether the peer lives.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Connects to the first of `addresses` that answers, with `TCP_NODELAY` and keepalive.
///
/// # Errors
/// No address answers; the error is that of the first one.
pub async fn dial(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if let [only] = addresses[..] {
        return connect(only).await;
    }
    let mut waiting = alternate(addresses).into_iter().take(MOST_ADDRESSES);
    let mut attempts = JoinSet::new();
    let mut first_error = None;
    loop {
        match waiting.next() {
            Some(address) => {
                attempts.spawn(connect(address));
            }
            None if attempts.is_empty() => {
                return Err(first_error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
            }
            None => {}
        }
        tokio::select! {
            Some(attempt) = attempts.join_next() => match attempt.map_err(io::Error::other) {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) | Err(error) => {
                    first_error.get_or_insert(error);
                }
            },
            () = tokio::time::sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

/// One family after the other, each in its order, beginning with the first address's.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut all: Vec<_> =
        first.into_iter().flat_map(|address| [Some(address), second.next()]).flatten().collect();
    all.extend(second);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_and_none_is_lost() {
        let given = addresses(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1", "2.2.2.2:1"]);
        let wanted = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(alternate(given), wanted);
        let given = addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]);
        assert_eq!(alternate(given.clone()), given);
    }

    #[tokio::test]
    async fn an_address_that_refuses_costs_nothing() {
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let live = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = live.local_addr().unwrap();
        let stream = dial(vec![dead, dead, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        let error = dial(vec![dead, dead]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn an_address_that_is_silent_costs_its_head_start() {
        // Nobody answers at a documentation address; where the network answers for
        // it, the error comes sooner still.
        let silent = "192.0.2.1:9".parse().unwrap();
        let live = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = live.local_addr().unwrap();
        let start = std::time::Instant::now();
        let stream = dial(vec![silent, address]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
