//! What the guest does, by path, with what the SDK offers for code that is traced from outside: `#[traced]`, the layer for the
//! crate `tracing`, the panic hook.
//!
//! | path | does |
//! | --- | --- |
//! | `/sync` | `price` (`item` 7, `express`, `note`, `parts`, `shape`; not `hidden`), in it `inner`; `count` with `count` 3; `put` |
//! | `/async` | `load order`, kind client (`id` 7, `db.system.name`, `token.len`; not `token`), in it `inside`, after a wait |
//! | `/errors` | `error`, `boxed`, `display`, `debug`, `silent`: each fails with an error of that sort; `early` by `?`; `fine` does not |
//! | `/layer` | by `tracing`: `outer` with events, `inner` in it; `explicit`, `root`, `in by hand`; `named` by its fields |
//! | `/branches?id=N` | three branches in turns, by `tracing`: `step` with `id` and `branch`, in it `nested`; waits and records in both |
//! | `/panic` | panics in `fragile` |
//! | `/panic-bare` | panics in no span of its own |
//!
//! Answers `fine`.

use std::error::Error;
use std::fmt::{self, Debug, Display};

use guest_http::{Target, join_all};
use pounce_guest::{Span, layer, traced, tracing as request};
use tracing::{Instrument as _, debug_span, error, field, info, info_span, instrument, warn};
use tracing_subscriber::prelude::*;

/// Does what the path says; false when there is no such path.
pub(crate) async fn perform(target: &Target, wait: impl AsyncFn(u64)) -> bool {
    pounce_guest::set_panic_hook();
    // It is set already where the instance has served before.
    let _ = tracing_subscriber::registry().with(layer::layer()).try_init();
    match target.path() {
        "/sync" => synchronous(),
        "/async" => assert_eq!(load(7, "secret", &wait).await.ok(), Some(7)),
        "/errors" => errors(&wait).await,
        "/layer" => layered(),
        "/branches" => branches(target.number("id", 0), &wait).await,
        "/panic" => fragile(1),
        "/panic-bare" => panic!("bare, on purpose"),
        _ => return false,
    }
    true
}

#[derive(Debug)]
#[expect(dead_code, reason = "read by Debug")]
struct Shape {
    sides: u32,
}

/// Neither a value nor shown.
struct Hidden;

fn synchronous() {
    let parts = vec![1, 2];
    price(7, true, "a note", parts, Shape { sides: 3 }, (1, Hidden));
    assert_eq!(count(3).sum::<u32>(), 3);
    let mut store = Store { puts: 0 };
    store.put(5).expect("it has room");
    assert_eq!(store.puts, 1);
}

#[traced]
fn price(
    item: u32,
    express: bool,
    note: &str,
    mut parts: Vec<i64>,
    shape: Shape,
    (_, hidden): (u8, Hidden),
) -> u32 {
    let _ = (&shape, &hidden, note);
    parts.push(3);
    Span::start("inner").end();
    if express { item * 2 } else { item }
}

#[traced]
fn count(count: u32) -> impl Iterator<Item = u32> {
    0..count
}

struct Store {
    puts: u32,
}

impl Store {
    #[traced(skip_all, fields(store.puts = self.puts))]
    fn put(&mut self, _amount: u32) -> Result<(), String> {
        self.puts += 1;
        Ok(())
    }
}

#[traced(name = "load order", kind = "client", skip(token), fields(db.system.name = "redis", "token.len" = token.len()))]
async fn load(id: u64, token: &str, wait: &impl AsyncFn(u64)) -> Result<u64, Missing> {
    wait(2).await;
    Span::start("inside").end();
    if id == 0 {
        return Err(Missing { id });
    }
    Ok(id)
}

#[derive(Debug)]
struct Missing {
    id: u64,
}

impl Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "there is no order {}", self.id)
    }
}

impl Error for Missing {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&fmt::Error)
    }
}

#[derive(Debug)]
struct Shown;

struct Silent;

type Boxed<T> = Result<T, Box<dyn Error + Send + Sync>>;

async fn errors(wait: &impl AsyncFn(u64)) {
    #[traced(name = "error")]
    async fn error(wait: &impl AsyncFn(u64)) -> Result<u64, Missing> {
        load(0, "", wait).await
    }
    #[traced]
    fn boxed() -> Boxed<()> {
        Err("boxed".into())
    }
    #[traced]
    fn display<E: Display>(made: impl FnOnce() -> E) -> Result<(), E> {
        Err(made())
    }
    #[traced]
    async fn debug() -> Result<(), Shown> {
        Err(Shown)
    }
    #[traced]
    fn silent() -> Result<(), Silent> {
        Err(Silent)
    }
    #[traced]
    fn early(text: &str) -> Result<i32, std::num::ParseIntError> {
        let number: i32 = text.parse()?;
        Ok(number + 1)
    }
    #[traced]
    fn fine() -> Result<u32, Missing> {
        Ok(1)
    }
    let failed = [
        error(wait).await.is_err(),
        boxed().is_err(),
        display(|| "shown").is_err(),
        debug().await.is_err(),
        silent().is_err(),
        early("seven").is_err(),
        fine().is_ok(),
    ];
    assert_eq!(failed, [true; 7]);
}

fn layered() {
    let outer = info_span!("outer", otel.kind = "client", n = 1, text = "a", shape = ?Shape { sides: 4 }, late = field::Empty);
    outer.in_scope(|| {
        outer.record("late", true);
        info!(answer = 42, "in outer");
        let inner = debug_span!("inner");
        inner.follows_from(&outer);
        inner.in_scope(|| warn!("in inner"));
        error!(error = &Missing { id: 3 } as &(dyn Error + 'static), "it failed");
    });
    info_span!(parent: &outer, "explicit").in_scope(|| info_span!(parent: None, "root"));
    info!(parent: &outer, "told from outside");
    Span::start("by hand").in_scope(|| info_span!("in by hand"));
    info_span!("told", otel.name = "named", otel.status_code = "ERROR", otel.status_message = "late");
    info_span!("unhappy").in_scope(|| error!("no error value"));
    // Of the request's span: its status stays.
    error!("outside of all");
}

async fn branches(id: u64, wait: &impl AsyncFn(u64)) {
    request::set_attribute("id", id);
    let all = (0..3).map(|branch| step(id, branch, wait));
    join_all(all).await;
    // The same, by the other way to give a future a span.
    async { nested(id, 3, wait).await }.instrument(info_span!("step", id, branch = 3)).await;
}

#[instrument(skip(wait))]
async fn step(id: u64, branch: u64, wait: &impl AsyncFn(u64)) {
    wait((id + branch) % 5).await;
    info!(id, branch, "step");
    nested(id, branch, wait).await;
    info!(id, branch, "stepped");
}

#[traced(skip(wait))]
async fn nested(id: u64, branch: u64, wait: &impl AsyncFn(u64)) {
    wait((id + 2 * branch) % 4).await;
    info!(id, branch, "nested");
}

#[traced]
fn fragile(item: u32) {
    panic!("item {item}, on purpose");
}
