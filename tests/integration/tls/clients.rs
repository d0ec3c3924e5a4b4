//! Clients that show certificates of their own: who gets in, and what spans say of them.

use super::with;
use crate::support::client::{self, Connection};
use crate::support::pounce::Pounce;
use crate::support::tls::{Authority, Client, VERSIONS, shake_hands};
use crate::support::{Collector, Protocol, eventually, pounce, within};
use std::path::Path;
use tokio::io::AsyncReadExt;

/// Whether this client is let in. With 1.3 it learns of a refusal only when it reads.
async fn is_let_in(client: &Client, server: &Pounce) -> bool {
    match client.shake_hands(server.addr(), "localhost", &["http/1.1"]).await {
        Err(_) => false,
        Ok(stream) => {
            let mut connection = Connection::encrypted(stream, server.addr(), Protocol::H1).await;
            connection.try_send(client::get("/200")).await.is_ok()
        }
    }
}

async fn start(folder: &Path, authority: &Authority, how: &str, collector: &Collector) -> Pounce {
    let files = authority.server(&["localhost"]).write(folder, "server");
    let ca = folder.join("clients.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    with(pounce().fixture("status.wat").with_admin().traced(collector), &files)
        .flag("--tls-client-ca", ca.display())
        .flag("--tls-client-auth", how)
        .start()
        .await
}

#[tokio::test]
async fn who_must_show_a_certificate_and_who_may() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let (known, stranger) = (authority.client("shop"), Authority::new("theirs").client("shop"));
    // Made for servers alone.
    let server_only = authority.make(&["localhost"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let expired = authority.make(&[], |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    let collector = Collector::start().await;
    for (how, anonymous) in [("required", false), ("optional", true), ("none", true)] {
        let mut server = start(folder.path(), &authority, how, &collector).await;
        let is_asked = how != "none";
        for version in VERSIONS {
            let client = authority.trusting(&[version]);
            assert_eq!(is_let_in(&client, &server).await, anonymous, "{how}: nobody");
            assert!(is_let_in(&client.clone().showing(&known), &server).await, "{how}: one of ours");
            for other in [&stranger, &server_only, &expired] {
                assert_eq!(is_let_in(&client.clone().showing(other), &server).await, !is_asked, "{how}");
            }
        }
        if is_asked {
            server.logged(&["TLS handshake failed", "client_certificate"]).await;
            let admin = server.admin().await;
            let expected = if anonymous { " 6" } else { " 8" };
            // A client knows that it is refused before the server has counted it.
            eventually(&format!("{expected} refused handshakes"), async || {
                let page = client::fetch_path(admin, "/metrics").await;
                page.text().lines().any(|line| {
                    line.starts_with("pounce_tls_handshakes_total")
                        && line.contains("client_certificate")
                        && line.ends_with(expected)
                })
            })
            .await;
        }
    }
}

#[tokio::test]
async fn spans_say_who_it_was() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let shop = authority.make(&[], |params| {
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
        params.distinguished_name.push(rcgen::DnType::CommonName, "shop");
    });
    let digest = ring::digest::digest(&ring::digest::SHA256, shop.der());
    let sha256 = crate::support::attributes::hex(digest.as_ref()).to_uppercase();
    let collector = Collector::start().await;
    let server = start(folder.path(), &authority, "optional", &collector).await;
    let mut requests = 0;
    for version in VERSIONS {
        let anonymous = authority.trusting(&[version]);
        let client = anonymous.clone().showing(&shop);
        for protocol in Protocol::BOTH {
            let config = client.config(&[if protocol == Protocol::H2 { "h2" } else { "http/1.1" }]);
            // Also where a session is resumed, in which nothing is shown.
            for _ in 0..2 {
                let stream = shake_hands(config.clone(), server.addr(), "localhost").await;
                let mut connection = Connection::encrypted(stream.unwrap(), server.addr(), protocol).await;
                assert_eq!(connection.fetch(client::get("/200")).await.status, 200);
                requests += 1;
                let spans = collector.spans(requests).await;
                let span = spans.last().expect("one at least");
                assert_eq!(span.text("tls.client.subject"), "O=Example, CN=shop", "{version:?}");
                assert_eq!(span.text("tls.client.hash.sha256"), sha256);
            }
        }
        let mut connection = anonymous.open(server.addr(), "localhost", Protocol::H1).await;
        assert_eq!(connection.fetch(client::get("/200")).await.status, 200);
        requests += 1;
        let spans = collector.spans(requests).await;
        assert!(!spans.last().expect("one").attributes.contains_key("tls.client.subject"));
    }
}

/// Nobody comes in by a ticket for whom the authority of now does not vouch.
#[tokio::test]
async fn other_authorities_count_when_their_file_changes() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("ours"));
    let shop = authority.client("shop");
    let collector = Collector::start().await;
    let mut server = start(folder.path(), &authority, "required", &collector).await;
    let client = authority.trusting(&VERSIONS).showing(&shop);
    let config = client.config(&["http/1.1"]);
    let stream = shake_hands(config.clone(), server.addr(), "localhost").await.unwrap();
    let mut open = Connection::encrypted(stream, server.addr(), Protocol::H1).await;
    assert_eq!(open.fetch(client::get("/200")).await.status, 200);

    let later = Authority::new("later");
    std::fs::write(folder.path().join("clients.pem"), later.pem()).unwrap();
    server.logged(&["the authorities of clients have changed"]).await;
    assert!(!is_let_in(&client, &server).await);
    let stream = shake_hands(config, server.addr(), "localhost").await;
    if let Ok(mut stream) = stream {
        assert!(within("a refusal", stream.read_u8()).await.is_err());
    }
    let newcomer = authority.trusting(&VERSIONS).showing(&later.client("shop"));
    assert!(is_let_in(&newcomer, &server).await);
    assert_eq!(open.fetch(client::get("/200")).await.status, 200, "it was let in before");
}
