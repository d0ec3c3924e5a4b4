//! Which addresses a request may end up at.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpListener;

use super::super::error::error_type;
use super::super::resolve::Resolver;
use super::super::{Client, OwnListeners, Setup};
use super::support::*;

async fn error_of(client: &Client, url: &str) -> &'static str {
    error_type(&client.send(get(url), None).await.unwrap_err())
}

#[tokio::test]
async fn a_named_address_answers() {
    let server = Server::hello().await;
    let response = client(&[local()]).send(get(&server.url("/")), None).await.unwrap();
    assert_eq!(text(response).await, "hello");
}

#[tokio::test]
async fn without_a_rule_nothing_is_dialled_and_it_is_counted() {
    let server = Server::hello().await;
    let client = client(&[]);
    assert_eq!(error_of(&client, &server.url("/")).await, "http_request_denied");
    assert_eq!(error_of(&client, &server.url("/")).await, "http_request_denied");
    assert_eq!(client.refused(), 2);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_wildcard_does_not_lead_to_this_machine() {
    let server = Server::hello().await;
    let port = server.address.port();
    let client = client(&[anywhere()]);
    // The last ones are no literals for us, but are for getaddrinfo.
    for host in [
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "0.0.0.0",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "127.1",
        "0",
        "017700000001",
    ] {
        let error = error_of(&client, &format!("http://{host}:{port}/")).await;
        assert_eq!(error, "destination_ip_prohibited", "{host}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_named_host_may_be_private() {
    let server = Server::hello().await;
    let (resolver, _) = scripted(&[&["127.0.0.1"]]);
    let client = Client::new(Setup { resolver, ..setup(&[exact("db.internal")]) });
    let url = format!("http://db.internal:{}/", server.address.port());
    assert_eq!(text(client.send(get(&url), None).await.unwrap()).await, "hello");
}

#[tokio::test]
async fn a_name_under_a_wildcard_may_not_be_private() {
    let server = Server::hello().await;
    let (resolver, lookups) = scripted(&[&["127.0.0.1", "10.0.0.1", "::1", "fd00::1"]]);
    let client = Client::new(Setup { resolver, ..setup(&[anywhere()]) });
    let url = format!("http://rebound.test:{}/", server.address.port());
    assert_eq!(error_of(&client, &url).await, "destination_ip_prohibited");
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
    assert_eq!(client.refused(), 1);
    assert_eq!(server.connections(), 0);
}

/// Two servers at one port of two addresses.
async fn twins() -> (TcpListener, TcpListener) {
    loop {
        let one = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = one.local_addr().unwrap().port();
        if let Ok(two) = TcpListener::bind(("127.0.0.2", port)).await {
            return (one, two);
        }
    }
}

#[tokio::test]
async fn the_address_that_was_judged_is_the_one_that_is_dialled() {
    let (first, second) = twins().await;
    let port = first.local_addr().unwrap().port();
    let (resolver, lookups) = scripted(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let client = Client::new(Setup { resolver, ..setup(&[exact("a.test")]) });
    let url = format!("http://a.test:{port}/");
    let sending = tokio::spawn(client.send(get(&url), None));
    let (stream, _) = tokio::select! {
        accepted = first.accept() => accepted.unwrap(),
        _ = second.accept() => panic!("connected to the second answer"),
    };
    tokio::spawn(serve(stream, |_| async { http::Response::new(full("first")) }));
    assert_eq!(text(sending.await.unwrap().unwrap()).await, "first");
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_wildcard_does_not_lead_back_to_us() {
    let server = Server::hello().await;
    let port = server.address.port();
    let wildcard = format!("127.0.0.1:{port}").parse().unwrap();
    let (resolver, _) = scripted(&[&["127.0.0.1"]]);
    for own in [wildcard, format!("0.0.0.0:{port}").parse().unwrap(), format!("[::]:{port}").parse().unwrap()]
    {
        let resolver = resolver.clone();
        let client = Client::new(Setup { own: clients(own), resolver, ..setup(&[anywhere()]) });
        let url = format!("http://me.test:{port}/");
        assert_eq!(error_of(&client, &url).await, "loop_detected", "{own}");
    }
    // Who names it means it.
    let client = Client::new(Setup { own: clients(wildcard), resolver, ..setup(&[exact("me.test")]) });
    let url = format!("http://me.test:{port}/");
    assert_eq!(text(client.send(get(&url), None).await.unwrap()).await, "hello");
}

fn clients(listener: SocketAddr) -> OwnListeners {
    OwnListeners { clients: vec![listener], admin: None }
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    let resolver = Resolver::Scripted(Arc::new(|_| Err(io::Error::other("no such name"))));
    let client = Client::new(Setup { resolver, ..setup(&[anywhere()]) });
    assert_eq!(error_of(&client, "http://nowhere.test/").await, "dns_error");
    let (resolver, _) = scripted(&[&[]]);
    let client = Client::new(Setup { resolver, ..setup(&[exact("empty.test")]) });
    assert_eq!(error_of(&client, "http://empty.test:80/").await, "dns_error");
}

#[tokio::test]
async fn redirects_are_the_guests_business() {
    let target = Server::hello().await;
    let location = target.url("/secret");
    let server = Server::http(move |_| {
        let response = http::Response::builder().status(302).header("location", &location);
        let response = response.body(empty()).unwrap();
        async { response }
    })
    .await;
    let response = client(&[local()]).send(get(&server.url("/")), None).await.unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn host_is_made_from_the_uri() {
    let server = Server::http(|request| async move {
        let hosts: Vec<_> = request.headers().get_all("host").iter().collect();
        http::Response::new(full(format!("{hosts:?} {}", request.uri())))
    })
    .await;
    let mut request = get(&server.url("/a?b=c"));
    request.headers_mut().append("host", "other.test".parse().unwrap());
    let response = client(&[local()]).send(request, None).await.unwrap();
    assert_eq!(text(response).await, format!("[\"{}\"] /a?b=c", server.address));
}
