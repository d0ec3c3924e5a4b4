//! What the tests are written with. Nothing here knows what a test expects.

/// Attributes as tests read them, and exact comparison.
pub(crate) mod attributes;
/// Endpoints that are none.
pub(crate) mod broken;
/// HTTP/1.1, h2c and raw TCP clients.
pub(crate) mod client;
/// An OTLP receiver with scripted replies.
pub(crate) mod collector;
/// How the server ended.
pub(crate) mod exit;
/// Files that are read when the test says so.
pub(crate) mod fifo;
/// The forms in which OTLP arrives.
pub(crate) mod forms;
/// Where guests are, or how to build them.
pub(crate) mod guest;
/// Requests that last until the test ends them.
pub(crate) mod held;
/// HTTP/2 frames by hand.
pub(crate) mod http2;
/// A scripted HTTP server that guests call.
pub(crate) mod origin;
/// The real binary behind a builder.
pub(crate) mod pounce;
/// A proxy on the way to a receiver.
pub(crate) mod proxy;
/// A small HTTP server in the test's own process.
pub(crate) mod server;
/// Log records and metrics as tests read them.
pub(crate) mod signals;
/// Spans as tests read them.
pub(crate) mod span;
/// A terminal of its own for the server.
pub(crate) mod terminal;
/// Certificates, and clients that speak TLS.
pub(crate) mod tls;

pub(crate) use client::Protocol;
pub(crate) use collector::Collector;
pub(crate) use guest::Abi;
pub(crate) use held::Held;
pub(crate) use pounce::pounce;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

/// Long enough that only a hang reaches it: a debug build compiles 12 MB of JavaScript on two cores that a dozen others
/// share.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// Awaits `future`; a hang fails the test and says in what.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing happened in {PATIENCE:?}"),
    }
}

/// Waits until `condition` holds, looking again every 20 ms: for what announces itself in no other way.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(what, wait).await;
}

/// An address of loopback on which nobody listens, and which the kernel gives to nobody who asks for any.
pub(crate) fn free_address() -> SocketAddr {
    loop {
        let addr = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..30_000)));
        if std::net::TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
}

/// Runs `async fn name(Abi)` as the tests `name::wasi_0_2` and `name::wasi_0_3`.
macro_rules! for_both_abis {
    ($($name:ident),* $(,)?) => { $(
        mod $name {
            #[tokio::test]
            async fn wasi_0_2() { super::$name($crate::support::Abi::P2).await }
            #[tokio::test]
            async fn wasi_0_3() { super::$name($crate::support::Abi::P3).await }
        }
    )* };
}
pub(crate) use for_both_abis;
