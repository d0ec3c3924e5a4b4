//! HTTP/1.1 as it should not be written, and some that should: what Pounce makes of each framing, beside what hyper
//! makes of it where nobody stands in front. A difference between the two is ours, and says why it is there.
//!
//! Each case is bytes on a connection of its own, followed by a request that asks for the connection to be closed. What
//! comes back is told as the statuses in their order, then `keep` where that last request was answered, and so the server
//! and the case agree where its own requests end, or `close` where it was not. A guest runs for each 200, and for no other
//! status but one: a guest that reads a malformed body runs until it has come to the flaw.

/// Bodies in chunks, and trailers.
mod chunks;
/// Connections: how long they last, and several requests on one.
mod connections;
/// Syntax of header lines, and their number.
mod fields;
/// Hosts, and who is asked for.
mod hosts;
/// Lengths of bodies: Content-Length, Transfer-Encoding, both.
mod lengths;
/// Request lines.
mod lines;
/// What came back, as cases tell it.
mod replies;

use crate::support::client::Raw;
use crate::support::{Abi, Collector, for_both_abis, pounce, within};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Asks for the end of the connection. Its answer names it: a guest that does not read tells the target, and one that
/// does complains about the body.
const LAST: &[u8] =
    b"POST /?seen&last HTTP/1.1\r\nHost: last\r\nConnection: close\r\nContent-Length: 14\r\n\r\n\
                      [\"?seen&last\"]";

/// One framing.
struct Case {
    what: &'static str,
    bytes: Vec<u8>,
    /// Nothing follows the bytes but the end of the connection.
    is_cut: bool,
    pounce: &'static str,
    /// What hyper does otherwise, and why we don't.
    hyper: Option<(&'static str, &'static str)>,
}

impl Case {
    /// The client ends the connection after the bytes.
    fn cut(mut self) -> Self {
        self.is_cut = true;
        self
    }
}

/// Both do the same.
fn same(what: &'static str, bytes: impl AsRef<[u8]>, outcome: &'static str) -> Case {
    Case { what, bytes: bytes.as_ref().to_vec(), is_cut: false, pounce: outcome, hyper: None }
}

/// Pounce does otherwise than hyper, and this is why.
fn differs(
    what: &'static str,
    bytes: impl AsRef<[u8]>,
    pounce: &'static str,
    hyper: &'static str,
    why: &'static str,
) -> Case {
    Case { hyper: Some((hyper, why)), ..same(what, bytes, pounce) }
}

/// A request with a malformed body, that a guest finds out as it reads.
fn broken(what: &'static str, bytes: impl AsRef<[u8]>) -> Case {
    let why = "hyper's user sees the error and gives it back, and hyper then hangs up without an answer";
    differs(what, bytes, "400 close", "close", why)
}

/// All cases of some parts.
fn all<const N: usize>(parts: [Vec<Case>; N]) -> Vec<Case> {
    parts.into_iter().flatten().collect()
}

/// A request with these lines beside its Host; its guest answers without reading.
fn with(lines: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /?seen HTTP/1.1\r\nHost: a\r\n", lines.as_ref(), b"\r\n\r\n"].concat()
}

/// A request with these lines beside its Host, and this body, which its guest reads before it answers. Only `[]`, with
/// spaces or not, makes it answer 200.
fn sends(lines: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Vec<u8> {
    [b"POST /read HTTP/1.1\r\nHost: a\r\n", lines.as_ref(), b"\r\n\r\n", body.as_ref()].concat()
}

for_both_abis!(every_framing_is_answered_as_it_should_be);

async fn every_framing_is_answered_as_it_should_be(abi: Abi) {
    let cases = all([
        lines::cases(),
        hosts::cases(),
        fields::cases(),
        lengths::cases(),
        chunks::cases(),
        connections::cases(),
    ]);
    assert!(cases.len() >= 120, "{} cases", cases.len());
    let echo = pounce().guest(abi, "echo").start().await;
    let reader = pounce().guest(abi, "relay").start().await;
    let (hyper, serving) = bare_hyper().await;
    let mut wrong = Vec::new();
    for case in &cases {
        let reads = case.bytes.windows(5).any(|part| part == b"/read");
        let addr = if reads { reader.addr() } else { echo.addr() };
        let (got, bare) = (outcome(addr, case).await, outcome(hyper, case).await);
        let (expected, why) = case.hyper.unwrap_or((case.pounce, "the same"));
        if (got.as_str(), bare.as_str()) != (case.pounce, expected) {
            wrong.push(format!(
                "{}: {got:?} and by hyper {bare:?}, not {:?} and {expected:?}",
                case.what, case.pounce
            ));
        }
        assert!((case.pounce != expected) == case.hyper.is_some() && !why.is_empty(), "{}", case.what);
    }
    serving.abort();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What comes back for a case, in its words.
async fn outcome(addr: SocketAddr, case: &Case) -> String {
    let mut raw = Raw::open(addr).await;
    let mut bytes = case.bytes.clone();
    if !case.is_cut {
        bytes.extend_from_slice(LAST);
    }
    // The server may hang up before it has read all of that.
    let _refused = raw.write(&bytes).await;
    if case.is_cut {
        let _gone = tokio::io::AsyncWriteExt::shutdown(&mut raw.0).await;
    }
    let answer = within(case.what, raw.read_to_end()).await;
    replies::told(&answer, case.bytes.starts_with(b"HEAD"))
}

/// A server of hyper's with its own defaults, that does what the guests do.
async fn bare_hyper() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper::service::service_fn(answer);
            let mut builder = http1::Builder::new();
            let connection = builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    (addr, task)
}

async fn answer(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let mut answer = Response::new(Full::from(format!("{}\n", head.uri)));
    if head.uri.path() == "/read" {
        let body = body.collect().await?.to_bytes();
        if body.iter().filter(|byte| **byte != b' ').ne(b"[]") {
            *answer.status_mut() = http::StatusCode::BAD_REQUEST;
        }
    }
    Ok(answer)
}

#[tokio::test]
async fn a_guest_runs_for_what_is_answered_by_one_and_for_nothing_else() {
    let collector = Collector::start().await;
    let server = pounce().guest(Abi::P2, "echo").traced(&collector).start().await;
    let mut answered = 0;
    for case in &all([lines::cases(), hosts::cases(), fields::cases()]) {
        let statuses: Vec<_> = case.pounce.split(' ').collect();
        // The last request is answered, too, where the connection is kept.
        answered += statuses.iter().filter(|status| ["200", "keep"].contains(status)).count();
        outcome(server.addr(), case).await;
    }
    assert!(answered > 50);
    server.stop().await;
    let ran = |span: &crate::support::span::Span| span.attributes.contains_key("pounce.queue.duration");
    assert_eq!(collector.received().iter().filter(|span| ran(span)).count(), answered);
}
