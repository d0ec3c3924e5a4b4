//! Servers to call, and clients that may call them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::{Error, WasiBody};

use super::super::client::{Client, Setup};
use super::super::resolve::Resolver;
use crate::config::{HostPattern, OutboundRule, PortPattern};

/// A server of this test; stops with the test's runtime.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) connections: Arc<AtomicUsize>,
}

impl Server {
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Gives each connection to `connection`.
    pub(super) async fn raw<F, Fut>(connection: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(connection(stream));
            }
        });
        Self { address, connections }
    }

    /// Reads one request head on each connection, writes `answer`, and closes.
    pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::raw(move |mut stream| {
            let answer = Arc::clone(&answer);
            async move {
                use tokio::io::AsyncWriteExt as _;
                read_head(&mut stream).await;
                stream.write_all(&answer).await.ok();
            }
        })
        .await
    }

    /// Answers requests of HTTP/1 and 2.
    pub(super) async fn http<F, Fut>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Response<WasiBody>> + Send + 'static,
    {
        Self::raw(move |stream| serve(stream, handler.clone())).await
    }

    /// Says hello to everybody.
    pub(super) async fn hello() -> Self {
        Self::http(|_| async { Response::new(full("hello")) }).await
    }
}

/// Answers the requests of one connection.
pub(super) async fn serve<S, F, Fut>(stream: S, handler: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<WasiBody>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let response = handler(request);
        async move { Ok::<_, Error>(response.await) }
    });
    let server = auto::Builder::new(TokioExecutor::new());
    // Clients that go away are part of some tests.
    server.serve_connection(TokioIo::new(stream), service).await.ok();
}

/// Reads to the empty line.
pub(super) async fn read_head(stream: &mut TcpStream) -> Vec<u8> {
    use tokio::io::AsyncReadExt as _;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    head
}

pub(super) fn full(text: impl Into<Bytes>) -> WasiBody {
    Full::new(text.into()).map_err(|e| match e {}).boxed_unsync()
}

pub(super) fn empty() -> WasiBody {
    Empty::new().map_err(|e| match e {}).boxed_unsync()
}

pub(super) fn get(url: &str) -> Request<WasiBody> {
    Request::get(url).body(empty()).unwrap()
}

pub(super) async fn text(response: Response<WasiBody>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// `http://127.0.0.1:*`, for most servers here.
pub(super) fn local() -> OutboundRule {
    exact("127.0.0.1")
}

/// This host, any scheme, any port.
pub(super) fn exact(host: &str) -> OutboundRule {
    OutboundRule { scheme: None, host: HostPattern::Exact(host.to_owned()), port: PortPattern::Any }
}

/// Any public host, any port.
pub(super) fn anywhere() -> OutboundRule {
    OutboundRule { scheme: None, host: HostPattern::Any, port: PortPattern::Any }
}

pub(super) fn setup(rules: &[OutboundRule]) -> Setup {
    Setup::new("test", rules)
}

pub(super) fn client(rules: &[OutboundRule]) -> Client {
    Client::new(setup(rules))
}

/// Answers lookups in turn, the last answer for ever, and counts them.
pub(super) fn scripted(answers: &[&[&str]]) -> (Resolver, Arc<AtomicUsize>) {
    let answers: Vec<Vec<_>> =
        answers.iter().map(|ips| ips.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
    let lookups = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lookups);
    let resolver = Resolver::Scripted(Arc::new(move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        Ok(answers[n.min(answers.len() - 1)].clone())
    }));
    (resolver, lookups)
}
