//! hyper alone, answering what the hello guest answers: the ceiling that `benches/serve.py` measures Pounce against.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(async |_| {
                let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, World!\n")));
                response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/plain"));
                Ok::<_, Infallible>(response)
            });
            // A peer that goes away is no news here.
            _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
