//! Floods: what one client does to a server for a while, and what it costs the others. Each is measured beside a client
//! of another address (127.0.0.2), quiet and under the flood: its answers, the slowest of a hundred, resident memory.
//!
//! `make floods` runs them for 30 s each (`POUNCE_FLOODS=…`), alone, or those whose names have a text in them
//! (`POUNCE_FLOODS_ONLY=…`); elsewhere they are left out. What is compared is the
//! time that the *server* takes, so a flood may not slow down the client that measures it: the server has a processor for
//! itself, and the other one is shared by the measuring client (this process) and the flood, a process of its own under
//! `SCHED_IDLE`, which runs only while the measuring client has nothing to do. Quiet and flooded differ in nothing but
//! the flood, and a server with one processor has the fewest means to evade it.
//!
//! A flood is an async function of the server's address that goes on until its process is ended: a row of [`FLOODS`], and
//! a test that gives its name to [`Trial::endure`].

use crate::support::client::{self, Connection};
use crate::support::exit::Exit;
use crate::support::pounce::{Builder, Pounce};
use crate::support::{Protocol, within};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::collections::BTreeMap;
use std::future::Future;
use std::io::Read;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Guests that write pieces of no bytes.
mod empty;
/// Frames of HTTP/2 that cost the client nothing.
mod frames;
/// Guests that have the host keep things.
mod hoards;
/// Lines in the log.
mod lines;
/// Clients that hold places.
mod places;

const MIB: u64 = 1024 * 1024;
/// What floods may have the server hold where nothing else is said.
const MOST: u64 = 150 * MIB;
/// What the machine makes of any request now and then, whatever the server does.
const NOISE: Duration = Duration::from_millis(5);
/// Connections of the client whose requests are measured, and the pause of each between two of them.
const CONNECTIONS: usize = 4;
const PAUSE: Duration = Duration::from_millis(10);
/// The processor of the server, and that of its clients.
const PROCESSORS: [usize; 2] = [0, 1];

/// What the process of a flood is told: which one, and where the server is.
const FLOOD: &str = "POUNCE_FLOOD";
const TARGET: &str = "POUNCE_FLOOD_TARGET";

/// Runs until it is dropped.
type Flood = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes a flood of the server at an address; the text says which, where there are several of a name.
type Start = fn(SocketAddr, String) -> Flood;

/// The floods by name; what follows a blank in the name that a test asks for is for the flood itself.
const FLOODS: &[(&str, Start)] = &[
    ("unread", |addr, path| Box::pin(empty::unread(addr, path))),
    ("requests", |addr, path| Box::pin(hoards::requests(addr, path))),
    ("frames", |addr, kind| Box::pin(frames::flood(addr, kind))),
    ("connects", |addr, _| Box::pin(lines::connects(addr))),
    ("closed windows", |addr, _| Box::pin(places::closed_windows(addr))),
    ("one-byte uploads", |addr, _| Box::pin(places::one_byte_uploads(addr))),
];

/// The process of a flood; nothing in a run of the tests.
#[tokio::test]
async fn process() {
    let Ok(flood) = std::env::var(FLOOD) else { return };
    let target = std::env::var(TARGET).expect("told with the flood").parse().expect("an address");
    std::thread::spawn(|| {
        // Its end is the end of whoever wanted the flood.
        let _end = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let (name, begin) = FLOODS.iter().find(|(name, _)| flood.starts_with(name)).expect("a flood");
    begin(target, flood[name.len()..].trim_start().to_owned()).await;
}

/// A flood, until it is dropped.
struct Flooding(Child);

impl Flooding {
    fn begin(flood: &str, target: SocketAddr) -> Self {
        let mut command = Command::new("taskset");
        command.args(["-c", &PROCESSORS[1].to_string(), "chrt", "--idle", "0"]);
        command.arg(std::env::current_exe().expect("this binary")).args(["--exact", "floods::process"]);
        command.env(FLOOD, flood).env(TARGET, target.to_string());
        // What it says, a broken flood says: nothing else shows that there was none.
        command.args(["--nocapture", "--quiet"]).stdin(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().expect("taskset and chrt"))
    }

    fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("our child").is_none()
    }
}

impl Drop for Flooding {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("our child");
    }
}

/// What a flood may cost.
#[derive(Clone, Copy)]
struct Bounds {
    /// Bytes of resident memory.
    memory: u64,
    /// What others ask for.
    path: &'static str,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { memory: MOST, path: "/" }
    }
}

/// A server that is flooded.
struct Trial {
    name: String,
    server: Pounce,
    bounds: Bounds,
    time: Duration,
    quiet: Seen,
    /// What others saw that they should not have.
    wrong: Vec<String>,
}

impl Trial {
    /// Starts `server` and measures how it does without a flood. None unless floods are asked for.
    async fn begin(name: String, server: Builder, bounds: Bounds) -> Option<Self> {
        let seconds = std::env::var("POUNCE_FLOODS").ok()?.parse().expect("POUNCE_FLOODS is seconds");
        let mut ours = CpuSet::new();
        ours.set(PROCESSORS[1]);
        sched_setaffinity(None, &ours).expect("two processors");
        let [its, _] = PROCESSORS.map(|processor| processor.to_string());
        let server = server.launched_by(["taskset", "-c", &its]).start().await;
        let time = Duration::from_secs(seconds);
        measure(server.addr(), bounds.path, Duration::from_secs(2)).await;
        let quiet = measure(server.addr(), bounds.path, time / 3).await;
        assert!(quiet.are_served(), "{name}, quiet: {quiet}");
        Some(Self { name, server, bounds, time, quiet, wrong: Vec::new() })
    }

    /// Floods the server, and notes where others were not answered 200, twice as late as before, or where memory
    /// grew beyond bounds.
    async fn endure(&mut self, flood: &str) {
        if std::env::var("POUNCE_FLOODS_ONLY").is_ok_and(|only| !flood.contains(&only)) {
            return;
        }
        let mut flooding = Flooding::begin(flood, self.server.addr());
        let watched = async {
            let (end, mut peak) = (Instant::now() + self.time, 0);
            while Instant::now() < end {
                peak = self.server.resident().max(peak);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            peak
        };
        let (seen, peak) = tokio::join!(measure(self.server.addr(), self.bounds.path, self.time), watched);
        assert!(flooding.is_alive(), "{}, {flood}: there was none", self.name);
        let most = (2 * self.quiet.slowest).max(NOISE);
        let is_right = seen.are_served() && seen.slowest <= most && peak < self.bounds.memory;
        let told = format!(
            "{}, {flood}: {seen}, {:?} when quiet; {} MiB resident at most",
            self.name,
            self.quiet.slowest,
            peak / MIB
        );
        println!("{told}{}", if is_right { "" } else { " (WRONG)" });
        if !is_right {
            self.wrong.push(told);
        }
    }

    /// Fails if something was wrong; else what the server said.
    async fn end(mut self) -> Exit {
        assert!(self.server.is_alive(), "{}", self.name);
        let exit = self.server.stop().await;
        exit.expect(0, &[]);
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        exit
    }
}

/// What others saw.
struct Seen {
    /// Requests by the status of their response.
    answered: BTreeMap<u16, usize>,
    /// The slowest of a hundred.
    slowest: Duration,
}

impl Seen {
    /// All of them with 200.
    fn are_served(&self) -> bool {
        self.answered.keys().eq(&[200])
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p99 {:?} of {:?}", self.slowest, self.answered)
    }
}

/// Asks for `path` again and again, as somebody else.
async fn measure(addr: SocketAddr, path: &'static str, time: Duration) -> Seen {
    let end = Instant::now() + time;
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            let protocol = Protocol::BOTH[n % 2];
            tokio::spawn(async move {
                let mut connection = Connection::open_elsewhere(addr, protocol).await;
                let mut seen = Vec::new();
                while Instant::now() < end {
                    let begun = Instant::now();
                    let status = connection.fetch(client::get(path)).await.status.as_u16();
                    seen.push((begun.elapsed(), status));
                    tokio::time::sleep(PAUSE).await;
                }
                seen
            })
        })
        .collect();
    let mut all = Vec::new();
    for client in clients {
        all.extend(within("a client to finish", client).await.expect("no client fails"));
    }
    all.sort_unstable();
    let mut answered = BTreeMap::new();
    all.iter().for_each(|(_, status)| *answered.entry(*status).or_default() += 1);
    Seen { answered, slowest: all[all.len() * 99 / 100].0 }
}
