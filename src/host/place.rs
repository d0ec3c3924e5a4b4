//! Places: how many requests guests work on at once, and how many responses wait for their clients after that. A request
//! takes a place of each kind among all, and one of its client's share, to which a share of guests' memory belongs.
//!
//! ```text
//!            finish, with room to wait
//!  Working ─────────────────────────────▶ Waiting
//!     │ finish, without                      ▲
//!     └───────────────▶ Finished ────────────┘ finish_again, with room
//! ```
//!
//! `Working` and `Finished` take up a place to work, `Waiting` one to wait; dropping gives back which it is.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::budget::{Budget, HeldOne};
use super::turns::Load;

/// How long somebody counts as just refused.
const RECENT: Duration = Duration::from_secs(2);

/// Places of one kind, some of them taken.
#[derive(Debug)]
pub(crate) struct Room {
    limit: usize,
    taken: AtomicUsize,
    /// When somebody was refused last, in milliseconds since `start`; 0 for never.
    refused: AtomicU64,
    start: Instant,
}

impl Room {
    fn new(limit: usize) -> Self {
        Self { limit, taken: AtomicUsize::new(0), refused: AtomicU64::new(0), start: Instant::now() }
    }

    /// Takes a place if one is free.
    fn take(&self) -> bool {
        // Counted first and looked at then: two that come at once cannot both get the last one.
        if self.taken.fetch_add(1, Ordering::AcqRel) < self.limit {
            return true;
        }
        self.give_back();
        self.refused.store(self.now(), Ordering::Relaxed);
        false
    }

    fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
    }

    /// All are taken, and somebody has just been refused one.
    fn is_pressed(&self) -> bool {
        let refused = self.refused.load(Ordering::Relaxed);
        refused > 0 && self.now().saturating_sub(refused) < RECENT.as_millis() as u64
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Places that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Places that there are.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }
}

/// The places of everybody, or the share that one client may have of them.
#[derive(Debug)]
pub(crate) struct Rooms {
    /// For requests that guests work on.
    pub(crate) working: Room,
    /// For responses whose guests have finished, and whose clients have not taken all of them yet.
    pub(crate) waiting: Room,
    /// Bytes of guests that work for one client. (Those of everybody are the guests' own budget.)
    memory: Arc<Budget>,
    /// In which ticks guests that work for one client were at it.
    load: Load,
}

impl Rooms {
    pub(crate) fn new(working: usize, waiting: usize, memory: u64) -> Self {
        let memory = Arc::new(Budget::new(memory));
        Self { working: Room::new(working), waiting: Room::new(waiting), memory, load: Load::default() }
    }
}

/// Where a request gets its place: among all, and in its client's share if it has one. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) all: Arc<Rooms>,
    /// The client's share; none for clients that are exempt.
    pub(crate) own: Option<Arc<Rooms>>,
}

/// Places that were all taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The places of all clients; how many there are.
    All(usize),
    /// The places of the client's share; how many there are.
    Own(usize),
}

impl Share {
    /// A place for a request, until it is dropped.
    pub(crate) fn take(&self) -> Result<Place, Full> {
        self.take_of(|rooms| &rooms.working)?;
        Ok(Place { share: self.clone(), stage: Stage::Working, of_component: None })
    }

    fn take_of(&self, room: impl Fn(&Rooms) -> &Room) -> Result<(), Full> {
        let all = room(&self.all);
        if let Some(own) = self.own.as_deref().map(&room).filter(|own| !own.take()) {
            // Where both are, its share is not what keeps it out.
            return Err(if all.taken() < all.limit { Full::Own(own.limit) } else { Full::All(all.limit) });
        }
        if all.take() {
            return Ok(());
        }
        if let Some(own) = &self.own {
            room(own).give_back();
        }
        Err(Full::All(all.limit))
    }

    fn give_back(&self, room: impl Fn(&Rooms) -> &Room) {
        for rooms in self.rooms() {
            room(rooms).give_back();
        }
    }

    fn rooms(&self) -> impl Iterator<Item = &Rooms> {
        std::iter::once(&*self.all).chain(self.own.as_deref())
    }

    /// Others have just been refused for want of a place that a request of this share may hold.
    pub(crate) fn is_pressed(&self) -> bool {
        self.rooms().any(|rooms| rooms.working.is_pressed())
    }
}

/// A client that has a share of its own: an address, and what its requests take up. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client(Arc<Rooms>);

impl Client {
    #[cfg(test)]
    pub(super) fn of(rooms: &Arc<Rooms>) -> Self {
        Self(rooms.clone())
    }

    /// A number that no other client has which has requests now.
    pub(super) fn number(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// In which ticks its guests were at work.
    pub(super) fn load(&self) -> &Load {
        &self.0.load
    }
}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Client {}

impl Hash for Client {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number().hash(state);
    }
}

/// What a request takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The guest is at work.
    Working,
    /// The guest has finished, and there was no room for the response to wait.
    Finished,
    /// The response waits for its client.
    Waiting,
}

/// What one request takes up: a place while its guest works, then one in which its response waits for the client. Given
/// back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    share: Share,
    stage: Stage,
    /// The place among those of its component, while its guest works.
    of_component: Option<HeldOne>,
}

impl Place {
    /// What guests may hold that work for the same client; none where it has no share.
    pub(crate) fn memory(&self) -> Option<&Arc<Budget>> {
        self.share.own.as_ref().map(|own| &own.memory)
    }

    /// The client that the request is from; none where it has no share.
    pub(super) fn client(&self) -> Option<Client> {
        self.share.own.clone().map(Client)
    }

    /// It is one of its component's places, too.
    pub(crate) fn of_component(mut self, one: HeldOne) -> Self {
        self.of_component = Some(one);
        self
    }

    /// The guest has finished: others may have its place, if there is room for the response to wait.
    pub(crate) fn finish(&mut self) {
        if self.stage != Stage::Waiting {
            let has_room = self.share.take_of(|rooms| &rooms.waiting).is_ok();
            if has_room {
                self.share.give_back(|rooms| &rooms.working);
                self.of_component = None;
            }
            self.stage = if has_room { Stage::Waiting } else { Stage::Finished };
        }
    }

    /// Tries again to free the place of a guest that had finished when there was no room.
    pub(crate) fn finish_again(&mut self) {
        if self.stage == Stage::Finished {
            self.finish();
        }
    }

    /// Others wait for what this request holds.
    pub(crate) fn is_pressed(&self) -> bool {
        match self.stage {
            Stage::Waiting => self.share.rooms().any(|rooms| rooms.waiting.is_pressed()),
            Stage::Working | Stage::Finished => self.share.is_pressed(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.stage {
            Stage::Waiting => self.share.give_back(|rooms| &rooms.waiting),
            Stage::Working | Stage::Finished => self.share.give_back(|rooms| &rooms.working),
        }
    }
}
