//! Connections to endpoints, shared by the signals that are sent in the same way: HTTP/1.1 or HTTP/2, direct or by a
//! proxy, in TLS or not.

use crate::net::proxy::{Way, Ways, with_port};
use crate::net::{Proxies, Stream, roots, tls};
use crate::settings::{Protocol, Transport};
use bytes::Bytes;
use http::header::PROXY_AUTHORIZATION;
use http::uri::Uri;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, HttpConnector};
use hyper_util::client::legacy::{Client as HttpClient, Error};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

/// Connections are closed after this without a batch.
const IDLE: Duration = Duration::from_secs(60);

type Pool = HttpClient<HttpsConnector<Tcp>, Full<Bytes>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A connection below the endpoint's TLS; to a proxy perhaps, perhaps in TLS of the proxy's own. It knows whether a proxy
/// sends requests on, which then need the whole URL.
type Below = Stream<MaybeHttpsStream<TokioIo<TcpStream>>, bool>;

/// The connections of all signals that are sent in the same way, most of which go to the same place.
pub(crate) struct Connections {
    /// Replaced where one of HTTP/2 has gone silent, as no request would ever leave it.
    pool: Mutex<Pool>,
    connector: HttpsConnector<Tcp>,
    http2: bool,
    ways: Arc<Ways>,
}

/// Opens connections below the endpoint's TLS.
#[derive(Clone)]
struct Tcp {
    direct: HttpConnector,
    to_proxy: HttpsConnector<HttpConnector>,
    ways: Arc<Ways>,
}

/// A proxy could not be passed.
#[derive(Debug, thiserror::Error)]
#[error("no way through the proxy {proxy}")]
struct Blocked {
    proxy: Uri,
    source: BoxError,
}

impl Connections {
    /// Reading the system's certificates takes time and memory that only `encrypted` endpoints need.
    pub(crate) fn new(transport: &Transport, proxies: &Proxies, encrypted: bool, certificate: &str) -> Self {
        let http2 = transport.protocol == Protocol::Grpc;
        let roots = roots::of(transport.authorities.as_deref(), encrypted, certificate);
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        let to_proxy = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client(roots.clone(), None))
            .https_or_http()
            .enable_http1()
            .wrap_connector(direct.clone());
        let ways = Arc::new(Ways::new(proxies, http2));
        let tcp = Tcp { direct, to_proxy, ways: Arc::clone(&ways) };
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client(roots, transport.identity.as_ref()))
            .https_or_http();
        let connector = match http2 {
            true => builder.enable_http2().wrap_connector(tcp),
            false => builder.enable_http1().wrap_connector(tcp),
        };
        Connections { pool: Mutex::new(pool(connector.clone(), http2)), connector, http2, ways }
    }

    pub(crate) async fn request(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Error> {
        if let Way::Forward(proxy) = self.ways.to(request.uri())
            && let Some(password) = proxy.basic_auth()
        {
            request.headers_mut().insert(PROXY_AUTHORIZATION, password.clone());
        }
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner).clone();
        pool.request(request).await
    }

    /// The proxy on the way to an endpoint, and whether it only passes on bytes.
    pub(crate) fn proxy_to(&self, endpoint: &Uri) -> Option<(Intercept, bool)> {
        match self.ways.to(endpoint) {
            Way::Direct => None,
            Way::Forward(proxy) => Some((proxy, false)),
            Way::Tunnel(proxy) => Some((proxy, true)),
        }
    }

    /// Has the next request open a connection. One of HTTP/1.1 that did not answer is closed anyway.
    pub(crate) fn renew(&self) {
        if self.http2 {
            let fresh = pool(self.connector.clone(), true);
            *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }
}

fn pool(connector: HttpsConnector<Tcp>, http2: bool) -> Pool {
    HttpClient::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http2_only(http2)
        .build(connector)
}

impl Service<Uri> for Tcp {
    type Response = Below;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Below, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, endpoint: Uri) -> Self::Future {
        let blocked = |proxy: &Uri, source| Box::new(Blocked { proxy: proxy.clone(), source });
        match self.ways.to(&endpoint) {
            Way::Direct => {
                let connecting = self.direct.call(endpoint);
                Box::pin(async move { Ok(below(MaybeHttpsStream::Http(connecting.await?), false)) })
            }
            Way::Forward(proxy) => {
                let connecting = self.to_proxy.call(proxy.uri().clone());
                Box::pin(async move {
                    let io = connecting.await.map_err(|error| blocked(proxy.uri(), error))?;
                    Ok(below(io, true))
                })
            }
            Way::Tunnel(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy.clone());
                if let Some(password) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(password.clone());
                }
                let connecting = tunnel.call(with_port(endpoint));
                Box::pin(async move {
                    let io = connecting.await.map_err(|error| blocked(proxy.uri(), error.into()))?;
                    Ok(below(io, false))
                })
            }
        }
    }
}

fn below(io: MaybeHttpsStream<TokioIo<TcpStream>>, forwarded: bool) -> Below {
    Stream::new(io, forwarded, |forwarded| Connected::new().proxy(*forwarded))
}
