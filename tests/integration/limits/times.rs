//! How long: heads, idle connections and guests.

use crate::support::client::{self, Answer, Connection, Protocol, Raw};
use crate::support::{Abi, Collector, eventually, for_both_abis, pounce, within};
use std::time::Duration;

for_both_abis!(
    a_client_that_does_not_read_is_cut_off,
    an_upload_may_outlive_its_response,
    a_slow_guest_is_504,
    a_busy_guest_is_interrupted_and_the_server_stays_responsive,
);

#[tokio::test]
async fn a_slow_head_is_cut_off_and_a_silent_connection_is_not() {
    let server = pounce()
        .fixture("status.wat")
        .flag("--header-timeout", "1s")
        .flag("--idle-timeout", "10m")
        .start()
        .await;
    // Silent for three times as long: the clock starts with a head's first byte.
    let mut silent = Raw::open(server.addr()).await;

    let mut stuck = Raw::open(server.addr()).await;
    stuck.write("GET / HT").await.unwrap();
    let said = stuck.read_to_end().await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said:?}");

    // A byte now and then does not buy time.
    let mut drip = Raw::open(server.addr()).await;
    drip.write("GET / HTTP/1.1\r\nhost: ").await.unwrap();
    let dripping = async {
        while drip.write("a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    within("the slow head to be cut off", dripping).await;

    tokio::time::sleep(Duration::from_secs(1)).await;
    silent.write("GET /204 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(silent.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 204"));
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let server = pounce()
        .guest(Abi::P2, "slow")
        .flag("--idle-timeout", "1s")
        .flag("--header-timeout", "10m")
        .start()
        .await;
    assert_eq!(Raw::open(server.addr()).await.read_to_end().await, "", "a connection that never spoke");
    for protocol in Protocol::BOTH {
        // Waiting for a guest is not idling, before the head or after it. A client that is late with its request is.
        let (mut connection, mut response) = (None, None);
        eventually("the head of a response", async || {
            let client = connection.insert(Connection::open(server.addr(), protocol).await);
            response = client.try_send(client::get("/?ms=3000&chunks=2&body_ms=3000")).await.ok();
            response.is_some()
        })
        .await;
        let answer = Answer::read(response.expect("a response")).await;
        assert_eq!(answer.text(), "chunk 1\nchunk 2\n", "{protocol:?}");
        let connection = connection.expect("open");
        // An error would do as well: what counts is that it ends.
        let _how = connection.closed().await;
    }
}

/// A response that nobody takes would keep its place, and its guest's memory, for ever.
async fn a_client_that_does_not_read_is_cut_off(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "slow")
        .flag("--idle-timeout", "1s")
        .flag("--max-in-flight", 1)
        .traced(&collector)
        .start()
        .await;
    let mut raw = Raw::open(server.addr()).await;
    raw.write("GET /unread?ms=0&chunks=1000000&size=65535 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    raw.read_until("chunk 1").await;
    eventually("its place to be free", async || {
        client::fetch_path(server.addr(), "/?ms=0").await.status == 200
    })
    .await;
    let unread = collector.span_where("of it", |span| span.text("url.path") == "/unread").await;
    assert_eq!(unread.text("error.type"), "client_disconnected");
}

/// What comes after the response is its request's body, and no slow head of the next.
async fn an_upload_may_outlive_its_response(abi: Abi) {
    let server = pounce().guest(abi, "leave").flag("--header-timeout", "1s").start().await;
    let mut raw = Raw::open(server.addr()).await;
    raw.write("POST /?read&ms=0 HTTP/1.1\r\nhost: a\r\ncontent-length: 60\r\n\r\n").await.unwrap();
    raw.read_until("on my way out\n").await;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        raw.write("0123456789").await.expect("nobody hung up");
    }
}

/// The wait begins with the end of the last response, not with whatever the connection last looked at.
#[tokio::test]
async fn an_idle_connection_has_its_whole_time_after_a_long_response() {
    let server = pounce().guest(Abi::P2, "slow").flag("--idle-timeout", "3s").start().await;
    for protocol in Protocol::BOTH {
        // A client that is late to see the end of the response sees less of the three seconds, and looks again.
        eventually("its whole time", async || {
            let mut connection = Connection::open(server.addr(), protocol).await;
            assert_eq!(connection.fetch(client::get("/?ms=5500")).await.status, 200);
            let end = std::time::Instant::now();
            let _how = connection.closed().await;
            end.elapsed() > Duration::from_millis(1500)
        })
        .await;
    }
}

async fn a_slow_guest_is_504(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "slow").flag("--request-timeout", "1s").traced(&collector).start().await;
    for protocol in Protocol::BOTH {
        let mut connection = Connection::open(server.addr(), protocol).await;
        assert_eq!(connection.fetch(client::get("/?ms=600000")).await.status, 504, "{protocol:?}");
        // The limit is on the head: a body may take its time.
        let answer = connection.fetch(client::get("/?ms=0&chunks=3&body_ms=700")).await;
        assert_eq!(answer.text(), "chunk 1\nchunk 2\nchunk 3\n", "{protocol:?}");
    }
    let spans = collector.spans(4).await;
    let timed_out = spans.iter().filter(|span| span.text("error.type") == "timeout" && span.failed());
    assert_eq!(timed_out.count(), 2);
}

async fn a_busy_guest_is_interrupted_and_the_server_stays_responsive(abi: Abi) {
    let server = pounce().guest(abi, "busy-loop").flag("--request-timeout", "5s").start().await;
    let addr = server.addr();
    let busy: Vec<_> = (0..4).map(|_| tokio::spawn(client::fetch_path(addr, "/"))).collect();
    // Answered by the server alone, while every guest spins.
    let mut raw = Raw::open(addr).await;
    raw.write("GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(raw.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 400"));
    assert!(
        busy.iter().any(|task| !task.is_finished()),
        "the answer came only after the guests had been interrupted"
    );
    for task in busy {
        assert_eq!(task.await.unwrap().status, 504);
    }
    // What was interrupted no longer spins.
    eventually("the processor to be free", async || {
        let before = server.processor_time();
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.processor_time() - before < Duration::from_millis(200)
    })
    .await;
}
