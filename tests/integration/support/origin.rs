//! A scripted HTTP server: what guests call, and what the collector is made of.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    /// Method.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    /// Headers.
    pub(crate) headers: HeaderMap,
    /// Body, read whole.
    pub(crate) body: Bytes,
}

impl Arrived {
    /// All values of a header.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().expect("text"))
            .collect()
    }
}

/// Serves HTTP/1.1 and h2c on a free port until the returned task is dropped. `answer` gives `None` to hang up.
pub(crate) async fn serve<F>(
    answer: impl Fn(Arrived) -> F + Clone + Send + 'static,
) -> (SocketAddr, Serving)
where
    F: Future<Output = Option<Response<Full<Bytes>>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body
                        .collect()
                        .await
                        .map_err(std::io::Error::other)?
                        .to_bytes();
                    let target = head
                        .uri
                        .path_and_query()
                        .map_or("", |path| path.as_str())
                        .to_owned();
                    let arrived = Arrived {
                        method: head.method,
                        target,
                        headers: head.headers,
                        body,
                    };
                    answer(arrived)
                        .await
                        .ok_or_else(|| std::io::Error::other("told to hang up"))
                }
            });
            tokio::spawn(async move {
                // An error is a client that went away, or the hang-up that the script asked for.
                auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await
                    .ok()
            });
        }
    });
    (addr, Serving(task))
}

/// Stops accepting when dropped.
pub(crate) struct Serving(tokio::task::JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An origin that answers every request alike and remembers all of them.
pub(crate) struct Origin {
    addr: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    _serving: Serving,
}

impl Origin {
    /// Answers 200 with `body`.
    pub(crate) async fn answering(body: &'static str) -> Self {
        Self::with(StatusCode::OK, body).await
    }

    /// Answers `status` with `body`.
    pub(crate) async fn with(status: StatusCode, body: &'static str) -> Self {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let list = arrived.clone();
        let answer = move |request| {
            list.lock().expect("not poisoned").push(request);
            let mut response = Response::new(Full::from(body));
            *response.status_mut() = status;
            std::future::ready(Some(response))
        };
        let (addr, serving) = serve(answer).await;
        Origin {
            addr,
            arrived,
            _serving: serving,
        }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT` + `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// What has arrived so far.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().expect("not poisoned").clone()
    }
}
