//! Sends what there is to OTLP endpoints, each signal by itself, with retry, partial success and a spool.

mod answer;
mod client;
mod collect;
mod connect;
mod exporter;
mod grpc;
mod health;
mod refusal;
mod retry;
mod schedule;
mod sender;
mod stop;
mod target;

pub(crate) use answer::{Accepted, Failed, on_one_line};
pub(crate) use client::Client;
pub use collect::Collection;
pub(crate) use connect::Connections;
pub use exporter::{Builder, Exporter, StartError};
pub(crate) use refusal::Refusal;
pub use stop::Stop;
pub(crate) use target::{Target, for_people};

use crate::batch::{Batch, Envelope};
use crate::buffer::Buffer;
use crate::losses::Counts;
use crate::net::Proxies;
use crate::settings::{Batching, Endpoint, Transport};
use crate::signal::Signal;
use crate::spool::Spool;
use health::Health;
use retry::Trouble;
use sender::Sender;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One signal on its way to one endpoint.
#[derive(Debug)]
pub struct Stream {
    /// The signal.
    pub signal: Signal,
    /// Where it goes.
    pub endpoint: Endpoint,
    /// Where it comes from.
    pub source: Source,
}

/// Where the items of a signal come from.
pub enum Source {
    /// A buffer, which is drained when a batch waits in it, and after a delay.
    Buffer {
        /// The buffer.
        buffer: Arc<Buffer>,
        /// What stands around its items.
        envelope: Envelope,
        /// How many make a batch, and how long one waits.
        batching: Batching,
    },
    /// A function that makes batches: metrics, which are collected and do not wait.
    Collector {
        /// What becomes of the data points.
        counts: Arc<Counts>,
        /// Time between two collections; 10 ms at least.
        interval: Duration,
        /// Makes the batches of one collection.
        collect: Collect,
    },
}

/// Makes the batches of one collection.
pub type Collect = Box<dyn FnMut(Collection) -> Vec<Batch> + Send>;

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Buffer { buffer, .. } => f.debug_tuple("Buffer").field(buffer).finish(),
            Source::Collector { interval, .. } => f.debug_tuple("Collector").field(interval).finish(),
        }
    }
}

/// Runs until the shutdown, all streams side by side.
async fn run(streams: Vec<Stream>, proxies: Proxies, spool: Option<Arc<Spool>>, stop: Stop) {
    if let Some(spool) = &spool {
        let is_sent = |signal| streams.iter().any(|stream| stream.signal == signal);
        Signal::ALL.into_iter().filter(|signal| !is_sent(*signal)).for_each(|signal| spool.unclaimed(signal));
    }
    let pools = Pools::new(proxies);
    let running = streams.into_iter().map(|stream| run_one(stream, &pools, spool.as_ref(), stop.clone()));
    futures_util::future::join_all(running).await;
    if let Some(spool) = &spool {
        spool.tell_unclaimed_dropped();
    }
}

async fn run_one(stream: Stream, pools: &Pools, spool: Option<&Arc<Spool>>, stop: Stop) {
    let to = Target { signal: stream.signal, endpoint: stream.endpoint };
    match stream.source {
        Source::Buffer { buffer, envelope, batching } => {
            let sender = sender(to, pools, spool, buffer.counts(), Some(&buffer));
            schedule::run(sender, envelope, batching, &buffer, stop).await;
        }
        Source::Collector { counts, interval, collect } => {
            let sender = sender(to, pools, spool, &counts, None);
            collect::run(sender, interval, collect, stop).await;
        }
    }
}

fn sender(
    to: Target,
    pools: &Pools,
    spool: Option<&Arc<Spool>>,
    counts: &Arc<Counts>,
    buffer: Option<&Arc<Buffer>>,
) -> Arc<Sender> {
    let name = for_people(to.url());
    counts.condition.goes_to(&name);
    let trouble = Trouble::new(buffer.cloned());
    let health = Health::new(to.signal, to.endpoint.names, name, spool.map(|spool| spool.path()));
    let lane = spool.map(|spool| spool.lane(to.signal, counts));
    let limit = to.endpoint.export_timeout;
    let client = Client::new(pools.of(&to), to);
    Arc::new(Sender::new(client, health, Arc::clone(counts), trouble, lane, limit))
}

/// Connections that signals share which are sent in the same way.
pub(crate) struct Pools {
    proxies: Proxies,
    made: Mutex<Vec<(Transport, bool, Arc<Connections>)>>,
}

impl Pools {
    pub(crate) fn new(proxies: Proxies) -> Self {
        Pools { proxies, made: Mutex::default() }
    }

    pub(crate) fn of(&self, to: &Target) -> Arc<Connections> {
        let Endpoint { transport, names, .. } = &to.endpoint;
        let encrypted = to.url().scheme_str() == Some("https") || self.proxies.http.starts_with("https:");
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(other, with_roots, _): &&(Transport, bool, Arc<Connections>)| {
            other == transport && *with_roots == encrypted
        };
        if let Some((_, _, connections)) = made.iter().find(same) {
            return Arc::clone(connections);
        }
        let fresh = Connections::new(transport, &self.proxies, encrypted, names.certificate);
        let fresh = Arc::new(fresh);
        made.push((transport.clone(), encrypted, Arc::clone(&fresh)));
        fresh
    }
}
