//! How long a response may take to its end (`--response-timeout`): it breaks off, whoever it is that takes so long.

use super::windows::connect;
use crate::support::client::{self, Connection, Raw};
use crate::support::pounce::Builder;
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce, within};
use h2::Reason;

for_both_abis!(
    a_response_that_does_not_end_breaks_off,
    a_response_that_does_not_begin_is_504,
    a_peer_that_takes_nothing_is_cut_as_well,
    a_guest_that_never_pauses_is_cut_as_well,
);

fn guest(abi: Abi, name: &str) -> Builder {
    pounce().guest(abi, name).flag("--response-timeout", "1s").flag("--max-in-flight", 2)
}

/// The span of the request for `path`, which must say that its time was up.
async fn timed_out(collector: &Collector, path: &str) -> Span {
    let span = collector.span_where("of it", |span| span.text("url.path") == path).await;
    assert_eq!(span.text("error.type"), "timeout", "{span:?}");
    let message = span.event("exception").attributes["exception.message"].to_string();
    assert!(message.contains("http.response-timeout"), "{message}");
    span
}

async fn a_response_that_does_not_end_breaks_off(abi: Abi) {
    let collector = Collector::start().await;
    let server = guest(abi, "slow").traced(&collector).start().await;
    for (protocol, path) in [(Protocol::H1, "/one"), (Protocol::H2, "/two")] {
        // More often than there are places: the guest is stopped.
        for _ in 0..3 {
            let mut connection = Connection::open(server.addr(), protocol).await;
            let answer =
                connection.fetch(client::get(&format!("{path}?ms=0&chunks=1000000&body_ms=50"))).await;
            assert_eq!(answer.status, 200, "{protocol:?}");
            assert!(answer.error.is_some(), "{protocol:?}: {} bytes that look whole", answer.body.len());
            assert!(answer.body.starts_with(b"chunk 1\n"), "{protocol:?}");
        }
        let span = timed_out(&collector, path).await;
        assert_eq!(span.int("http.response.status_code"), Some(200));
    }
    let answer = client::fetch_path(server.addr(), "/?ms=0&chunks=2&body_ms=10").await;
    assert_eq!(answer.text(), "chunk 1\nchunk 2\n", "one that is in time");
}

async fn a_response_that_does_not_begin_is_504(abi: Abi) {
    let collector = Collector::start().await;
    let server = guest(abi, "slow").traced(&collector).start().await;
    for (protocol, path) in [(Protocol::H1, "/one"), (Protocol::H2, "/two")] {
        let answer = client::fetch(server.addr(), protocol, client::get(&format!("{path}?ms=600000"))).await;
        assert_eq!(answer.status, 504, "{protocol:?}");
        timed_out(&collector, path).await;
    }
}

/// Nobody asks the body of either for more.
async fn a_peer_that_takes_nothing_is_cut_as_well(abi: Abi) {
    for idle in ["60s", "none"] {
        let collector = Collector::start().await;
        let server = guest(abi, "slow").flag("--idle-timeout", idle).traced(&collector).start().await;
        let mut sender = connect(&server, 0).await;
        let uri = format!("http://{}/window?ms=0&chunks=1000000&size=65535", server.addr());
        let request = http::Request::get(uri).body(()).unwrap();
        let (response, _) = sender.send_request(request, true).unwrap();
        let mut body = within("the response head", response).await.unwrap().into_body();
        let end = within("the end of the stream", body.data()).await;
        assert_eq!(end.unwrap().unwrap_err().reason(), Some(Reason::CANCEL));
        timed_out(&collector, "/window").await;
        // Its span may be there before its guest has noticed.
        let is_free = async || client::fetch_path(server.addr(), "/?ms=0").await.status == 200;
        eventually("a place", is_free).await;

        let mut raw = Raw::open(server.addr()).await;
        raw.write("GET /socket?ms=0&chunks=1000000&size=65535 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        timed_out(&collector, "/socket").await;
        let got = raw.read_to_end().await;
        assert!(!got.ends_with("\r\n0\r\n\r\n"), "it looks whole");
        eventually("a place", is_free).await;
    }
}

/// It has answered, and writes pieces of no bytes for ever.
async fn a_guest_that_never_pauses_is_cut_as_well(abi: Abi) {
    let collector = Collector::start().await;
    let server = guest(abi, "hoard").traced(&collector).start().await;
    for protocol in Protocol::BOTH {
        for _ in 0..3 {
            let answer = client::fetch(server.addr(), protocol, client::get("/empty")).await;
            assert!(answer.error.is_some(), "{protocol:?}");
        }
    }
    timed_out(&collector, "/empty").await;
}
