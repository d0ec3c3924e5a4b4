//! Connections to endpoints: TCP or a proxy, TLS as the settings say, HTTP/1.1 or HTTP/2.

use crate::config::{Proxies, Transport};
use bytes::Bytes;
use http::header::PROXY_AUTHORIZATION;
use http::uri::{Authority, Uri};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::legacy::{Client as HttpClient, Error};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

/// Connections are closed after this without a batch.
const IDLE: Duration = Duration::from_secs(60);

type Pool = HttpClient<HttpsConnector<Tcp>, Full<Bytes>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The connections of all signals that are sent in the same way, most of which go to the same place.
pub(super) struct Connections {
    /// Replaced where one of HTTP/2 has gone silent, as no request would ever leave it.
    pool: Mutex<Pool>,
    connector: HttpsConnector<Tcp>,
    http2: bool,
    ways: Arc<Ways>,
}

/// How endpoints are reached.
struct Ways {
    proxies: Matcher,
    /// HTTP/2 without TLS passes no proxy but through a tunnel.
    tunnel_only: bool,
}

enum Way {
    Direct,
    /// A proxy that reads the request and sends it on.
    Forward(Intercept),
    /// A proxy that passes on bytes.
    Tunnel(Intercept),
}

/// Opens connections below the endpoint's TLS.
#[derive(Clone)]
struct Tcp {
    direct: HttpConnector,
    to_proxy: HttpsConnector<HttpConnector>,
    ways: Arc<Ways>,
}

/// A connection below the endpoint's TLS; to a proxy perhaps, perhaps in TLS of the proxy's own.
struct Stream {
    io: MaybeHttpsStream<TokioIo<TcpStream>>,
    forwarded: bool,
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
    pub(super) fn new(transport: &Transport, proxies: &Proxies, http2: bool, encrypted: bool) -> Self {
        let roots = roots(transport, encrypted);
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        let to_proxy = HttpsConnectorBuilder::new()
            .with_tls_config(tls(roots.clone(), None))
            .https_or_http()
            .enable_http1()
            .wrap_connector(direct.clone());
        let proxies =
            Matcher::builder().http(proxies.http.clone()).https(proxies.https.clone()).no(proxies.no.clone());
        let ways = Arc::new(Ways { proxies: proxies.build(), tunnel_only: http2 });
        let tcp = Tcp { direct, to_proxy, ways: Arc::clone(&ways) };
        let builder =
            HttpsConnectorBuilder::new().with_tls_config(tls(roots, Some(transport))).https_or_http();
        let connector = match http2 {
            true => builder.enable_http2().wrap_connector(tcp),
            false => builder.enable_http1().wrap_connector(tcp),
        };
        Connections { pool: Mutex::new(pool(connector.clone(), http2)), connector, http2, ways }
    }

    pub(super) async fn request(
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
    pub(super) fn proxy_to(&self, endpoint: &Uri) -> Option<(Intercept, bool)> {
        match self.ways.to(endpoint) {
            Way::Direct => None,
            Way::Forward(proxy) => Some((proxy, false)),
            Way::Tunnel(proxy) => Some((proxy, true)),
        }
    }

    /// Has the next request open a connection. One of HTTP/1.1 that did not answer is closed anyway.
    pub(super) fn renew(&self) {
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

impl Ways {
    fn to(&self, endpoint: &Uri) -> Way {
        // A proxy elsewhere can't reach what is on this machine.
        let host = endpoint.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let is_here = host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        match self.proxies.intercept(endpoint) {
            None => Way::Direct,
            Some(_) if is_here => Way::Direct,
            Some(proxy) if self.tunnel_only || endpoint.scheme_str() == Some("https") => Way::Tunnel(proxy),
            Some(proxy) => Way::Forward(proxy),
        }
    }
}

impl Service<Uri> for Tcp {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, endpoint: Uri) -> Self::Future {
        let blocked = |proxy: &Uri, source| Box::new(Blocked { proxy: proxy.clone(), source });
        match self.ways.to(&endpoint) {
            Way::Direct => {
                let connecting = self.direct.call(endpoint);
                Box::pin(async move {
                    Ok(Stream { io: MaybeHttpsStream::Http(connecting.await?), forwarded: false })
                })
            }
            Way::Forward(proxy) => {
                let connecting = self.to_proxy.call(proxy.uri().clone());
                Box::pin(async move {
                    let io = connecting.await.map_err(|error| blocked(proxy.uri(), error))?;
                    Ok(Stream { io, forwarded: true })
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
                    Ok(Stream { io, forwarded: false })
                })
            }
        }
    }
}

/// A tunnel takes the port of `https` where none is said.
fn with_port(endpoint: Uri) -> Uri {
    if endpoint.port().is_some() || endpoint.scheme_str() == Some("https") {
        return endpoint;
    }
    let Ok(authority) = format!("{}:80", endpoint.host().unwrap_or_default()).parse::<Authority>() else {
        return endpoint;
    };
    let mut parts = endpoint.clone().into_parts();
    parts.authority = Some(authority);
    Uri::from_parts(parts).unwrap_or(endpoint)
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        // A proxy that sends a request on needs the whole URL.
        Connected::new().proxy(self.forwarded)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

/// The certificate authorities that vouch for the endpoint.
pub(super) fn roots(transport: &Transport, encrypted: bool) -> RootCertStore {
    match &transport.certificate {
        Some(own) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(own.certificates().iter().cloned());
            roots
        }
        None if encrypted => system_roots(),
        None => RootCertStore::empty(),
    }
}

/// The certificate authorities that this machine trusts.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        // Of the machine, not of an endpoint.
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            let errors = found.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            tracing::warn!(
                errors,
                "found no certificate authorities, so no https endpoint can be trusted: install \
                 `ca-certificates`, or name a bundle in otel.certificate or SSL_CERT_FILE"
            );
        });
    }
    roots
}

/// TLS as whom `transport` says, or as nobody.
pub(super) fn tls(roots: RootCertStore, transport: Option<&Transport>) -> ClientConfig {
    // The provider is named because a second one in the build would make the default ambiguous.
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_root_certificates(roots);
    let identity = transport.and_then(|transport| {
        Some((
            transport.client_certificate.as_ref()?.certificates().to_vec(),
            transport.client_key.as_ref()?.key(),
        ))
    });
    match identity {
        None => builder.with_no_client_auth(),
        Some((certificates, key)) => match builder.clone().with_client_auth_cert(certificates, key) {
            Ok(config) => config,
            // The settings were checked at the start, so this is not to be expected; the endpoint will say no.
            Err(error) => {
                tracing::error!(%error, "the client certificate of telemetry can't be used");
                builder.with_no_client_auth()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(proxies: &Proxies, http2: bool, endpoint: &str) -> String {
        let connections = Connections::new(&Transport::default(), proxies, http2, false);
        match connections.ways.to(&endpoint.parse().unwrap()) {
            Way::Direct => "direct".to_owned(),
            Way::Forward(proxy) => format!("forward {}", proxy.uri()),
            Way::Tunnel(proxy) => format!("tunnel {}", proxy.uri()),
        }
    }

    #[tokio::test]
    async fn proxies_are_for_what_is_not_here_and_not_excepted() {
        let proxies = Proxies {
            http: "http://u:p@proxy:3128".to_owned(),
            https: "secure:8443".to_owned(),
            no: "in.example, 10.0.0.0/8".to_owned(),
        };
        for (endpoint, expected) in [
            ("http://c.example:4318/v1/traces", "forward http://proxy:3128/"),
            ("https://c.example/v1/traces", "tunnel http://secure:8443/"),
            ("http://a.in.example/", "direct"),
            ("https://10.1.2.3/", "direct"),
            ("http://localhost:4318/", "direct"),
            ("http://127.0.0.9:4318/", "direct"),
            ("http://[::1]:4318/", "direct"),
        ] {
            assert_eq!(way(&proxies, false, endpoint), expected, "{endpoint}");
        }
        assert_eq!(way(&proxies, true, "http://c.example:4317/"), "tunnel http://proxy:3128/");
        assert_eq!(way(&Proxies::default(), false, "http://c.example/"), "direct");
    }

    #[test]
    fn a_tunnel_to_an_endpoint_without_tls_has_its_port() {
        let port = |url: &str| with_port(url.parse().unwrap()).to_string();
        assert_eq!(port("http://a/x"), "http://a:80/x");
        assert_eq!(port("http://a:1/x"), "http://a:1/x");
        assert_eq!(port("https://a/x"), "https://a/x");
        assert_eq!(port("http://[::1]/x"), "http://[::1]:80/x");
    }
}
