//! What doctor is led to: servers that say one thing, or nothing, or keep a certificate that is wrong.

use crate::support::server::{Serving, serve};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::Full;
use rcgen::{CertificateParams, CertifiedKey, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A port; what answers there goes with it.
pub(crate) struct Port {
    pub(crate) addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Port {
    /// Each connection is handed to `answer`, and stays open as long as that likes.
    async fn each<F>(answer: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        });
        Self { addr, task }
    }

    /// Says this to whoever has said something, and closes.
    pub(crate) async fn saying(words: &'static [u8]) -> Self {
        Self::each(move |mut stream| async move {
            let mut heard = [0; 4096];
            let _heard = stream.read(&mut heard).await;
            let _said = stream.write_all(words).await;
        })
        .await
    }

    /// HTTP/2 and nothing else, as gRPC servers do: settings first, and an end for what is no preface.
    pub(crate) async fn of_http2_only() -> Self {
        Self::each(|mut stream| async move {
            let mut heard = [0; 4096];
            let _said = stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await;
            let _heard = stream.read(&mut heard).await;
        })
        .await
    }

    /// Takes connections, and says nothing for ever.
    pub(crate) async fn silent() -> Self {
        Self::each(|mut stream| async move {
            let mut heard = [0; 4096];
            while stream.read(&mut heard).await.is_ok_and(|count| count > 0) {}
        })
        .await
    }

    /// TLS as this identity, and a yes to whatever comes.
    pub(crate) async fn of_tls(identity: &Identity) -> Self {
        let acceptor = TlsAcceptor::from(identity.config.clone());
        Self::each(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut heard = vec![0; 64 * 1024];
                let _heard = stream.read(&mut heard).await;
                let _said = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                let _end = stream.shutdown().await;
            }
        })
        .await
    }
}

/// Answers every request with this status, these headers and this body.
pub(crate) async fn answering(
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &'static str,
) -> (SocketAddr, Serving) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_static(value));
    }
    serve(None, move |_| {
        let map = map.clone();
        async move {
            let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
            *response.status_mut() = status.try_into().unwrap();
            *response.headers_mut() = map;
            Some(response)
        }
    })
    .await
}

/// Swallows packets as firewalls do: a listener that accepts nobody, whose queue is full.
pub(crate) struct Swallowing {
    pub(crate) addr: SocketAddr,
    _listener: socket2::Socket,
    _queued: Vec<socket2::Socket>,
}

impl Swallowing {
    pub(crate) fn start() -> Self {
        use socket2::{Domain, Socket, Type};
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        listener.listen(0).unwrap();
        let addr = listener.local_addr().unwrap();
        let queued = (0..4).map(|_| {
            let stream = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            stream.set_nonblocking(true).unwrap();
            // Done or under way: either takes a place.
            let _begun = stream.connect(&addr);
            stream
        });
        let queued = queued.collect();
        Self { addr: addr.as_socket().unwrap(), _listener: listener, _queued: queued }
    }
}

/// A certificate with its key, and the file that vouches for it.
pub(crate) struct Identity {
    config: Arc<ServerConfig>,
    folder: tempfile::TempDir,
}

impl Identity {
    /// For this name, valid up to this year; with `clients`, of clients that show a certificate alone.
    pub(crate) fn new(name: &str, until: i32, clients: bool) -> Self {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let signing_key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&signing_key).unwrap();
        let CertifiedKey { cert, signing_key } = CertifiedKey { cert, signing_key };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if clients {
            let mut roots = RootCertStore::empty();
            roots.add(cert.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = Arc::new(builder.with_single_cert(vec![cert.der().clone()], key).unwrap());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), cert.pem()).unwrap();
        Self { config, folder }
    }

    /// What `otel.certificate` may name.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}
