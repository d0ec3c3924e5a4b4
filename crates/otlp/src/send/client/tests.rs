//! Over TLS.

use super::*;
use crate::net::Proxies;
use crate::settings::Transport;
use crate::signal::Signal;
use http::Uri;
use rustls::pki_types::CertificateDer;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An endpoint for `localhost` that answers 200, and the authority that vouches for it.
async fn endpoint() -> (Uri, Vec<CertificateDer<'static>>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let roots = vec![made.cert.der().clone()];
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _request = stream.read(&mut [0; 4096]).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                let _gone = stream.write_all(answer).await;
            }
        }
    });
    (format!("https://localhost:{port}/v1/traces").parse().unwrap(), roots)
}

async fn post(url: &Uri, authorities: Option<Vec<CertificateDer<'static>>>) -> Result<Accepted, Failed> {
    let transport = Transport { authorities, ..Transport::default() };
    let connections = Connections::new(&transport, &Proxies::default(), false, "");
    let mut endpoint = Endpoint::of(Signal::Traces, url, transport);
    endpoint.url = url.clone();
    endpoint.timeout = Some(Duration::from_secs(10));
    let client = Client::new(Arc::new(connections), Target { signal: Signal::Traces, endpoint });
    client.post(&client.payload(Bytes::from_static(b"spans"))?).await
}

#[tokio::test]
async fn a_trusted_endpoint_is_spoken_to_over_tls() {
    let (url, roots) = endpoint().await;
    let accepted = post(&url, Some(roots)).await.unwrap();
    assert_eq!(accepted, Accepted::default());
}

#[tokio::test]
async fn an_endpoint_that_nobody_vouches_for_gets_nothing() {
    let (url, _) = endpoint().await;
    let (_, of_another) = endpoint().await;
    let failed = post(&url, Some(of_another)).await.unwrap_err();
    assert!(failed.error.contains("certificate"), "the cause is told: {}", failed.error);
    assert!(failed.retry && !failed.answered);
}

#[tokio::test]
async fn a_refused_connection_is_told_with_its_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let failed = post(&url, None).await.unwrap_err();
    assert!(failed.error.contains("Connection refused"), "{}", failed.error);
}
