//! TLS: who is trusted, and HTTP/2.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::super::error::error_type;
use super::super::roots::Roots;
use super::super::{Client, Setup};
use super::support::*;

/// A server with a certificate for `name` that it signed itself.
async fn server(name: &str, alpn: &[&str]) -> (Server, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::raw(move |tcp| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(tcp).await {
                serve(stream, echo).await;
            }
        }
    })
    .await;
    (server, certificate)
}

/// Says what arrived, then gives the body and the trailers back.
async fn echo(request: Request<hyper::body::Incoming>) -> Response<wasmtime_wasi_http::WasiBody> {
    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let host = request.headers().get("host").is_some().to_string();
    let response = Response::builder()
        .header("x-version", format!("{:?}", request.version()))
        .header("x-authority", authority)
        .header("x-has-host", host);
    if request.uri().path() == "/endless" {
        let frames = std::iter::repeat_with(|| Ok(Frame::data(Bytes::from(vec![b'x'; 64 * 1024]))));
        return Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync());
    }
    let large = request.uri().path() == "/large";
    let response = response.header("x-fill", "a".repeat(if large { 100 * 1024 } else { 1 }));
    let body = request.into_body();
    response.body(body.map_err(Into::into).boxed_unsync()).unwrap()
}

fn trusting(certificate: &CertificateDer<'static>, rule: &str) -> Client {
    let mut store = RootCertStore::empty();
    store.add(certificate.clone()).unwrap();
    let (resolver, _) = scripted(&[&["127.0.0.1"]]);
    Client::new(Setup { roots: Roots::only(store), resolver, ..setup(&[exact(rule)]) })
}

#[tokio::test]
async fn http2_is_agreed_on_and_its_connection_shared() {
    let (server, certificate) = server("a.test", &["h2", "http/1.1"]).await;
    let client = trusting(&certificate, "a.test");
    let authority = format!("a.test:{}", server.address.port());
    let url = format!("https://{authority}/");
    for _ in 0..3 {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().unwrap());
        let frames = [Frame::data(Bytes::from_static(b"ping")), Frame::trailers(trailers)];
        let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok))).boxed_unsync();
        let mut request = Request::post(&url).body(body).unwrap();
        // As wasi-http does.
        request.headers_mut().insert("host", authority.parse().unwrap());
        let response = client.send(request, None).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(response.headers()["x-version"], "HTTP/2.0");
        assert_eq!(response.headers()["x-authority"], *authority);
        assert_eq!(response.headers()["x-has-host"], "false");
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-sum"], "1");
        assert_eq!(body.to_bytes(), "ping");
    }
    let many = (0..20).map(|_| tokio::spawn(client.send(get(&url), None))).collect::<Vec<_>>();
    for response in many {
        text(response.await.unwrap().unwrap()).await;
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn responses_that_nobody_reads_hold_up_no_other() {
    let (server, certificate) = server("a.test", &["h2"]).await;
    let client = trusting(&certificate, "a.test");
    let url = format!("https://a.test:{}", server.address.port());
    let mut unread = Vec::new();
    for _ in 0..40 {
        unread.push(client.send(get(&format!("{url}/endless")), None).await.unwrap());
    }
    // As much has come of each as may.
    for response in &mut unread {
        response.body_mut().frame().await.unwrap().unwrap();
    }
    let body = http_body_util::Full::new(Bytes::from(vec![b'y'; 4 << 20])).map_err(|never| match never {});
    let request = Request::post(format!("{url}/")).body(body.boxed_unsync()).unwrap();
    let response = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        client.send(request, None).await.unwrap().into_body().collect().await.unwrap().to_bytes()
    });
    assert_eq!(response.await.expect("it comes").len(), 4 << 20);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn http1_where_the_server_has_nothing_else() {
    for alpn in [&["http/1.1"][..], &[]] {
        let (server, certificate) = server("a.test", alpn).await;
        let client = trusting(&certificate, "a.test");
        let url = format!("https://a.test:{}/", server.address.port());
        for _ in 0..2 {
            let response = client.send(get(&url), None).await.unwrap();
            assert_eq!(response.headers()["x-version"], "HTTP/1.1");
            text(response).await;
        }
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn many_first_requests_at_once_all_succeed() {
    let (server, certificate) = server("a.test", &["h2"]).await;
    let client = trusting(&certificate, "a.test");
    let url = format!("https://a.test:{}/", server.address.port());
    let many = (0..50).map(|_| tokio::spawn(client.send(get(&url), None))).collect::<Vec<_>>();
    for response in many {
        text(response.await.unwrap().unwrap()).await;
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts() {
    let (server, _) = server("a.test", &["h2"]).await;
    let other = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let client = trusting(other.cert.der(), "a.test");
    let url = format!("https://a.test:{}/", server.address.port());
    let error = client.send(get(&url), None).await.unwrap_err();
    assert_eq!(error_type(&error), "tls_certificate_error");
}

#[tokio::test]
async fn a_certificate_for_another_name() {
    let (server, certificate) = server("a.test", &["h2"]).await;
    for host in ["b.test", "127.0.0.1"] {
        let client = trusting(&certificate, host);
        let url = format!("https://{host}:{}/", server.address.port());
        let error = client.send(get(&url), None).await.unwrap_err();
        assert_eq!(error_type(&error), "tls_certificate_error");
    }
}

#[tokio::test]
async fn a_certificate_for_an_address() {
    let (server, certificate) = server("127.0.0.1", &["h2"]).await;
    let client = trusting(&certificate, "127.0.0.1");
    let url = format!("https://{}/", server.address);
    assert_eq!(client.send(get(&url), None).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls() {
    let (_, certificate) = server("a.test", &[]).await;
    let server = Server::hello().await;
    let client = trusting(&certificate, "a.test");
    let url = format!("https://a.test:{}/", server.address.port());
    let error = client.send(get(&url), None).await.unwrap_err();
    assert_eq!(error_type(&error), "tls_protocol_error");
}

#[tokio::test]
async fn without_authorities_it_is_the_configuration() {
    let roots = Roots::missing();
    let (resolver, _) = scripted(&[&["127.0.0.1"]]);
    let client = Client::new(Setup { roots, resolver, ..setup(&[exact("a.test")]) });
    let sent = client.send(get("https://a.test/"), None).await;
    assert_eq!(error_type(&sent.unwrap_err()), "configuration_error");
}

#[tokio::test]
async fn addresses_are_judged_before_tls() {
    let (server, _) = server("a.test", &["h2"]).await;
    let (resolver, _) = scripted(&[&["127.0.0.1"]]);
    let client =
        Client::new(Setup { roots: Roots::only(RootCertStore::empty()), resolver, ..setup(&[anywhere()]) });
    let url = format!("https://a.test:{}/", server.address.port());
    let sent = client.send(get(&url), None).await;
    assert_eq!(error_type(&sent.unwrap_err()), "destination_ip_prohibited");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_header_list_that_is_too_large() {
    let (server, certificate) = server("a.test", &["h2"]).await;
    let client = trusting(&certificate, "a.test");
    let url = format!("https://a.test:{}/large", server.address.port());
    let sent = client.send(get(&url), None).await;
    let error = error_type(&sent.map(drop).expect_err("an error"));
    assert_eq!(error, "http_response_header_section_size");
}
