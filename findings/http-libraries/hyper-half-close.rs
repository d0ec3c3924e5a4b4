//! A hyper server, HTTP/1.1, with `half_close` or without it: after how long it lets go of a request that takes a second,
//! where the client resets the connection after 200 ms.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

struct Request(Instant);

impl Drop for Request {
    fn drop(&mut self) {
        let early = self.0.elapsed() < Duration::from_millis(900);
        println!("{}", if early { "at the reset" } else { "when it was done" });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let half_close = std::env::args().nth(1).as_deref() == Some("half-close");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("a bound socket");
    let server = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("the client");
        let service = service_fn(|_| async {
            let _request = Request(Instant::now());
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
        });
        let mut http = http1::Builder::new();
        drop(http.half_close(half_close).serve_connection(TokioIo::new(socket), service).await);
    });
    let mut client = TcpStream::connect(addr).await.expect("it listens");
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("it is open");
    tokio::time::sleep(Duration::from_millis(200)).await;
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("a socket");
    drop(client);
    server.await.expect("no panic");
}
