//! Certificates of one's own: the authority of the endpoint, and our own for an endpoint that asks who we are.

use super::{request, to};
use crate::support::Collector;
use crate::support::broken::{Broken, Trouble};
use crate::support::pounce::Builder;
use crate::support::server::{Identity, made_for};
use std::path::Path;

/// The protocols, and what a TLS server of each offers.
const PROTOCOLS: [(&str, &[&str]); 2] = [("http/protobuf", &["http/1.1"]), ("grpc", &["h2"])];

fn with(builder: Builder, name: &str, file: &Path) -> Builder {
    builder.env(&format!("OTEL_EXPORTER_OTLP_{name}"), file.display())
}

#[tokio::test]
async fn an_authority_of_ones_own_replaces_the_systems() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, others) = (dir.path().join("ours.pem"), dir.path().join("others.pem"));
    Identity::of_localhost().write_certificate(&others);
    for (protocol, offered) in PROTOCOLS {
        let identity = Identity::of(&["localhost"], offered, None);
        identity.write_certificate(&ours);
        let collector = Collector::with(Some(&identity)).await;
        let endpoint = format!("https://localhost:{}", collector.addr().port());
        for (own, of_the_system, arrives) in [(&ours, &others, true), (&others, &ours, false)] {
            let server = with(to(&endpoint), "CERTIFICATE", own)
                .flag("--otel-protocol", protocol)
                .env("SSL_CERT_FILE", of_the_system.display())
                .start()
                .await;
            request(&server, 1).await;
            let exit = server.stop().await;
            assert_eq!(exit.totals().exported, usize::from(arrives), "{protocol} {exit}");
            exit.expect(0, if arrives { &[] } else { &["certificate"] });
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_asks_who_we_are_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, certificate, key) =
        (dir.path().join("ca.pem"), dir.path().join("client.pem"), dir.path().join("client.key"));
    let client = made_for(&["pounce"]);
    std::fs::write(&certificate, client.cert.pem()).unwrap();
    std::fs::write(&key, client.signing_key.serialize_pem()).unwrap();
    for (protocol, offered) in PROTOCOLS {
        let identity = Identity::of(&["localhost"], offered, Some(&client));
        identity.write_certificate(&ca);
        let collector = Collector::with(Some(&identity)).await;
        let endpoint = format!("https://localhost:{}", collector.addr().port());
        let builder = || with(to(&endpoint), "CERTIFICATE", &ca).flag("--otel-protocol", protocol);
        let known = with(with(builder(), "CLIENT_CERTIFICATE", &certificate), "CLIENT_KEY", &key);
        for (builder, exported) in [(known, 1), (builder(), 0)] {
            let server = builder.start().await;
            request(&server, 1).await;
            let exit = server.stop().await;
            assert_eq!(exit.totals().exported, exported, "{protocol} {exit}");
            exit.expect(
                0,
                if exported == 1 { &[] } else { &["CertificateRequired|otel.client-certificate"] },
            );
            assert!(!exit.stderr.contains("PRIVATE"), "{exit}");
        }
    }
}

#[tokio::test]
async fn files_that_cannot_be_used_are_mistakes_before_anything_listens() {
    let dir = tempfile::tempdir().unwrap();
    let (file, key) = (dir.path().join("some.pem"), dir.path().join("some.key"));
    let made = made_for(&["a"]);
    std::fs::write(&file, made.cert.pem()).unwrap();
    std::fs::write(&key, made_for(&["b"]).signing_key.serialize_pem()).unwrap();
    let missing = dir.path().join("missing.pem");
    let told = |builder: Builder| async move { builder.run().await };
    told(with(to("https://x"), "CERTIFICATE", &missing)).await.expect(2, &["missing.pem", "can't be read"]);
    told(with(to("https://x"), "CERTIFICATE", &key)).await.expect(2, &["some.key", "no certificate"]);
    told(with(to("https://x"), "CLIENT_KEY", &key))
        .await
        .expect(2, &["OTEL_EXPORTER_OTLP_CLIENT_KEY", "no certificate"]);
    let pair = with(with(to("https://x"), "CLIENT_CERTIFICATE", &file), "CLIENT_KEY", &key);
    told(pair).await.expect(2, &["some.key", "does not go with"]);
}

#[tokio::test]
async fn tls_to_a_port_without_and_a_port_without_alpn_are_told() {
    let broken = Broken::start(Trouble::Http1Only).await;
    let mut server = to(format!("https://localhost:{}", broken.addr().port())).start().await;
    request(&server, 1).await;
    server.logged(&["cannot export spans", "http://"]).await;
    server.stop().await.expect(0, &[]);

    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let identity = Identity::of(&["localhost"], &["http/1.1"], None);
    identity.write_certificate(&ca);
    let collector = Collector::with(Some(&identity)).await;
    let endpoint = format!("https://localhost:{}", collector.addr().port());
    let mut server = with(to(endpoint), "CERTIFICATE", &ca).flag("--otel-protocol", "grpc").start().await;
    request(&server, 1).await;
    server.logged(&["cannot export spans", "does this port speak gRPC"]).await;
    server.stop().await.expect(0, &[]);
}
