//! A hyper server, HTTP/1.1, that answers each request with the status in its path, `content-length: 5` and no body: the
//! `content-length` lines that come of HEAD with 200 and of GET with 304.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("a bound socket");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                let status: u16 = request.uri().path()[1..].parse().expect("a status");
                let response = http::Response::builder().status(status).header("content-length", "5");
                Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).expect("a response"))
            });
            drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await);
        }
    });
    for (method, path) in [("HEAD", "/200"), ("GET", "/304")] {
        let mut client = TcpStream::connect(addr).await.expect("it listens");
        let request = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.expect("it is open");
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.expect("an answer");
        let length = answer.lines().find(|line| line.to_ascii_lowercase().starts_with("content-length"));
        println!("{method} {path}: {}", length.unwrap_or("no content-length"));
    }
}
