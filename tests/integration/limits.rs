//! Each limit: what a client gets beyond it, that it holds, and that nobody else pays for it.

use crate::support::client::{self, Answer, Connection, Raw, WithHeader, streamed};
use crate::support::pounce::Pounce;
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce, within};
use bytes::Bytes;
use http::Method;
use hyper::body::Frame;
use std::time::Duration;

const PROTOCOLS: [Protocol; 2] = [Protocol::H1, Protocol::H2];

for_both_abis!(
    beyond_max_in_flight_requests_are_shed,
    a_large_body_is_413,
    a_slow_guest_is_504,
    a_busy_guest_is_interrupted_and_the_server_stays_responsive,
    a_guest_beyond_max_memory_is_500,
    beyond_max_total_memory_requests_are_refused_and_the_server_lives,
);

/// Goes on until its client hangs up.
const ENDLESS: &str = "/?ms=0&body_ms=100&chunks=1000000";

async fn beyond_max_in_flight_requests_are_shed(abi: Abi) {
    let server = pounce()
        .guest(abi, "slow")
        .flag("--max-in-flight", 1)
        .start()
        .await;
    for protocol in PROTOCOLS {
        let (first, _response) = client::hold(server.addr(), protocol, ENDLESS).await;
        let answer = client::fetch(server.addr(), protocol, client::get("/?ms=0")).await;
        assert_eq!(answer.status, 503, "{protocol:?}");
        let seconds: u32 = answer
            .header("retry-after")
            .parse()
            .expect("seconds in Retry-After");
        assert!((1..=60).contains(&seconds), "{protocol:?}: {seconds}");
        // The place is free again once its client is gone.
        first.abort();
        eventually("the place to be free", async || {
            client::fetch(server.addr(), protocol, client::get("/?ms=0"))
                .await
                .status
                == 200
        })
        .await;
    }
}

#[tokio::test]
async fn a_large_head_is_431() {
    let server = pounce()
        .fixture("status.wat")
        .flag("--max-header-size", "8KiB")
        .start()
        .await;
    let by_default = pounce().fixture("status.wat").start().await;
    for protocol in PROTOCOLS {
        for (server, size, status) in [
            (&server, 4 * 1024, 200),
            (&server, 12 * 1024, 431),
            (&by_default, 24 * 1024, 200),
            (&by_default, 40 * 1024, 431),
        ] {
            let request = client::get("/200").with("x-large", "x".repeat(size));
            let mut connection = Connection::open(server.addr(), protocol).await;
            let answer = connection.fetch(request).await;
            assert_eq!(answer.status, status, "{protocol:?}, {size} bytes");
        }
    }
    let mut raw = Raw::open(by_default.addr()).await;
    let target = "x".repeat(40 * 1024);
    // It may hang up before it has read all of that.
    let _cut = raw
        .write(format!("GET /{target} HTTP/1.1\r\nhost: a\r\n\r\n"))
        .await;
    let answer = raw.read_until("\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"),
        "a long target: {answer}"
    );
}

async fn a_large_body_is_413(abi: Abi) {
    let server = pounce()
        .guest(abi, "echo")
        .flag("--max-request-body", "1KiB")
        .start()
        .await;
    let whole = pounce()
        .guest(abi, "relay")
        .flag("--max-request-body", "1KiB")
        .start()
        .await;
    for protocol in PROTOCOLS {
        let fits =
            client::fetch(server.addr(), protocol, client::post("/", vec![b'x'; 1024])).await;
        assert_eq!(
            (fits.status.as_u16(), fits.text().len()),
            (200, 1024),
            "{protocol:?}"
        );
        let announced =
            client::fetch(server.addr(), protocol, client::post("/", vec![b'x'; 1025])).await;
        assert_eq!(announced.status, 413, "{protocol:?}");

        // Without a length nobody knows before the limit is reached. A guest that has answered by then is cut off …
        let answer = send_streamed(&server, protocol, 64).await;
        assert!(
            answer.status == 413 || answer.error.is_some(),
            "{protocol:?}: {answer:?}"
        );
        assert!(
            answer.body.len() <= 1024,
            "{protocol:?}: {} bytes came back",
            answer.body.len()
        );
        // … and one that reads first is overruled, whatever it makes of the broken body.
        let answer = send_streamed(&whole, protocol, 64).await;
        assert_eq!(answer.status, 413, "{protocol:?}: {answer:?}");
    }
}

/// Sends `parts` KiB without announcing a length.
async fn send_streamed(server: &Pounce, protocol: Protocol, parts: usize) -> Answer {
    let (sender, body) = streamed();
    tokio::spawn(async move {
        // Ends when the server stops reading.
        for _ in 0..parts {
            if sender
                .send(Ok(Frame::data(Bytes::from(vec![b' '; 1024]))))
                .await
                .is_err()
            {
                break;
            }
        }
    });
    client::fetch(
        server.addr(),
        protocol,
        client::request(Method::POST, "/", body),
    )
    .await
}

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
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408"),
        "{said:?}"
    );

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
    silent
        .write("GET /204 HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(
        silent
            .read_until("\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 204")
    );
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let server = pounce()
        .guest(Abi::P2, "slow")
        .flag("--idle-timeout", "1s")
        .flag("--header-timeout", "10m")
        .start()
        .await;
    assert_eq!(
        Raw::open(server.addr()).await.read_to_end().await,
        "",
        "a connection that never spoke"
    );
    for protocol in PROTOCOLS {
        let mut connection = Connection::open(server.addr(), protocol).await;
        // Waiting for a guest is not idling, before the head or after it.
        let answer = connection
            .fetch(client::get("/?ms=3000&chunks=2&body_ms=3000"))
            .await;
        assert_eq!(answer.text(), "chunk 1\nchunk 2\n", "{protocol:?}");
        // An error would do as well: what counts is that it ends.
        let _how = connection.closed().await;
    }
}

async fn a_slow_guest_is_504(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "slow")
        .flag("--request-timeout", "1s")
        .traced(&collector)
        .start()
        .await;
    for protocol in PROTOCOLS {
        let mut connection = Connection::open(server.addr(), protocol).await;
        assert_eq!(
            connection.fetch(client::get("/?ms=600000")).await.status,
            504,
            "{protocol:?}"
        );
        // The limit is on the head: a body may take its time.
        let answer = connection
            .fetch(client::get("/?ms=0&chunks=3&body_ms=700"))
            .await;
        assert_eq!(answer.text(), "chunk 1\nchunk 2\nchunk 3\n", "{protocol:?}");
    }
    let spans = collector.spans(4).await;
    let timed_out = spans
        .iter()
        .filter(|span| span.text("error.type") == "timeout" && span.failed());
    assert_eq!(timed_out.count(), 2);
}

async fn a_busy_guest_is_interrupted_and_the_server_stays_responsive(abi: Abi) {
    let server = pounce()
        .guest(abi, "busy-loop")
        .flag("--request-timeout", "5s")
        .start()
        .await;
    let addr = server.addr();
    let busy: Vec<_> = (0..4)
        .map(|_| tokio::spawn(client::fetch_path(addr, "/")))
        .collect();
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

async fn a_guest_beyond_max_memory_is_500(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "hog-memory")
        .flag("--max-memory", "32MiB")
        .traced(&collector)
        .start()
        .await;
    assert_eq!(
        client::fetch_path(server.addr(), "/?mib=16").await.text(),
        "took 16 MiB\n"
    );
    assert_eq!(
        client::fetch_path(server.addr(), "/?mib=48").await.status,
        500
    );
    assert_eq!(
        client::fetch_path(server.addr(), "/?mib=16").await.text(),
        "took 16 MiB\n"
    );
    let failed: Vec<_> = collector
        .spans(3)
        .await
        .into_iter()
        .filter(|span| span.failed())
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].text("error.type"), "out_of_memory");
    let peak = failed[0].int("pounce.guest.memory.peak");
    assert!(
        peak.is_none_or(|peak| (16 << 20..=32 << 20).contains(&peak)),
        "{peak:?}"
    );
}

/// Instances that each may have 128 MiB, and 64 MiB for all: some requests are refused, none brings the server down,
/// and it never holds more than it was told to.
async fn beyond_max_total_memory_requests_are_refused_and_the_server_lives(abi: Abi) {
    let server = pounce()
        .guest(abi, "hog-memory")
        .flag("--max-total-memory", "64MiB")
        .flag("--isolation", "request")
        .start()
        .await;
    let addr = server.addr();
    let before = server.resident();
    let big = tokio::spawn(client::fetch_path(addr, "/?mib=48&ms=6000"));
    eventually("the big one to hold its memory", async || {
        server.resident() > before + (40 << 20)
    })
    .await;
    // Each wants 2 MiB and more, so that the rest is gone after a few.
    let small: Vec<_> = (0..24)
        .map(|_| tokio::spawn(client::fetch_path(addr, "/?mib=1&ms=2000")))
        .collect();
    let mut peak = server.resident();
    let mut shed = 0;
    for task in small {
        let answer = task.await.unwrap();
        peak = peak.max(server.resident());
        match answer.status.as_u16() {
            200 => {}
            // It got in, and then there was no more.
            500 => {}
            503 => {
                assert!(!answer.header("retry-after").is_empty());
                shed += 1;
            }
            status => panic!("status {status}"),
        }
    }
    assert!(shed > 0, "nobody was shed");
    assert!(
        peak < before + (112 << 20),
        "{} MiB resident, {} before",
        peak >> 20,
        before >> 20
    );
    assert_eq!(
        big.await.unwrap().text(),
        "took 48 MiB\n",
        "the one that had its memory"
    );
    eventually("memory to be given back", async || {
        client::fetch_path(addr, "/?mib=48").await.status == 200
    })
    .await;
}

#[tokio::test]
async fn beyond_max_connections_clients_wait() {
    let server = pounce()
        .fixture("status.wat")
        .flag("--max-connections", 2)
        .start()
        .await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::open(server.addr(), Protocol::H1).await;
        assert_eq!(connection.fetch(client::get("/200")).await.status, 200);
        open.push(connection);
    }
    let mut third = tokio::spawn(client::fetch_path(server.addr(), "/200"));
    let early = tokio::time::timeout(Duration::from_secs(2), &mut third).await;
    assert!(
        early.is_err(),
        "a third connection was served beside the two"
    );
    open.remove(0).abort();
    assert_eq!(
        within("the third client's turn", third)
            .await
            .unwrap()
            .status,
        200
    );
}
