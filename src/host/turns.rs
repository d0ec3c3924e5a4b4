//! Turns of guests that compute: a client whose guests take up the processors leaves others their part of them.
//!
//! A guest gives way at each tick of the clock (`guest/engine`). If all that compute went on after that, a request that
//! needs a fraction of a tick would wait for one of each of them: 256 requests of one client for seconds. So two kinds
//! wait in line for a turn, of which there are as many as processors:
//!
//! - a guest that a tick finds at work for the second time, and at each tick after that;
//! - a new request of a client that is *busy* (ticks have found its guests at work lately) while other clients have
//!   requests as well.
//!
//! A turn lasts until the guest waits for something or the next tick comes. In the line clients take turns with each other,
//! and the guests of one client among themselves. Everybody else begins at once, and a client that is alone notices nothing
//! but that what is short goes before what is long. An instance that several requests share belongs to no client, and takes
//! no turns.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::place::Client;

/// Ticks that count as lately, and of these the ticks by which a client is busy.
const LATELY: u32 = u32::BITS;
const BUSY: u32 = LATELY / 8;

/// In which ticks the guests of one client were found at work.
#[derive(Debug, Default)]
pub(super) struct Load(
    /// The last of these ticks, and in the lower half a bit for each tick up to it, the last one's the lowest.
    AtomicU64,
);

impl Load {
    fn note(&self, tick: u32) {
        let note = |before| Some((u64::from(tick) << LATELY) | u64::from(Self::at(before, tick) | 1));
        // Never refused.
        _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, note);
    }

    fn is_busy(&self, tick: u32) -> bool {
        Self::at(self.0.load(Ordering::Relaxed), tick).count_ones() >= BUSY
    }

    /// The bits of a load as they stand at `tick`.
    fn at(load: u64, tick: u32) -> u32 {
        let (last, bits) = ((load >> LATELY) as u32, load as u32);
        bits.checked_shl(tick.wrapping_sub(last)).unwrap_or(0)
    }
}

/// The line of guests that wait for their turn. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Turns that may be taken at once.
    at_once: usize,
    /// Guests in the line, to be read without its lock.
    waiting: AtomicUsize,
    /// Ticks so far.
    ticks: AtomicU32,
    /// The client of the last request, and the tick at which that was another one than before.
    last: AtomicUsize,
    changed: AtomicU32,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// Turns that are taken.
    taken: usize,
    /// Clients with guests that wait, in the order of their turns; those that are exempt from shares are one.
    clients: VecDeque<Option<Client>>,
    /// The guests of each, in the order of theirs.
    guests: HashMap<Option<Client>, VecDeque<oneshot::Sender<Turn>>>,
}

impl Line {
    /// The next in line, whose turn counts as taken.
    fn next(&mut self, at_once: usize) -> Option<oneshot::Sender<Turn>> {
        while self.taken < at_once {
            let client = self.clients.pop_front()?;
            let guests = self.guests.get_mut(&client)?;
            // Some may have gone.
            let next = std::iter::from_fn(|| guests.pop_front()).find(|guest| !guest.is_closed());
            if guests.is_empty() {
                self.guests.remove(&client);
            } else {
                self.clients.push_back(client);
            }
            if next.is_some() {
                self.taken += 1;
                return next;
            }
        }
        None
    }
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Turns);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.line().taken -= 1;
        self.0.go_on();
    }
}

impl Turns {
    /// A line of which `at_once` guests compute at once, one at least.
    pub(crate) fn new(at_once: usize) -> Self {
        Self(Arc::new(Shared {
            at_once: at_once.max(1),
            waiting: AtomicUsize::new(0),
            // So that nothing counts as lately.
            ticks: AtomicU32::new(2 * LATELY),
            last: AtomicUsize::new(0),
            changed: AtomicU32::new(0),
            line: Mutex::default(),
        }))
    }

    /// The clock ticks. Whether guests are in the line.
    pub(crate) fn tick(&self) -> bool {
        self.0.ticks.fetch_add(1, Ordering::Relaxed);
        self.0.waiting.load(Ordering::Relaxed) > 0
    }

    fn now(&self) -> u32 {
        self.0.ticks.load(Ordering::Relaxed)
    }

    /// A guest of `client` is found at work by a tick.
    pub(super) fn note(&self, client: &Client) {
        client.load().note(self.now());
    }

    /// Whether a new request of `client` begins in the line.
    pub(super) fn holds_up(&self, client: &Client) -> bool {
        let shared = &*self.0;
        // Read first: a client that is alone writes nothing here.
        if shared.last.load(Ordering::Relaxed) != client.number() {
            shared.last.store(client.number(), Ordering::Relaxed);
            shared.changed.store(self.now(), Ordering::Relaxed);
        }
        let now = self.now();
        let is_alone = now.wrapping_sub(shared.changed.load(Ordering::Relaxed)) >= LATELY;
        !is_alone && client.load().is_busy(now)
    }

    /// The next turn of `client`.
    pub(crate) async fn wait(&self, client: Option<Client>) -> Turn {
        let (sender, turn) = oneshot::channel();
        {
            let mut line = self.line();
            let guests = line.guests.entry(client.clone()).or_default();
            guests.push_back(sender);
            if guests.len() == 1 {
                line.clients.push_back(client);
            }
        }
        let _waiting = Waiting::new(&self.0.waiting);
        self.go_on();
        match turn.await {
            Ok(turn) => turn,
            // Nobody drops what waits in line.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives the turns that are free.
    fn go_on(&self) {
        loop {
            // Whoever is given one is woken outside the lock; one who has gone meanwhile gives it back, which comes here.
            let next = self.line().next(self.0.at_once);
            let Some(next) = next else { return };
            drop(next.send(Turn(self.clone())));
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guest in the line, counted until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a request has of turns.
#[derive(Debug, Default)]
pub(super) struct OwnTurn {
    /// A tick has found its guest at work.
    is_long: AtomicBool,
    /// There is one in `turn`, to be read without the lock.
    is_held: AtomicBool,
    turn: Mutex<Option<Turn>>,
}

impl OwnTurn {
    /// A tick finds the guest at work; whether it did so before.
    pub(super) fn tick(&self) -> bool {
        self.is_long.swap(true, Ordering::Relaxed)
    }

    /// The guest goes on by this turn, until [`end`](Self::end).
    pub(super) fn hold(&self, turn: Turn) {
        let before = self.turn().replace(turn);
        self.is_held.store(true, Ordering::Release);
        drop(before);
    }

    /// The guest waits for something: its turn, if it has one, is over.
    pub(super) fn end(&self) {
        if self.is_held.swap(false, Ordering::AcqRel) {
            let turn = self.turn().take();
            drop(turn);
        }
    }

    fn turn(&self) -> MutexGuard<'_, Option<Turn>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::place::Rooms;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    fn client() -> Client {
        Client::of(&Arc::new(Rooms::new(1, 1, 1)))
    }

    type Wait<'a> = Pin<Box<dyn Future<Output = Turn> + 'a>>;

    /// A turn, or somebody in the line.
    fn wait<'a>(turns: &'a Turns, client: Option<&Client>) -> Result<Turn, Wait<'a>> {
        let mut wait: Wait<'_> = Box::pin(turns.wait(client.cloned()));
        poll(&mut wait).ok_or(wait)
    }

    fn poll(wait: &mut Wait<'_>) -> Option<Turn> {
        match wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_computes_alone_never_waits() {
        let (turns, one) = (Turns::new(1), client());
        for _ in 0..3 {
            let turn = wait(&turns, Some(&one)).ok().expect("a turn at once");
            assert!(!turns.tick());
            drop(turn);
        }
    }

    #[test]
    fn as_many_compute_as_there_are_processors() {
        let (turns, one) = (Turns::new(2), client());
        let first = wait(&turns, Some(&one)).ok().unwrap();
        let _second = wait(&turns, Some(&one)).ok().unwrap();
        let mut third = wait(&turns, Some(&one)).expect_err("it waits");
        assert!(turns.tick() && poll(&mut third).is_none());
        drop(first);
        assert!(poll(&mut third).is_some());
        drop(third);
        assert!(!turns.tick());
    }

    #[test]
    fn clients_take_turns_and_guests_of_one_among_themselves() {
        let (turns, one, other) = (Turns::new(1), client(), client());
        let mut turn = Some(wait(&turns, Some(&one)).ok().unwrap());
        let mut line = Vec::new();
        let comers = [Some(&one), Some(&one), Some(&one), Some(&other), None, Some(&other)];
        for (n, client) in comers.into_iter().enumerate() {
            line.push((n, wait(&turns, client).expect_err("it waits")));
        }
        // The second of them gives up.
        drop(line.remove(1));
        let mut order = Vec::new();
        while !line.is_empty() {
            drop(turn.take());
            let (at, next) = (0..line.len())
                .find_map(|at| poll(&mut line[at].1).map(|turn| (at, turn)))
                .expect("somebody's turn");
            order.push(line.remove(at).0);
            turn = Some(next);
        }
        assert_eq!(order, [0, 3, 4, 2, 5]);
        drop(turn);
        assert_eq!(turns.line().taken, 0);
        assert!(turns.line().guests.is_empty() && turns.line().clients.is_empty());
    }

    #[test]
    fn a_busy_client_waits_while_others_have_requests() {
        let (turns, busy, other) = (Turns::new(1), client(), client());
        for _ in 0..LATELY {
            turns.tick();
            turns.note(&busy);
            turns.note(&busy);
        }
        assert!(!turns.holds_up(&other), "its first");
        assert!(turns.holds_up(&busy));
        for _ in 0..LATELY {
            turns.tick();
            turns.note(&busy);
        }
        assert!(!turns.holds_up(&busy), "it is alone again");
        for _ in 0..LATELY {
            turns.tick();
        }
        assert!(!turns.holds_up(&other) && !turns.holds_up(&busy), "that was long ago");
    }

    #[test]
    fn one_is_busy_by_an_eighth_of_the_ticks() {
        let load = Load::default();
        for tick in (100..100 + LATELY).step_by(8) {
            assert!(!load.is_busy(tick));
            load.note(tick);
        }
        assert!(load.is_busy(99 + LATELY) && !load.is_busy(100 + LATELY));
        // Ticks begin anew after the last number.
        let load = Load::default();
        (0..BUSY).for_each(|n| load.note((u32::MAX - 3).wrapping_add(n)));
        assert!(load.is_busy(BUSY));
    }

    #[test]
    fn a_turn_that_nobody_fetches_goes_to_the_next() {
        let (turns, one) = (Turns::new(1), client());
        let turn = wait(&turns, Some(&one)).ok().unwrap();
        let given = wait(&turns, Some(&one)).err().unwrap();
        let mut next = wait(&turns, Some(&one)).err().unwrap();
        drop(turn);
        // It is its turn, and it goes before it knows.
        drop(given);
        assert!(poll(&mut next).is_some());
    }

    #[test]
    fn a_request_holds_one_turn_until_it_waits() {
        let (turns, one) = (Turns::new(1), client());
        let own = OwnTurn::default();
        assert!(!own.tick() && own.tick());
        own.end();
        own.hold(wait(&turns, Some(&one)).ok().unwrap());
        assert_eq!(turns.line().taken, 1);
        own.end();
        own.end();
        assert_eq!(turns.line().taken, 0);
    }
}
