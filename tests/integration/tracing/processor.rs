//! The guest's time on a processor, each request's own, also where several share an instance.

use crate::support::client::{self, Connection};
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, pounce};

fn seconds(span: &Span) -> f64 {
    let time = span.attributes.get("pounce.guest.cpu_time").map(ToString::to_string);
    time.unwrap_or_else(|| panic!("no time on {:?}", span.attributes)).parse().unwrap()
}

/// Four compute for 100 ms each while four wait in the same instance: the time is theirs who computed.
#[tokio::test]
async fn neighbours_are_not_charged_for_each_other() {
    let collector = Collector::start().await;
    let mut server = pounce().guest(Abi::P3, "slow").with_admin().traced(&collector).start().await;
    // The instance that the others share.
    client::fetch_path(server.addr(), "/?ms=0").await;
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    let mut started = Vec::new();
    for (path, in_flight) in [("/waits?ms=3000", 4), ("/busy?ms=200&busy=100", 8)] {
        started.extend((0..4).map(|_| tokio::spawn(connection.start(client::get(path)))));
        // The requests that wait are all in before one computes, for while it does its instance takes nobody in.
        server.in_flight(in_flight).await;
    }
    for response in started {
        let answer = client::Answer::read(response.await.unwrap().expect("a response")).await;
        assert_eq!(answer.status, 200);
    }
    let spans = collector.spans(9).await;
    let shared = spans.iter().filter(|span| span.attributes["pounce.instance.reused"].to_string() == "true");
    assert!(shared.count() >= 5, "they should share an instance");
    let of = |path: &str| -> Vec<f64> {
        spans.iter().filter(|span| span.text("url.path") == path).map(seconds).collect()
    };
    let (busy, waits) = (of("/busy"), of("/waits"));
    // Computing is measured by the clock on the wall, giving way to others not: at least most of the 100 ms.
    assert!(busy.iter().all(|time| (0.02..0.4).contains(time)), "{busy:?}");
    assert!(busy.iter().sum::<f64>() > 0.2, "{busy:?}");
    // A hundredth of it; but a machine that is busy may stop any of them for a while.
    assert!(waits.iter().all(|time| *time < 0.08), "{waits:?}");
}

/// Whatever becomes of a request, the time that its guest spent is told.
#[tokio::test]
async fn a_request_that_fails_has_its_time_too() {
    for abi in [Abi::P2, Abi::P3] {
        let collector = Collector::start().await;
        let server = pounce()
            .guest(abi, "busy-loop")
            .flag("--request-timeout", "500ms")
            .traced(&collector)
            .start()
            .await;
        assert_eq!(client::fetch_path(server.addr(), "/").await.status, 504);
        let time = seconds(&collector.span().await);
        assert!((0.05..5.0).contains(&time), "{abi:?}: {time}");
    }
}
