//! Places: the share of one client, and clients that hold places while they take or send nothing.

use super::windows::connect;
use super::{ENDLESS, guest_holds};
use crate::support::client::{self, Answer, Connection, Protocol, Raw, WithHeader, streamed};
use crate::support::pounce::{Builder, Pounce};
use crate::support::span::Span;
use crate::support::{Abi, Collector, eventually, for_both_abis, pounce, within};
use bytes::Bytes;
use h2::client::ResponseFuture;
use http::{Method, Request};
use hyper::body::Frame;
use std::net::SocketAddr;

for_both_abis!(
    a_client_beyond_its_share_is_shed_and_told_why,
    clients_behind_a_trusted_proxy_have_shares_of_their_own,
    a_finished_guest_frees_its_place,
    what_was_read_ahead_arrives,
    closed_windows_lock_nobody_out,
    one_byte_uploads_lock_nobody_out,
    an_upload_that_stands_still_makes_room,
    a_client_that_reads_nothing_makes_room,
    a_client_beyond_its_share_of_the_memory_is_shed_and_nobody_else,
);

/// The answer to `GET path` of another client than all others of a test.
async fn elsewhere(addr: SocketAddr, protocol: Protocol, path: &str) -> Answer {
    Connection::open_elsewhere(addr, protocol).await.fetch(client::get(path)).await
}

async fn a_client_beyond_its_share_is_shed_and_told_why(abi: Abi) {
    let collector = Collector::start().await;
    let mut server = pounce()
        .guest(abi, "slow")
        .flag("--max-in-flight", 4)
        .flag("--log-level", "debug")
        .traced(&collector)
        .start()
        .await;
    let addr = server.addr();
    for protocol in Protocol::BOTH {
        let (held, response) = client::hold(addr, protocol, ENDLESS).await;
        let shed = client::fetch(addr, protocol, client::get("/shed")).await;
        assert_eq!((shed.status.as_u16(), shed.header("retry-after")), (503, "1"), "{protocol:?}");
        assert_eq!(elsewhere(addr, protocol, "/?ms=0").await.status, 200, "{protocol:?}");
        held.abort();
        drop(response);
    }
    server.logged(&["1 requests of this client are in flight (http.max-in-flight-per-peer)"]).await;
    let span =
        collector.span_where("of the one that was shed", |span| span.text("url.path") == "/shed").await;
    assert_eq!((span.text("error.type"), span.failed()), ("overloaded", true));
    assert!(format!("{:?}", span.status).contains("http.max-in-flight-per-peer"), "{span:?}");
    let exit = server.stop().await;
    assert!(
        exit.stderr.contains("beyond the share of one client address (http.max-in-flight-per-peer)"),
        "{exit}"
    );
    let metrics = collector.host_metrics();
    let shed = metrics.iter().find(|metric| metric.name == "pounce.requests.shed").expect("it is counted");
    let by_share = |point: &&crate::support::signals::Point| {
        format!("{:?}", point.attributes["reason"]).contains("max_in_flight_per_peer")
    };
    let count = &shed.points.iter().find(by_share).expect("by its reason").value;
    assert!(count.parse::<u64>().unwrap() >= 2, "{count}");
}

async fn clients_behind_a_trusted_proxy_have_shares_of_their_own(abi: Abi) {
    let server = pounce()
        .guest(abi, "slow")
        .flag("--max-in-flight", 8)
        .flag("--max-in-flight-per-peer", 1)
        .flag("--trusted-proxies", "127.0.0.1")
        .start()
        .await;
    for protocol in Protocol::BOTH {
        let mut proxy = Connection::open(server.addr(), protocol).await;
        let get = |path: &str, client: &str| client::get(path).with("x-forwarded-for", client);
        let mut held = None;
        eventually("a place of the first client's", async || {
            let mut connection = Connection::open(server.addr(), protocol).await;
            let response = connection.send(get(ENDLESS, "2001:db8::1")).await;
            let status = response.status();
            held = Some((connection, response));
            status == 200
        })
        .await;
        for (client, status) in
            [("2001:db8::1", 503), ("2001:db8::ffff", 503), ("2001:db8:0:1::1", 200), ("unknown", 200)]
        {
            let answer = proxy.fetch(get("/?ms=0", client)).await;
            assert_eq!(answer.status, status, "{protocol:?} {client}");
        }
        // The proxy's own requests are counted for nobody.
        let (one, other) =
            (client::hold(server.addr(), protocol, ENDLESS).await, proxy.fetch(client::get("/?ms=0")));
        assert_eq!(other.await.status, 200, "{protocol:?}");
        drop((one, held));
    }
}

/// Sends so many requests and reads nothing of the responses.
async fn unread(server: &Pounce, window: u32, requests: usize, path: &str) -> Vec<ResponseFuture> {
    let mut sender = connect(server, window).await;
    let mut responses = Vec::new();
    for _ in 0..requests {
        sender = within("room for a stream", sender.ready()).await.unwrap();
        let request = Request::get(format!("http://{}{path}", server.addr())).body(()).unwrap();
        responses.push(sender.send_request(request, true).unwrap().0);
    }
    // The connection ends with its last sender, which responses are not.
    std::mem::forget(sender);
    responses
}

/// How many places are taken, and how many responses wait.
async fn taken(admin: SocketAddr) -> (u64, u64) {
    let status = client::fetch_json(admin, "/status").await;
    let used = |kind: &str| status["limits"][kind]["used"].as_u64().expect("a number");
    (used("in_flight"), used("waiting"))
}

/// Of fresh and shared instances, with one piece and with several.
async fn a_finished_guest_frees_its_place(abi: Abi) {
    const STREAMS: usize = 32;
    for isolation in ["request", "instance"] {
        let mut server = pounce()
            .guest(abi, "slow")
            .with_admin()
            .flag("--isolation", isolation)
            .flag("--max-in-flight", STREAMS)
            .flag("--max-in-flight-per-peer", STREAMS)
            .flag("--idle-timeout", "none")
            .start()
            .await;
        let admin = server.admin().await;
        let mut waiting = 0;
        let mut held = Vec::new();
        for path in ["/?ms=0", "/?ms=0&chunks=5&size=10000"] {
            held.push(unread(&server, 0, STREAMS, path).await);
            waiting += STREAMS as u64;
            eventually("all guests to have finished", async || taken(admin).await == (0, waiting)).await;
        }
        // No room to wait is left: those who have waited long enough make some, and places are there all the same.
        held.push(unread(&server, 0, 1, "/?ms=0").await);
        eventually("room for the last one", async || {
            let (working, waits) = taken(admin).await;
            working == 0 && waits < waiting
        })
        .await;
        assert_eq!(elsewhere(server.addr(), Protocol::H1, "/?ms=0").await.status, 200, "{isolation}");
    }
}

/// Piece by piece, although its guest has long finished.
async fn what_was_read_ahead_arrives(abi: Abi) {
    let mut server = pounce().guest(abi, "slow").with_admin().start().await;
    let admin = server.admin().await;
    let mut sender = connect(&server, 16).await;
    let request = Request::get(format!("http://{}/?ms=0&chunks=60", server.addr())).body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    let mut body = within("the response head", response).await.unwrap().into_body();
    eventually("the guest to have finished", async || taken(admin).await == (0, 1)).await;
    let mut text = Vec::new();
    while let Some(data) = within("the next piece", body.data()).await {
        let data = data.expect("not cut off");
        body.flow_control().release_capacity(data.len()).unwrap();
        text.extend_from_slice(&data);
    }
    let expected: String = (1..=60).map(|n| format!("chunk {n}\n")).collect();
    assert_eq!(String::from_utf8(text).unwrap(), expected);
    eventually("the response to be over", async || taken(admin).await == (0, 0)).await;
}

/// Four HTTP/2 connections of one client with all streams that they may have.
async fn closed_windows_lock_nobody_out(abi: Abi) {
    let server = pounce().guest(abi, "hello").start().await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(unread(&server, 0, 256, "/").await);
    }
    for response in held.iter_mut().flatten() {
        let status = within("each head", response).await.unwrap().status();
        assert!(status == 200 || status == 503, "{status}");
    }
    for protocol in Protocol::BOTH {
        let answer = elsewhere(server.addr(), protocol, "/").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "Hello, World!\n"), "{protocol:?}");
    }
}

async fn one_byte_uploads_lock_nobody_out(abi: Abi) {
    const CLIENTS: usize = 1024;
    let mut server = pounce().guest(abi, "echo").with_admin().start().await;
    let admin = server.admin().await;
    let mut held = Vec::new();
    for _ in 0..CLIENTS {
        let mut raw = Raw::open(server.addr()).await;
        raw.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nx").await.unwrap();
        held.push(raw);
    }
    eventually("uploads to hold places", async || taken(admin).await.0 > 0).await;
    for protocol in Protocol::BOTH {
        assert_eq!(elsewhere(server.addr(), protocol, "/").await.status, 200, "{protocol:?}");
    }
}

/// Nothing limits its time but that others are refused.
fn patient(abi: Abi, guest: &str) -> Builder {
    let builder = pounce().guest(abi, guest).flag("--max-in-flight", 1);
    builder.flag("--idle-timeout", "none").flag("--request-timeout", "none")
}

async fn served_at_last(server: &Pounce, request: impl Fn() -> Request<client::Body>) {
    eventually("a place", async || client::fetch(server.addr(), Protocol::H1, request()).await.status != 503)
        .await;
}

/// The guest reads the whole body before it answers.
async fn an_upload_that_stands_still_makes_room(abi: Abi) {
    let collector = Collector::start().await;
    let mut server = patient(abi, "relay").with_admin().traced(&collector).start().await;
    for protocol in Protocol::BOTH {
        let (sender, body) = streamed();
        let mut connection = Connection::open(server.addr(), protocol).await;
        let path = format!("/still/{protocol:?}");
        let answer = connection.start(client::request(Method::POST, &path, body));
        sender.send(Ok(Frame::data(Bytes::from_static(b"[")))).await.unwrap();
        let answer = tokio::spawn(answer);
        server.in_flight(1).await;
        served_at_last(&server, || client::post("/other", "[]")).await;
        let answer = answer.await.unwrap().expect("an answer");
        assert_eq!(answer.status(), 408, "{protocol:?}");
        let span = collector.span_where("of it", |span| span.text("url.path") == path).await;
        assert_eq!(span.text("error.type"), "client_timeout", "{protocol:?}");
        drop(sender);
    }
}

async fn a_client_that_reads_nothing_makes_room(abi: Abi) {
    let server = patient(abi, "slow").start().await;
    let endless = "/?ms=0&chunks=1000000&size=65535";
    let _unread = unread(&server, 0, 1, endless).await;
    served_at_last(&server, || client::get("/?ms=0")).await;

    let mut raw = Raw::open(server.addr()).await;
    raw.write(format!("GET {endless} HTTP/1.1\r\nhost: a\r\n\r\n")).await.unwrap();
    raw.read_until("\r\n\r\n").await;
    served_at_last(&server, || client::get("/?ms=0")).await;
}

/// A quarter of 256 MiB, which is also what one instance may have. With `instance`, those that others have left behind
/// hold as much again: the client gets none of them.
async fn a_client_beyond_its_share_of_the_memory_is_shed_and_nobody_else(abi: Abi) {
    let isolations = if abi == Abi::P2 { ["request", "instance"].as_slice() } else { &["request"] };
    for isolation in isolations {
        beyond_its_share_of_the_memory(abi, isolation).await;
    }
}

async fn beyond_its_share_of_the_memory(abi: Abi, isolation: &str) {
    let collector = Collector::start().await;
    let mut server = pounce()
        .guest(abi, "hog-memory")
        .flag("--isolation", isolation)
        .flag("--max-memory", "32MiB")
        .flag("--max-total-memory", "256MiB")
        .flag("--request-timeout", "none")
        .with_admin()
        .traced(&collector)
        .start()
        .await;
    let addr = server.addr();
    let mut held = Vec::new();
    for protocol in Protocol::BOTH {
        let mut connection = Connection::open(addr, protocol).await;
        let answer = tokio::spawn(connection.start(client::get("/held?mib=24&ms=86400000")));
        held.push((connection, answer));
    }
    guest_holds(server.admin().await, 48).await;
    for protocol in Protocol::BOTH {
        let answer = client::fetch(addr, protocol, client::get("/more?mib=24")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (503, "1"),
            "{isolation}, {protocol:?}"
        );
        let answer = elsewhere(addr, protocol, "/other?mib=24").await;
        assert_eq!(answer.text(), "took 24 MiB\n", "{isolation}, {protocol:?}");
    }
    let is_shed = |span: &Span| span.text("error.type") == "overloaded";
    let shed = collector.span_where("of one that was shed", is_shed).await;
    let status = format!("{:?}", shed.status);
    assert!(
        status.contains("that work for this client") && status.contains("guest.max-total-memory"),
        "{status}"
    );
    // What it held is given back.
    held.into_iter().for_each(|(connection, _)| connection.abort());
    eventually("room for the client", async || client::fetch_path(addr, "/again?mib=24").await.status == 200)
        .await;
}
