//! Who may come in: the number of requests that guests work on, the share of it that one client may have, and the refusal
//! of further ones before any work is done for them.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::ahead::Ahead;
use super::client::network;
use crate::guest::{Failure, Full, Place, Rooms, Served, Share};
use pounce_telemetry::metrics::host as host_metrics;

/// Responses that may wait for their clients after their guests have finished, for each place: each holds what is left
/// of its response and the books of its request, but neither instance nor guest.
const WAITING: usize = 2;
/// One client's part of all places, where none is set.
const PART: usize = 4;
/// Tables of clients: behind a proxy each request looks up its client, and few of them the same table at once.
const TABLES: usize = 16;
/// Clients that one table keeps before those without a request are looked for.
const KEPT: usize = 16;

/// Why requests were refused, in the order of their counts.
const REASONS: [&str; 4] = ["max_in_flight", "max_in_flight_per_peer", "guests", "component"];

/// The gate in front of the guests.
#[derive(Debug)]
pub(crate) struct Admission {
    all: Arc<Rooms>,
    /// Places that one client may have, and bytes that guests may hold which work for it.
    per_peer: usize,
    memory_per_peer: u64,
    peers: [Mutex<Peers>; TABLES],
    /// Says in which of them a client is.
    hasher: RandomState,
    ahead: Ahead,
    shed: [AtomicU64; REASONS.len()],
}

/// Memory of guests, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// What all may hold together.
    pub(crate) total: u64,
    /// What one instance may, with what the host keeps for it.
    pub(crate) of_one: u64,
}

/// The shares of those who have a connection or a request.
#[derive(Debug, Default)]
struct Peers {
    shares: HashMap<IpAddr, Arc<Rooms>>,
    /// Shares that were left when those without a request were last removed.
    used: usize,
}

impl Admission {
    /// A gate for `limit` requests at once, `per_peer` of them from one client. Of guests' `memory` a client's may hold
    /// as large a part, and in any case as much as one of them.
    pub(crate) fn new(limit: usize, per_peer: Option<usize>, memory: Memory) -> Self {
        let per_peer = per_peer.unwrap_or(limit / PART).clamp(1, limit.max(1));
        let part = u128::from(memory.total) * per_peer as u128 / limit.max(1) as u128;
        let memory_per_peer = u64::try_from(part).unwrap_or(u64::MAX).max(memory.of_one);
        let all = Arc::new(Rooms::new(limit, limit.saturating_mul(WAITING), u64::MAX));
        Self {
            all,
            per_peer,
            memory_per_peer,
            peers: Default::default(),
            hasher: RandomState::new(),
            ahead: Ahead::default(),
            shed: Default::default(),
        }
    }

    /// Where the client at this address gets its places; none of its own for who is exempt.
    pub(crate) fn share(&self, client: Option<IpAddr>) -> Share {
        Share { all: self.all.clone(), own: client.map(|client| self.rooms_of(network(client))) }
    }

    fn rooms_of(&self, client: IpAddr) -> Arc<Rooms> {
        let table = self.hasher.hash_one(client) as usize % TABLES;
        let mut peers = self.peers[table].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rooms) = peers.shares.get(&client) {
            return rooms.clone();
        }
        if peers.shares.len() >= KEPT.max(2 * peers.used) {
            // Nobody but this table knows those who have neither a request nor a connection.
            peers.shares.retain(|_, rooms| Arc::strong_count(rooms) > 1);
            peers.used = peers.shares.len();
        }
        let waiting = self.per_peer.saturating_mul(WAITING);
        let rooms = Arc::new(Rooms::new(self.per_peer, waiting, self.memory_per_peer));
        peers.shares.insert(client, rooms.clone());
        rooms
    }

    /// A place for one request, freed when it is dropped.
    pub(crate) fn admit(&self, share: &Share) -> Result<Place, Failure> {
        share.take().map_err(|full| {
            let (reason, message) = match full {
                Full::All(limit) => (0, format!("{limit} requests are in flight (http.max-in-flight)")),
                Full::Own(limit) => (
                    1,
                    format!("{limit} requests of this client are in flight (http.max-in-flight-per-peer)"),
                ),
            };
            self.shed[reason].fetch_add(1, Ordering::Relaxed);
            Failure::overloaded(message)
        })
    }

    /// The place as one of the component's, where it shares them with others.
    pub(crate) fn admit_to(&self, component: &Served, place: Place) -> Result<Place, Failure> {
        component.admit(place).inspect_err(|_| {
            self.shed[3].fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Counts a request that was let in and shed further on, for want of memory or of an instance.
    pub(crate) fn count<T>(&self, answer: &Result<T, Failure>) {
        if answer.as_ref().is_err_and(Failure::is_overloaded) {
            self.shed[2].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests that guests work on, and how many may be.
    pub(crate) fn in_flight(&self) -> (u64, u64) {
        (self.all.working.taken() as u64, self.all.working.limit() as u64)
    }

    /// Responses that wait for their clients while no guest works on them any more, and how many may.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        (self.all.waiting.taken() as u64, self.all.waiting.limit() as u64)
    }

    /// What is read ahead of clients that leave no room for their responses.
    pub(crate) fn ahead(&self) -> &Ahead {
        &self.ahead
    }

    /// Places that one client may have.
    pub(crate) fn per_peer(&self) -> usize {
        self.per_peer
    }

    /// Has the metrics tell what is counted here.
    pub(crate) fn observe(self: &Arc<Self>, metrics: &host_metrics::Host) {
        let observe = |definition, read: fn(&Self) -> u64| {
            let admission = Arc::clone(self);
            metrics.observe(definition, &[], move || Some(read(&admission)));
        };
        observe(&host_metrics::REQUESTS_LIMIT, |admission| admission.in_flight().1);
        observe(&host_metrics::REQUESTS_WORKING, |admission| admission.in_flight().0);
        observe(&host_metrics::RESPONSES_WAITING, |admission| admission.waiting().0);
        observe(&host_metrics::RESPONSES_WAITING_LIMIT, |admission| admission.waiting().1);
        observe(&host_metrics::RESPONSES_READ_AHEAD, |admission| admission.ahead.bytes() as u64);
        for (at, reason) in REASONS.into_iter().enumerate() {
            let admission = Arc::clone(self);
            let read = move || Some(admission.shed[at].load(Ordering::Relaxed));
            metrics.observe(&host_metrics::REQUESTS_SHED, &[("reason", reason)], read);
        }
    }

    /// Requests refused since the start.
    pub(crate) fn shed(&self) -> u64 {
        self.shed.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Requests refused because their client's share was used up.
    pub(crate) fn shed_by_share(&self) -> u64 {
        self.shed[1].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: Memory = Memory { total: 1 << 40, of_one: 1 << 20 };

    fn of(client: &str) -> Option<IpAddr> {
        Some(client.parse().unwrap())
    }

    #[test]
    fn a_client_has_its_share_and_no_more() {
        let admission = Admission::new(8, None, PLENTY);
        assert_eq!(admission.per_peer(), 2);
        let one = admission.share(of("192.0.2.1"));
        let places = [admission.admit(&one).unwrap(), admission.admit(&one).unwrap()];
        let failure = admission.admit(&one).unwrap_err();
        assert!(failure.is_overloaded() && failure.message.contains("http.max-in-flight-per-peer"));
        // The same client by another way of writing it, on another connection.
        assert!(admission.admit(&admission.share(of("::ffff:192.0.2.1"))).is_err());
        let other = admission.share(of("192.0.2.2"));
        let place = admission.admit(&other).unwrap();
        assert_eq!(admission.in_flight(), (3, 8));
        drop((places, place));
        assert_eq!(admission.in_flight(), (0, 8));
        assert!(admission.admit(&one).is_ok());
        assert_eq!((admission.shed(), admission.shed_by_share()), (2, 2));
    }

    #[test]
    fn a_client_has_as_large_a_part_of_the_memory_as_of_the_places() {
        let part = |per_peer, total, of_one| {
            Admission::new(1024, per_peer, Memory { total, of_one }).memory_per_peer
        };
        assert_eq!(part(None, 4000, 10), 1000);
        assert_eq!(part(Some(512), 4000, 10), 2000);
        assert_eq!(part(Some(1), 4000, 160), 160, "whoever may come in may be served");
        assert_eq!(part(Some(1024), u64::MAX, 10), u64::MAX);
    }

    #[test]
    fn who_has_no_share_may_have_all() {
        let admission = Admission::new(4, Some(1), PLENTY);
        let exempt = admission.share(None);
        let places: Vec<_> = (0..4).map(|_| admission.admit(&exempt).unwrap()).collect();
        for share in [exempt, admission.share(of("192.0.2.1"))] {
            assert!(admission.admit(&share).unwrap_err().message.contains("(http.max-in-flight)"));
        }
        drop(places);
        assert_eq!(admission.in_flight(), (0, 4));
        // What was refused for want of another's place has taken nothing of its own share.
        assert!(admission.admit(&admission.share(of("192.0.2.1"))).is_ok());
    }

    #[test]
    fn a_client_of_ipv6_is_its_network() {
        let admission = Admission::new(4, Some(1), PLENTY);
        let share = |client| admission.share(of(client));
        let _place = admission.admit(&share("2001:db8::1")).unwrap();
        assert!(admission.admit(&share("2001:db8::ffff:0:0:1")).is_err());
        assert!(admission.admit(&share("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn a_finished_guest_frees_its_place_while_there_is_room_to_wait() {
        let admission = Admission::new(2, Some(2), PLENTY);
        let share = admission.share(of("192.0.2.1"));
        let mut waiting = Vec::new();
        for _ in 0..4 {
            let mut place = admission.admit(&share).unwrap();
            place.finish();
            place.finish();
            waiting.push(place);
        }
        assert_eq!((admission.in_flight(), admission.waiting()), ((0, 2), (4, 4)));
        // No room: it keeps its place, until there is some.
        let mut last = admission.admit(&share).unwrap();
        last.finish();
        assert_eq!(admission.in_flight().0, 1);
        assert!(waiting[0].is_pressed() && !last.is_pressed(), "those who wait are in the way");
        waiting.pop();
        last.finish();
        assert_eq!((admission.in_flight().0, admission.waiting().0), (0, 4));
        drop((waiting, last));
        assert_eq!((admission.in_flight().0, admission.waiting().0), (0, 0));
    }

    #[test]
    fn those_in_the_way_of_somebody_who_was_refused_are_pressed() {
        let admission = Admission::new(4, Some(1), PLENTY);
        let (one, other) = (admission.share(of("192.0.2.1")), admission.share(of("192.0.2.2")));
        let (place, neighbour) = (admission.admit(&one).unwrap(), admission.admit(&other).unwrap());
        assert!(!place.is_pressed() && !neighbour.is_pressed());
        assert!(admission.admit(&one).is_err());
        assert!(place.is_pressed() && !neighbour.is_pressed(), "only its own share is full");
        let _rest =
            [admission.share(None), admission.share(None)].map(|share| admission.admit(&share).unwrap());
        assert!(admission.admit(&admission.share(None)).is_err());
        assert!(place.is_pressed() && neighbour.is_pressed(), "all places are taken");
    }

    #[test]
    fn clients_without_requests_are_forgotten() {
        let admission = Admission::new(1024, None, PLENTY);
        let kept: Vec<_> = (0..100).map(|n| admission.share(of(&format!("10.0.0.{n}")))).collect();
        for n in 0..100_000_u32 {
            admission.share(Some(IpAddr::V4((0x0b00_0000 + n).into())));
        }
        let kept_in = |peers: &Mutex<Peers>| peers.lock().unwrap().shares.len();
        assert!(admission.peers.iter().map(kept_in).sum::<usize>() <= TABLES * KEPT + 2 * kept.len());
        // But not those who have one.
        let place = admission.admit(&kept[7]).unwrap();
        assert!(Arc::ptr_eq(kept[7].own.as_ref().unwrap(), &admission.rooms_of("10.0.0.7".parse().unwrap())));
        drop(place);
    }
}
