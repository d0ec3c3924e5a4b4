//! Floods: what one client does to a server for a while, and what it costs the others. Each is measured beside a client of
//! another address (127.0.0.2), quiet and under the flood: its answers, the slowest of a hundred, resident memory.
//!
//! `make floods` runs them for 30 s each (`POUNCE_FLOODS=…`), alone; elsewhere they are left out. A flood is an async
//! function of the server's address that goes on until it is dropped, and a test that gives it to [`endure`].

use crate::support::client::{self, Connection};
use crate::support::pounce::Builder;
use crate::support::{Protocol, within};
use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Clients that hold places.
mod places;

const MIB: u64 = 1024 * 1024;
/// What the machine makes of any request now and then, whatever the server does.
const NOISE: Duration = Duration::from_millis(5);
/// Connections of the client whose requests are measured, and the pause of each between two of them.
const CONNECTIONS: usize = 4;
const PAUSE: Duration = Duration::from_millis(10);

/// What a flood may cost.
pub(super) struct Bounds {
    /// Bytes of resident memory.
    pub(super) memory: u64,
    /// What others ask for.
    pub(super) path: &'static str,
}

/// Starts `server` and floods it; fails where others were not answered 200, twice as late as before, or where memory grew
/// beyond bounds. Does nothing unless the floods are asked for.
pub(super) async fn endure<F>(
    name: &str,
    server: Builder,
    bounds: Bounds,
    flood: impl FnOnce(SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let Some(seconds) = std::env::var("POUNCE_FLOODS").ok().and_then(|text| text.parse().ok()) else {
        return;
    };
    let time = Duration::from_secs(seconds);
    let server = server.start().await;
    measure(server.addr(), bounds.path, Duration::from_secs(2)).await;
    let quiet = measure(server.addr(), bounds.path, time / 3).await;
    let flood = tokio::spawn(flood(server.addr()));
    let watched = async {
        let (end, mut peak) = (Instant::now() + time, 0);
        while Instant::now() < end {
            peak = server.resident().max(peak);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        peak
    };
    let (flooded, peak) = tokio::join!(measure(server.addr(), bounds.path, time), watched);
    flood.abort();
    println!(
        "{name}: p99 {:?} quiet, {:?} flooded ({} requests, {} not 200); {} MiB resident at most",
        quiet.slowest,
        flooded.slowest,
        flooded.requests,
        flooded.failed,
        peak / MIB
    );
    assert_eq!((quiet.failed, flooded.failed), (0, 0), "{name}: others were not served");
    let most = (2 * quiet.slowest).max(NOISE);
    assert!(flooded.slowest <= most, "{name}: {:?}, and {:?} when quiet", flooded.slowest, quiet.slowest);
    assert!(peak < bounds.memory, "{name}: {} MiB", peak / MIB);
}

/// What others saw.
struct Seen {
    requests: usize,
    failed: usize,
    /// The slowest of a hundred.
    slowest: Duration,
}

async fn measure(addr: SocketAddr, path: &'static str, time: Duration) -> Seen {
    let end = Instant::now() + time;
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            let protocol = Protocol::BOTH[n % 2];
            tokio::spawn(async move {
                let mut connection = Connection::open_elsewhere(addr, protocol).await;
                let (mut took, mut failed) = (Vec::new(), 0);
                while Instant::now() < end {
                    let begun = Instant::now();
                    failed += usize::from(connection.fetch(client::get(path)).await.status != 200);
                    took.push(begun.elapsed());
                    tokio::time::sleep(PAUSE).await;
                }
                (took, failed)
            })
        })
        .collect();
    let (mut all, mut failed) = (Vec::new(), 0);
    for client in clients {
        let (took, others) = within("a client to finish", client).await.expect("no client fails");
        all.extend(took);
        failed += others;
    }
    all.sort_unstable();
    Seen { requests: all.len(), failed, slowest: all[all.len() * 99 / 100] }
}
