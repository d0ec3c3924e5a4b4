//! How many requests a second one client address may send (`http.rate-limit`): a bucket of tokens for each, of which a
//! request takes one.
//!
//! A bucket is one number, the moment at which it will be full again (the "generic cell rate algorithm"). They lie in a
//! table of fixed size, like lines in a processor's cache: where a set is full, the bucket that is fullest makes room,
//! which forgets the least. So a stranger with a million addresses costs no memory, and each request looks at few places.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::client;
use crate::config::RateLimit;
use crate::guest::{Failure, FailureKind};
use pounce_telemetry::metrics::host as host_metrics;

/// Sets of buckets, and buckets of one: 65,536 clients in 1.2 MiB.
const SETS: usize = 8192;
const WAYS: usize = 8;

/// The gate in front of all others.
#[derive(Debug)]
pub(crate) struct Rates {
    /// None where nobody is held up.
    buckets: Option<Buckets>,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Buckets {
    limit: RateLimit,
    /// Nanoseconds in which a token comes, and in which an empty bucket fills.
    token: u64,
    whole: u64,
    start: Instant,
    hasher: RandomState,
    sets: Box<[Mutex<[Bucket; WAYS]>]>,
}

/// What one client may still send.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    client: u64,
    /// When it is full again, in nanoseconds since the start.
    full: u64,
}

impl Rates {
    pub(crate) fn new(limit: Option<RateLimit>) -> Self {
        Self { buckets: limit.map(Buckets::new), refused: AtomicU64::new(0) }
    }

    /// Lets a request of `client` in, or says when to try again. Who has no address that counts is let in.
    pub(super) fn admit(&self, client: Option<IpAddr>) -> Result<(), Failure> {
        let (Some(buckets), Some(client)) = (&self.buckets, client) else { return Ok(()) };
        buckets.take(client, buckets.now()).map_err(|wait| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let retry_after = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
            let message =
                format!("this client sends more than {} requests a second (http.rate-limit)", buckets.limit);
            Failure::new(FailureKind::RateLimited { retry_after }, message)
        })
    }

    /// Requests refused since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Has the metrics tell what is counted here.
    pub(crate) fn observe(self: &Arc<Self>, metrics: &host_metrics::Host) {
        let rates = Arc::clone(self);
        metrics.observe(&host_metrics::REQUESTS_RATE_LIMITED, &[], move || Some(rates.refused()));
    }
}

impl Buckets {
    fn new(limit: RateLimit) -> Self {
        const SECOND: u64 = 1_000_000_000;
        let token = SECOND / u64::from(limit.per_second.get());
        Self {
            limit,
            token,
            whole: token.saturating_mul(u64::from(limit.burst.get())),
            start: Instant::now(),
            hasher: RandomState::new(),
            sets: (0..SETS).map(|_| Mutex::default()).collect(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Takes a token; if there is none, how long it is until there is.
    fn take(&self, client: IpAddr, now: u64) -> Result<(), Duration> {
        let client = client::key(client);
        let set = self.hasher.hash_one(client) as usize % SETS;
        let mut set = self.sets[set].lock().unwrap_or_else(PoisonError::into_inner);
        let known = set.iter().position(|bucket| bucket.client == client);
        let bucket = match known {
            Some(at) => &mut set[at],
            None => {
                let fullest = set.iter_mut().min_by_key(|bucket| bucket.full);
                let bucket = fullest.unwrap_or_else(|| unreachable!("a set has buckets"));
                *bucket = Bucket { client, full: 0 };
                bucket
            }
        };
        let full = bucket.full.max(now).saturating_add(self.token);
        let latest = now.saturating_add(self.whole);
        if full > latest {
            return Err(Duration::from_nanos(full - latest));
        }
        bucket.full = full;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn buckets(limit: &str) -> Buckets {
        Buckets::new(limit.parse().unwrap())
    }

    fn client(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_has_its_burst_and_then_its_rate() {
        let buckets = buckets("10/3");
        let take = |now| buckets.take(client("192.0.2.1"), now);
        assert_eq!([take(0), take(0), take(0)], [Ok(()), Ok(()), Ok(())]);
        assert_eq!(take(0), Err(Duration::from_millis(100)));
        assert_eq!(take(SECOND / 20), Err(Duration::from_millis(50)));
        assert_eq!(take(SECOND / 10), Ok(()));
        assert!(take(SECOND / 10).is_err(), "what was refused has cost nothing, and brought nothing");
        // A bucket fills no further than to its burst.
        let later = 100 * SECOND;
        assert_eq!((0..5).filter(|_| take(later).is_ok()).count(), 3);
        assert_eq!(buckets.take(client("192.0.2.2"), later), Ok(()), "another has its own");
    }

    #[test]
    fn a_network_of_ipv6_and_a_mapped_address_are_one_client() {
        let buckets = buckets("1");
        assert!(buckets.take(client("2001:db8::1"), 0).is_ok());
        assert!(buckets.take(client("2001:db8::ffff:0:0:1"), 0).is_err());
        assert!(buckets.take(client("2001:db8:0:1::1"), 0).is_ok());
        assert!(buckets.take(client("192.0.2.1"), 0).is_ok());
        assert!(buckets.take(client("::ffff:192.0.2.1"), 0).is_err());
    }

    #[test]
    fn strangers_without_number_do_not_free_the_one_that_floods() {
        let buckets = buckets("1/100");
        let flood = client("192.0.2.1");
        while buckets.take(flood, 0).is_ok() {}
        let mut let_in = 0;
        for n in 0..1_000_000_u32 {
            assert!(buckets.take(IpAddr::V4((0x0b00_0000 + n).into()), 0).is_ok());
            let_in += u32::from(n % 1000 == 0 && buckets.take(flood, 0).is_ok());
        }
        assert_eq!(let_in, 0, "those that have sent the least are forgotten");
    }
}
