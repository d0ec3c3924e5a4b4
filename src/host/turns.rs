//! Turns of guests that compute: a client whose guests take up the processors leaves others their part of them.
//!
//! A guest gives way at each tick of the clock (`guest/clock`). If all that compute went on after that, a request that
//! needs a fraction of a tick would wait for one of each of them: 256 requests of one client for seconds. So two kinds
//! wait in line for a turn, of which there are as many as processors:
//!
//! - a guest that a tick finds at work for the second time, and at each tick after that ([`LONG_ALONE`] times where there is
//!   one client only);
//! - a request of a client that is *busy* (ticks have found its guests at work lately) while other clients have requests
//!   as well: a 0.2 request whenever it would go on, a 0.3 request before it begins.
//!
//! A turn lasts until the guest waits for something or the next tick comes; before the next one begins, all that is ready
//! goes first. In the line clients take turns with each other, and the guests of one client among themselves. Everybody
//! else goes on at once, and a client that is alone notices nothing but that what is short goes before what is long. An
//! instance that several requests share belongs to no client, and takes no turns.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::others::{let_others_go_on, to_the_end_of_the_queue};
use super::place::Client;

/// Ticks that find a guest at work before it takes turns: what takes longer is long.
const LONG: u32 = 1;
/// As many where only one client has requests. It waits for nobody but itself: in a line, one turn at a time, what takes a
/// tick or two would wait for many times as long.
const LONG_ALONE: u32 = 8;
/// Ticks that a load remembers, and of these the ticks by which a client is busy.
const REMEMBERED: u32 = u32::BITS;
const BUSY: u32 = REMEMBERED / 8;
/// What counts as lately.
const LATELY: Duration = Duration::from_millis(300);

/// In which ticks the guests of one client were found at work.
#[derive(Debug, Default)]
pub(super) struct Load(
    /// The last of these ticks, and in the lower half a bit for each tick up to it, the last one's the lowest.
    AtomicU64,
);

impl Load {
    fn note(&self, tick: u32) {
        let note = |before| Some((u64::from(tick) << REMEMBERED) | u64::from(Self::at(before, tick) | 1));
        // Never refused.
        _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, note);
    }

    fn is_busy(&self, tick: u32) -> bool {
        Self::at(self.0.load(Ordering::Relaxed), tick).count_ones() >= BUSY
    }

    /// The bits of a load as they stand at `tick`.
    fn at(load: u64, tick: u32) -> u32 {
        let (last, bits) = ((load >> REMEMBERED) as u32, load as u32);
        bits.checked_shl(tick.wrapping_sub(last)).unwrap_or(0)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
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
    /// Ticks so far, and the time of the last one; all times are in microseconds.
    ticks: AtomicU32,
    time: AtomicU64,
    /// When a tick found a guest at work.
    at_work: AtomicU64,
    /// The thread that ticks.
    clock: Mutex<Option<Thread>>,
    /// The client of the last request, and when that was another one than before.
    last: AtomicUsize,
    changed: AtomicU64,
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
            ticks: AtomicU32::new(2 * REMEMBERED),
            time: AtomicU64::new(2 * micros(LATELY)),
            at_work: AtomicU64::new(0),
            clock: Mutex::default(),
            last: AtomicUsize::new(0),
            changed: AtomicU64::new(0),
            line: Mutex::default(),
        }))
    }

    /// This thread is the one that ticks from now on. It is unparked where it had better do so soon.
    pub(crate) fn set_clock(&self) {
        *self.clock() = Some(std::thread::current());
    }

    fn clock(&self) -> MutexGuard<'_, Option<Thread>> {
        self.0.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The clock ticks, so long after the tick before.
    pub(crate) fn tick(&self, after: Duration) {
        self.0.ticks.fetch_add(1, Ordering::Relaxed);
        self.0.time.fetch_add(micros(after), Ordering::Relaxed);
    }

    /// Whether a client may wait for the guests of another: there are several, and guests are in the line, or a tick has
    /// found one at work lately. A client that is alone waits for nobody else, and its guests get on faster where they
    /// are seldom interrupted.
    pub(crate) fn is_pressed(&self) -> bool {
        !self.is_alone() && (self.0.waiting.load(Ordering::Relaxed) > 0 || self.is_lately(&self.0.at_work))
    }

    /// Only one client has had requests lately.
    pub(super) fn is_alone(&self) -> bool {
        !self.is_lately(&self.0.changed)
    }

    fn is_lately(&self, time: &AtomicU64) -> bool {
        self.time().saturating_sub(time.load(Ordering::Relaxed)) < micros(LATELY)
    }

    fn time(&self) -> u64 {
        self.0.time.load(Ordering::Relaxed)
    }

    fn ticks(&self) -> u32 {
        self.0.ticks.load(Ordering::Relaxed)
    }

    /// A guest of `client` is found at work by a tick.
    pub(super) fn note(&self, client: &Client) {
        client.load().note(self.ticks());
        self.0.at_work.store(self.time(), Ordering::Relaxed);
    }

    /// Whether a request of `client` waits in the line before it goes on.
    pub(super) fn holds_up(&self, client: &Client) -> bool {
        let shared = &*self.0;
        // Read first: a client that is alone writes nothing here.
        if shared.last.load(Ordering::Relaxed) != client.number() {
            shared.last.store(client.number(), Ordering::Relaxed);
            shared.changed.store(self.time(), Ordering::Relaxed);
        }
        !self.is_alone() && client.load().is_busy(self.ticks())
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
        let (_waiting, is_first) = Waiting::new(&self.0.waiting);
        self.go_on();
        if is_first && let Some(clock) = &*self.clock() {
            clock.unpark();
        }
        match turn.await {
            Ok(turn) => turn,
            // Nobody drops what waits in line.
            Err(_) => std::future::pending().await,
        }
    }

    /// Lets others go first: what is ready now, and while there are several clients also what their sockets bring. To wait
    /// for that, several times in one request, is long where each of the others computes for milliseconds.
    pub(super) async fn let_others_go_first(&self) {
        if self.is_alone() {
            to_the_end_of_the_queue().await;
        } else {
            let_others_go_on().await;
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
    /// A guest more in the line, and whether it is the first there.
    fn new(count: &'a AtomicUsize) -> (Self, bool) {
        let before = count.fetch_add(1, Ordering::Relaxed);
        (Self(count), before == 0)
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
    /// The task that runs the guest waits for its turns, and the guest itself does not.
    waits_outside: AtomicBool,
    /// The guest goes on by a turn only.
    is_due: AtomicBool,
    /// How often a tick has found the guest at work, and whether it has not gone on yet since the last time.
    ticks: AtomicU32,
    gives_way: AtomicBool,
    /// There is one in `turn`, to be read without the lock.
    is_held: AtomicBool,
    turn: Mutex<Option<Turn>>,
}

impl OwnTurn {
    /// Has the task that runs the guest wait for its turns, from now on.
    pub(super) fn wait_outside(&self) {
        self.waits_outside.store(true, Ordering::Relaxed);
    }

    /// A tick finds the guest at work, which gives way until [`go_on`](Self::go_on); whether it waits for its turn right
    /// there.
    pub(super) fn tick(&self, turns: &Turns) -> bool {
        let long = if turns.is_alone() { LONG_ALONE } else { LONG };
        let is_due = self.ticks.fetch_add(1, Ordering::Relaxed) >= long;
        self.gives_way.store(true, Ordering::Relaxed);
        if self.waits_outside.load(Ordering::Relaxed) {
            self.is_due.store(is_due, Ordering::Relaxed);
            return false;
        }
        is_due
    }

    /// The guest goes on after a tick.
    pub(super) fn go_on(&self) {
        self.gives_way.store(false, Ordering::Relaxed);
    }

    /// Whether the guest waits for nothing but others to go first.
    pub(super) fn gives_way(&self) -> bool {
        self.gives_way.load(Ordering::Relaxed)
    }

    /// How often a tick has found the guest at work so far.
    pub(super) fn ticks(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Whether the guest goes on by a turn only: a tick has interrupted it, or `client` has to wait.
    pub(super) fn is_due(&self, turns: &Turns, client: Option<&Client>) -> bool {
        let holds_up = client.is_some_and(|client| turns.holds_up(client));
        // Nearly always false: a load is cheaper than a swap.
        holds_up | (self.is_due.load(Ordering::Relaxed) && self.is_due.swap(false, Ordering::Relaxed))
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

    /// As many of them as are remembered are longer than lately.
    const TICK: Duration = Duration::from_millis(10);

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
            turns.tick(TICK);
            assert!(!turns.is_pressed());
            drop(turn);
        }
    }

    #[test]
    fn as_many_compute_as_there_are_processors() {
        let (turns, one) = (Turns::new(2), client());
        let first = wait(&turns, Some(&one)).ok().unwrap();
        let _second = wait(&turns, Some(&one)).ok().unwrap();
        let mut third = wait(&turns, Some(&one)).expect_err("it waits");
        turns.tick(TICK);
        assert!(!turns.is_pressed() && poll(&mut third).is_none(), "no other client waits for it");
        assert!(!turns.holds_up(&client()) && turns.is_pressed(), "one may");
        drop(first);
        assert!(poll(&mut third).is_some());
        drop(third);
        assert!(!turns.is_pressed());
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
        for _ in 0..REMEMBERED {
            turns.tick(TICK);
            turns.note(&busy);
            turns.note(&busy);
        }
        assert!(!turns.holds_up(&other), "its first");
        assert!(turns.holds_up(&busy));
        for _ in 0..REMEMBERED {
            turns.tick(TICK);
            turns.note(&busy);
        }
        assert!(!turns.holds_up(&busy), "it is alone again");
        for _ in 0..REMEMBERED {
            turns.tick(TICK);
        }
        assert!(!turns.holds_up(&other) && !turns.holds_up(&busy), "that was long ago");
    }

    #[test]
    fn the_clock_is_pressed_while_one_computes_and_another_asks() {
        let (turns, busy, other) = (Turns::new(1), client(), client());
        assert!(!turns.holds_up(&busy));
        turns.note(&busy);
        assert!(turns.is_pressed(), "the first request may not be the only one");
        for _ in 0..REMEMBERED {
            turns.tick(TICK);
            turns.note(&busy);
        }
        assert!(!turns.is_pressed(), "it is alone");
        assert!(!turns.holds_up(&other) && turns.is_pressed());
        for _ in 0..REMEMBERED {
            turns.tick(TICK);
            assert!(!turns.holds_up(&other));
        }
        assert!(!turns.is_pressed(), "nobody computes");
    }

    #[test]
    fn one_is_busy_by_an_eighth_of_the_ticks() {
        let load = Load::default();
        for tick in (100..100 + REMEMBERED).step_by(8) {
            assert!(!load.is_busy(tick));
            load.note(tick);
        }
        assert!(load.is_busy(99 + REMEMBERED) && !load.is_busy(100 + REMEMBERED));
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
    fn what_takes_long_takes_turns_sooner_where_others_have_requests() {
        let (turns, own) = (Turns::new(1), OwnTurn::default());
        for _ in 0..LONG_ALONE {
            assert!(!own.tick(&turns) && own.gives_way());
            own.go_on();
        }
        assert!(own.tick(&turns), "longer than that");
        assert_eq!(own.ticks(), LONG_ALONE + 1);
        let own = OwnTurn::default();
        turns.holds_up(&client());
        assert!(!own.tick(&turns) && own.tick(&turns), "others have requests");
        own.go_on();
        assert!(!own.gives_way());
    }

    #[test]
    fn a_request_holds_one_turn_until_it_waits() {
        let (turns, one) = (Turns::new(1), client());
        let own = OwnTurn::default();
        own.end();
        own.hold(wait(&turns, Some(&one)).ok().unwrap());
        assert_eq!(turns.line().taken, 1);
        own.end();
        own.end();
        assert_eq!(turns.line().taken, 0);
    }
}
