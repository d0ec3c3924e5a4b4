//! Certificates that change while the server runs.

use super::with;
use crate::support::client;
use crate::support::tls::{Authority, Pair, VERSIONS, write_key};
use crate::support::{Protocol, eventually, pounce};
use std::os::unix::fs::symlink;
use std::path::Path;

fn put(folder: &Path, pair: &Pair) {
    pair.write(folder, "server");
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_open_connections_go_on() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let old = authority.server(&["localhost"]);
    let files = old.write(folder.path(), "server");
    let mut server = with(pounce().fixture("status.wat").with_admin(), &files).start().await;
    let (addr, client) = (server.addr(), authority.trusting(&VERSIONS));
    let mut open = Vec::new();
    for protocol in Protocol::BOTH {
        open.push(client.open(addr, "localhost", protocol).await);
    }
    assert_eq!(client.shown(addr, "localhost").await, old.der());
    let sessions = client.config(&["http/1.1"]);
    let stream = crate::support::tls::shake_hands(sessions.clone(), addr, "localhost").await.unwrap();
    let mut first = client::Connection::encrypted(stream, addr, Protocol::H1).await;
    assert_eq!(first.fetch(client::get("/200")).await.status, 200);

    let new = authority.server(&["localhost", "other.example"]);
    put(folder.path(), &new);
    server.logged(&["a certificate has changed", "other.example"]).await;
    assert_eq!(client.shown(addr, "localhost").await, new.der());
    for connection in &mut open {
        assert_eq!(connection.fetch(client::get("/200")).await.status, 200);
    }
    // Who was here before comes back without a second key exchange.
    let stream = crate::support::tls::shake_hands(sessions, addr, "localhost").await.unwrap();
    assert_eq!(stream.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Resumed));

    let page = client::fetch_path(server.admin().await, "/metrics").await;
    let value = |name: &str, label: &str| {
        let line = page.text().lines().find(|line| line.starts_with(name) && line.contains(label));
        line.unwrap_or_else(|| panic!("no {name}")).rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(value("pounce_tls_certificate_reloads_total", "outcome=\"done\""), 1.0);
    assert!(value("pounce_tls_certificate_time_to_expiry_seconds", "server.pem") > 86_400.0);
    let status = server.status().await;
    assert_eq!(status["tls"]["certificates"][0]["names"][1], "other.example");
    assert!(status["tls"]["reload_error"].is_null());
}

#[tokio::test]
async fn a_bad_one_changes_nothing_and_says_why() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let old = authority.server(&["localhost"]);
    let files = old.write(folder.path(), "server");
    let mut server = with(pounce().fixture("status.wat").with_admin(), &files).start().await;
    let (addr, client) = (server.addr(), authority.trusting(&VERSIONS));
    let other = authority.server(&["localhost"]);
    let expired =
        authority.make(&["localhost"], |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    let early = authority.make(&["localhost"], |params| params.not_before = rcgen::date_time_ymd(2099, 1, 1));
    let bad: [(&str, &dyn Fn()); 5] = [
        ("is not the key of", &|| write_key(&files.key, &other.key)),
        ("has expired on", &|| put(folder.path(), &expired)),
        ("is not valid before", &|| put(folder.path(), &early)),
        ("has no private key", &|| write_key(&files.key, "")),
        ("can't be read", &|| std::fs::remove_file(&files.certificate).unwrap()),
    ];
    for (at, (why, break_it)) in bad.into_iter().enumerate() {
        break_it();
        server.logged(&["the one before stays", why]).await;
        assert_eq!(client.shown(addr, "localhost").await, old.der(), "{why}");
        let status = server.status().await;
        assert!(status["tls"]["reload_error"].as_str().unwrap().contains(why), "{at}: {status}");
    }
    // And a good one after it is used.
    put(folder.path(), &other);
    server.logged(&["a certificate has changed"]).await;
    assert_eq!(client.shown(addr, "localhost").await, other.der());
    let status = server.status().await;
    assert!(status["tls"]["reload_error"].is_null(), "{status}");
}

/// Kubernetes puts a link to another folder in place of the one before; the files' own names are links through it.
#[tokio::test]
async fn links_that_are_swapped_are_noticed() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let root = folder.path();
    let (old, new) = (authority.server(&["localhost"]), authority.server(&["localhost"]));
    for (name, pair) in [("1", &old), ("2", &new)] {
        std::fs::create_dir(root.join(name)).unwrap();
        put(&root.join(name), pair);
    }
    symlink("1", root.join("..data")).unwrap();
    for file in ["server.pem", "server.key"] {
        symlink(Path::new("..data").join(file), root.join(file)).unwrap();
    }
    let files =
        crate::support::tls::Files { certificate: root.join("server.pem"), key: root.join("server.key") };
    let server = with(pounce().fixture("status.wat"), &files).start().await;
    let client = authority.trusting(&VERSIONS);
    assert_eq!(client.shown(server.addr(), "localhost").await, old.der());
    symlink("2", root.join("..next")).unwrap();
    std::fs::rename(root.join("..next"), root.join("..data")).unwrap();
    eventually("the new certificate", async || client.shown(server.addr(), "localhost").await == new.der())
        .await;
}

/// One of several that is bad keeps nobody else from being new.
#[tokio::test]
async fn each_pair_is_judged_by_itself() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let (a, b) = (authority.server(&["a.example"]), authority.server(&["b.example"]));
    let files = [a.write(folder.path(), "a"), b.write(folder.path(), "b")];
    let mut server = pounce().fixture("status.wat");
    for pair in &files {
        server = with(server, pair);
    }
    let mut server = server.start().await;
    let client = authority.trusting(&VERSIONS);
    let new = authority.server(&["b.example"]);
    new.write(folder.path(), "b");
    std::fs::write(&files[0].certificate, "").unwrap();
    server.logged(&["the one before stays", "a.pem", "no certificate"]).await;
    server.logged(&["a certificate has changed", "b.example"]).await;
    assert_eq!(client.shown(server.addr(), "a.example").await, a.der());
    assert_eq!(client.shown(server.addr(), "b.example").await, new.der());
}
