//! A small HTTP server in the test's own process: what origins and the collector are made of.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

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
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    }
}

/// A name that a server can prove to be its own, to whom trusts its certificate.
pub(crate) struct Identity {
    acceptor: TlsAcceptor,
    certificate: String,
}

impl Identity {
    /// An identity for `localhost` and `127.0.0.1`, signed by itself.
    pub(crate) fn of_localhost() -> Self {
        Self::of(&["localhost", "127.0.0.1"], &[], None)
    }

    /// An identity for these names, signed by itself, that speaks these protocols within TLS (`h2`; none for any), and
    /// takes only the client whose certificate this is, if there is one.
    pub(crate) fn of(names: &[&str], protocols: &[&str], client: Option<&CertifiedKey<KeyPair>>) -> Self {
        let made = made_for(names);
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider's own");
        let config = match client {
            None => config.with_no_client_auth(),
            Some(client) => {
                let mut roots = RootCertStore::empty();
                roots.add(client.cert.der().clone()).expect("a certificate");
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                config.with_client_cert_verifier(verifier.build().expect("one root"))
            }
        };
        let mut config =
            config.with_single_cert(vec![made.cert.der().clone()], key).expect("a usable certificate");
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Identity { acceptor: TlsAcceptor::from(Arc::new(config)), certificate: made.cert.pem() }
    }

    /// Writes the certificate where `SSL_CERT_FILE` can point.
    pub(crate) fn write_certificate(&self, path: &Path) {
        std::fs::write(path, &self.certificate).expect("a writable path");
    }
}

/// A certificate with its key, signed by itself.
pub(crate) fn made_for(names: &[&str]) -> CertifiedKey<KeyPair> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    rcgen::generate_simple_self_signed(names).expect("valid names")
}

/// Serves HTTP/1.1 and HTTP/2 on a free port, in TLS if there is an identity, until the returned guard is dropped.
/// `answer` gives `None` to hang up.
pub(crate) async fn serve<F>(
    identity: Option<&Identity>,
    answer: impl Fn(Arrived) -> F + Clone + Send + 'static,
) -> (SocketAddr, Serving)
where
    F: Future<Output = Option<Response<Full<Bytes>>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    serve_on(listener, identity, answer)
}

/// A server on a listener of one's own, with answers of any kind.
pub(crate) fn serve_on<F, B>(
    listener: TcpListener,
    identity: Option<&Identity>,
    answer: impl Fn(Arrived) -> F + Clone + Send + 'static,
) -> (SocketAddr, Serving)
where
    F: Future<Output = Option<Response<B>>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let acceptor = identity.map(|identity| identity.acceptor.clone());
    let addr = listener.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            connections.spawn(async move {
                match acceptor {
                    None => connection(stream, answer).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            connection(stream, answer).await;
                        }
                    }
                }
            });
        }
    });
    (addr, Serving(task))
}

async fn connection<F, B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answer: impl Fn(Arrived) -> F + Clone + Send + 'static,
) where
    F: Future<Output = Option<Response<B>>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let answer = answer.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
            let target = head.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
            let arrived = Arrived { method: head.method, target, headers: head.headers, body };
            answer(arrived).await.ok_or_else(|| std::io::Error::other("told to hang up"))
        }
    });
    // An error is a client that went away, or the hang-up that the script asked for.
    let _ended =
        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// Closes the listener and all connections when dropped.
pub(crate) struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}
