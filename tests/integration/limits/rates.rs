//! How many requests a second a client may send, and clients that stop in the middle of one.

use crate::support::client::{self, Answer, Connection, Raw, WithHeader};
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};
use std::net::SocketAddr;
use std::time::Instant;

for_both_abis!(beyond_its_rate_a_client_gets_429, an_upload_that_stands_still_is_408);

/// Whether it may have been sent by one client within this time.
fn is_within(let_in: usize, burst: usize, begun: Instant) -> bool {
    let_in <= burst + 1 + usize::try_from(begun.elapsed().as_secs()).expect("a short time")
}

async fn beyond_its_rate_a_client_gets_429(abi: Abi) {
    let collector = Collector::start().await;
    let mut server = pounce()
        .guest(abi, "hello")
        .flag("--rate-limit", "1/3")
        .with_admin()
        .traced(&collector)
        .start()
        .await;
    let (addr, begun) = (server.addr(), Instant::now());
    let (mut let_in, mut refused) = (0, 0);
    for protocol in Protocol::BOTH {
        let mut connection = Connection::open(addr, protocol).await;
        for _ in 0..20 {
            let answer = connection.fetch(client::get("/flood")).await;
            match answer.status.as_u16() {
                200 => let_in += 1,
                429 => {
                    refused += 1;
                    let seconds: u32 = answer.header("retry-after").parse().expect("seconds");
                    assert_eq!((seconds, answer.text()), (1, "Too Many Requests\n"), "{protocol:?}");
                }
                other => panic!("{protocol:?}: {other}"),
            }
        }
        let elsewhere = Connection::open_elsewhere(addr, protocol).await.fetch(client::get("/")).await;
        assert_eq!(elsewhere.status, 200, "{protocol:?}: another client");
    }
    assert!(let_in >= 3 && is_within(let_in, 3, begun), "{let_in} in {:?}", begun.elapsed());
    assert!(refused > 0);
    let span = collector
        .span_where("of one that was refused", |span| span.int("http.response.status_code") == Some(429));
    let span = span.await;
    assert_eq!((span.text("error.type"), span.failed()), ("rate_limited", false));
    let page = client::fetch_path(server.admin().await, "/metrics").await;
    let counted = page.text().lines().find(|line| line.starts_with("pounce_requests_rate_limited_total"));
    assert!(counted.is_some_and(|line| line.ends_with(&format!(" {refused}"))), "{refused}: {counted:?}");
    let exit = server.stop().await;
    assert!(exit.stderr.contains("beyond the rate of one client address (http.rate-limit)"), "{exit}");
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_have_rates_of_their_own() {
    let server = pounce()
        .fixture("status.wat")
        .flag("--rate-limit", "1/1")
        .flag("--trusted-proxies", "127.0.0.1")
        .start()
        .await;
    let mut proxy = Connection::open(server.addr(), Protocol::H2).await;
    let mut of = async |client: &str| {
        let answer = proxy.fetch(client::get("/200").with("x-forwarded-for", client)).await;
        answer.status.as_u16()
    };
    let begun = Instant::now();
    let mut let_in = 0;
    for _ in 0..10 {
        let_in += usize::from(of("192.0.2.1").await == 200);
    }
    assert!(is_within(let_in, 1, begun), "{let_in}");
    // What the client says of itself, in front of what the proxy has seen, buys nothing.
    let mut let_in = 0;
    for n in 0..10 {
        let_in += usize::from(of(&format!("198.51.100.{n}, 2001:db8::{n}")).await == 200);
    }
    assert!(is_within(let_in, 1, begun), "a network of IPv6 is one client: {let_in}");
    assert_eq!(of("192.0.2.7").await, 200);
    // The proxy itself is nobody's client.
    for _ in 0..5 {
        assert_eq!(client::fetch_path(server.addr(), "/200").await.status, 200);
    }
}

#[tokio::test]
async fn rates_that_are_none_are_mistakes() {
    for rate in ["fast", "1/0", "-1"] {
        let exit = pounce().fixture("status.wat").flag("--rate-limit", rate).run().await;
        exit.expect(2, &["--rate-limit", &format!("`{rate}`"), "is not a rate", "50/200"]);
    }
}

/// The guest waits for the rest of a body that does not come.
async fn an_upload_that_stands_still_is_408(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "relay").flag("--idle-timeout", "1s").traced(&collector).start().await;
    let upload = |addr: SocketAddr| async move {
        let mut raw = Raw::open(addr).await;
        raw.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n[").await.unwrap();
        raw.read_to_end().await
    };
    let said = upload(server.addr()).await;
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    let span = collector.span().await;
    assert_eq!(span.text("error.type"), "client_timeout");

    let held = crate::support::Held::begin(server.addr(), Protocol::H2, "/").await;
    held.answered().await;
    let answer = Answer::read(held.response().await).await;
    assert_eq!(answer.status, 408);
}
