//! Sockets and connections of the admin listener, with small limits of its own.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::LAST_MOMENT;
use super::paced::Paced;
use super::page::{Site, Way};

/// Connections at once. For one more the oldest is closed: whoever sits on connections must not stop a probe.
const MAX_CONNECTIONS: usize = 64;
/// Time for a request head, counted from the end of the last answer: it also closes idle connections.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a client to take an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Pause after an accept that failed for want of something: trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A socket that is bound and listens.
pub(crate) enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// A [`Socket`] that a runtime listens on.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    /// Within the runtime that is to serve it.
    pub(super) fn listen(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                TcpListener::from_std(socket).map(Listener::Tcp)
            }
            Self::Unix(socket) => {
                socket.set_nonblocking(true)?;
                UnixListener::from_std(socket).map(Listener::Unix)
            }
        }
    }
}

/// The connections that are open, the oldest first.
#[derive(Default)]
struct Open {
    tasks: JoinSet<()>,
    order: VecDeque<AbortHandle>,
}

impl Open {
    fn add(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        while self.tasks.try_join_next().is_some() {}
        self.order.retain(|task| !task.is_finished());
        if self.order.len() >= MAX_CONNECTIONS
            && let Some(oldest) = self.order.pop_front()
        {
            tracing::debug!("the admin listener has {MAX_CONNECTIONS} connections: the oldest is closed");
            oldest.abort();
        }
        self.order.push_back(self.tasks.spawn(connection));
    }
}

/// Answers until it is told to stop.
pub(super) async fn run(listener: Listener, site: Arc<Site>, mut stopping: watch::Receiver<bool>) {
    let mut open = Open::default();
    let for_connections = stopping.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(&site, &for_connections) => accepted,
            Some(_) = open.tasks.join_next() => continue,
            () = told(&mut stopping) => break,
        };
        match accepted {
            Ok(Accepted::Tcp(connection)) => open.add(connection),
            Ok(Accepted::Unix(connection)) => open.add(connection),
            Err(error) => {
                tracing::debug!("the admin listener cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = async { while open.tasks.join_next().await.is_some() {} };
    // Who has not taken its answer by now does without.
    drop(tokio::time::timeout(LAST_MOMENT, all).await);
}

/// A connection that is to be served.
enum Accepted<T, U> {
    Tcp(T),
    Unix(U),
}

impl Listener {
    async fn accept(
        &self,
        site: &Arc<Site>,
        stopping: &watch::Receiver<bool>,
    ) -> io::Result<
        Accepted<impl Future<Output = ()> + Send + 'static, impl Future<Output = ()> + Send + 'static>,
    > {
        let (site, stopping) = (site.clone(), stopping.clone());
        Ok(match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // A socket on all addresses is reached on loopback, too.
                let local = stream.local_addr().map(|local| local.ip().to_canonical());
                let is_loopback = local.is_ok_and(|local| local.is_loopback());
                let way = if is_loopback { Way::Loopback } else { Way::Network };
                Accepted::Tcp(serve(stream, site, way, stopping))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Accepted::Unix(serve(stream, site, Way::Unix, stopping))
            }
        })
    }
}

/// Resolves when the listener is to stop, or nobody is left who could say so.
async fn told(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|stop| *stop).await);
}

/// Serves a connection to its end.
async fn serve<T>(stream: T, site: Arc<Site>, way: Way, mut stopping: watch::Receiver<bool>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let site = site.clone();
        // Bodies are not read: none of our pages wants one.
        let (head, _) = request.into_parts();
        async move { Ok::<_, Infallible>(site.answer(head, way).await) }
    });
    let io = TokioIo::new(Paced::new(stream, ANSWER_TIMEOUT));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .half_close(false)
        .serve_connection(io, service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "admin connection ended");
    }
}
