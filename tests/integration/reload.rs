//! Reloads: another generation of components and routes in place of the one that is served.

use crate::support::client::{self, Connection};
use crate::support::pounce::Pounce;
use crate::support::{Abi, Protocol, eventually, pounce};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A folder with a `pounce.toml` that changes.
struct Folder {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Folder {
    fn with(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pounce.toml");
        let settings = Self { folder, path };
        settings.write(text);
        settings
    }

    /// Puts another file in the place of the one that is there, as a whole.
    fn write(&self, text: &str) {
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, text).expect("written");
        std::fs::rename(&draft, &self.path).expect("renamed");
    }

    async fn serve(&self, flags: &[(&str, &str)]) -> Pounce {
        let builder = pounce().arg("--config").arg(&self.path).with_admin();
        flags.iter().fold(builder, |builder, (name, value)| builder.flag(name, value)).start().await
    }
}

fn component(name: &str, source: &Path, route: &str) -> String {
    format!(
        "[[component]]\nname = \"{name}\"\nsource = {source:?}\n[[route]]\ncomponent = \"{name}\"\npath = \"{route}\"\n"
    )
}

/// Code that is gone leaves no slots behind that only it could use, where there are as many as by default: once so many
/// wait, reloads take no more memory.
#[tokio::test]
async fn reloads_leave_no_memory_behind() {
    const RELOADS: usize = 60;
    let text = |reuse: usize| {
        component("hello", &Abi::P2.guest("hello"), "/{*rest}") + &format!("[guest]\nreuse = {reuse}\n")
    };
    let settings = Folder::with(&text(1));
    let mut server = settings.serve(&[]).await;
    let mut resident = [0; 2];
    for (round, resident) in resident.iter_mut().enumerate() {
        for n in 0..RELOADS {
            settings.write(&text(2 + n));
            assert_eq!(server.reload().await["done"], round * RELOADS + n + 1);
        }
        *resident = server.resident();
    }
    let [early, late] = resident;
    assert!(late < early + (8 << 20), "{} KiB resident, then {}", early >> 10, late >> 10);
}

/// A hundred reloads between two components while clients ask all the time: no request fails, and nothing grows.
#[tokio::test]
async fn no_request_fails_while_generations_come_and_go() {
    const RELOADS: usize = 100;
    let text = |abi: Abi| component("hello", &abi.guest("hello"), "/{*rest}");
    let settings = Folder::with(&text(Abi::P2));
    // Slots keep something of the instances that were in them: few, so that all have had some soon.
    let flags = [("--max-in-flight", "32"), ("--max-in-flight-per-peer", "32")];
    let mut server = settings.serve(&flags).await;
    let (addr, over, served) = (server.addr(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = [Protocol::H1, Protocol::H2, Protocol::H1, Protocol::H2]
        .into_iter()
        .map(|protocol| {
            let (over, served) = (over.clone(), served.clone());
            tokio::spawn(async move {
                let mut connection = Connection::open(addr, protocol).await;
                while !over.load(Ordering::Relaxed) {
                    let answer = connection.fetch(client::get("/hello")).await;
                    assert_eq!((answer.status.as_u16(), answer.text()), (200, "Hello, World!\n"));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let admin = server.admin().await;
    let mut early = 0;
    for n in 1..=RELOADS {
        settings.write(&text(if n % 2 == 0 { Abi::P2 } else { Abi::P3 }));
        let told = server.reload().await;
        assert_eq!((&told["failed"], &told["last_error"]), (&0.into(), &Value::Null), "reload {n}");
        assert_eq!(client::fetch_path(admin, "/readyz").await.status, 200);
        if n == RELOADS / 2 {
            early = server.resident();
        }
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no request failed");
    }
    assert!(served.load(Ordering::Relaxed) > RELOADS as u64, "they were busy");
    let late = server.resident();
    assert!(late < early + (12 << 20), "{early} bytes after half of the reloads, {late} after all");
    // Metrics go on, with all requests.
    let page = client::fetch_path(admin, "/metrics").await;
    let reloads: Vec<_> =
        page.text().lines().filter(|line| line.starts_with("pounce_reloads_total")).collect();
    assert!(
        reloads.iter().any(|line| line.contains("done") && line.ends_with(&format!(" {RELOADS}"))),
        "{reloads:?}"
    );
    let is_count = |line: &&str| line.starts_with("http_server_request_duration_seconds_count");
    let counts = page.text().lines().filter(is_count);
    let counted: u64 = counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert!(counted >= served.load(Ordering::Relaxed), "{}", page.text());
    server.stop().await.expect(0, &[]);
}

/// What is wrong changes nothing, and is said in the log, on `/status` and in the metrics; what is right then is in force.
#[tokio::test]
async fn a_bad_reload_changes_nothing_and_says_why() {
    let hello = component("hello", &Abi::P2.guest("hello"), "/hello");
    let settings = Folder::with(&hello);
    let mut server = settings.serve(&[]).await;
    let missing = settings.folder.path().join("missing.wasm");
    for (bad, why) in [
        ("[[component]\n".to_owned(), "is not TOML here"),
        (format!("{hello}[guest]\nmax-memroy = 1\n"), "did you mean `max-memory`?"),
        (component("hello", &missing, "/hello"), "there is no such file"),
        (
            format!("{hello}{}", component("hello", &Abi::P3.guest("hello"), "/other")),
            "two components are called",
        ),
    ] {
        settings.write(&bad);
        let told = server.reload().await;
        assert!(told["last_error"].as_str().is_some_and(|error| error.contains(why)), "{why}: {told}");
        server.logged(&["not reloaded, and everything is served as before", why]).await;
        assert_eq!(client::fetch_path(server.addr(), "/hello").await.text(), "Hello, World!\n");
        let admin = server.admin().await;
        assert_eq!(client::fetch_path(admin, "/readyz").await.status, 200);
    }
    settings.write(&component("hello", &Abi::P3.guest("hello"), "/elsewhere"));
    let told = server.reload().await;
    assert_eq!((&told["done"], &told["failed"], &told["last_error"]), (&1.into(), &4.into(), &Value::Null));
    assert_eq!(client::fetch_path(server.addr(), "/elsewhere").await.text(), "Hello, World!\n");
    assert_eq!(client::fetch_path(server.addr(), "/hello").await.status, 404);
    assert_eq!(server.status().await["component"]["wasi_http"], "0.3");
}

/// A request is served to its end by what served it when it came; connections stay; what is the server's is named.
#[tokio::test]
async fn requests_end_where_they_began_and_the_servers_settings_stay() {
    let slow = component("slow", &Abi::P2.guest("slow"), "/slow");
    let hello = component("hello", &Abi::P3.guest("hello"), "/hello");
    let settings = Folder::with(&slow);
    let mut server = settings.serve(&[]).await;
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    let begun = tokio::spawn(connection.start(client::get("/slow?ms=1500&chunks=3&body_ms=100")));
    server.in_flight(1).await;
    settings.write(&format!("{hello}[http]\nmax-in-flight = 7\n[admin]\nrecent-traces = 3\n"));
    let told = server.reload().await;
    assert_eq!(told["needs_restart"], serde_json::json!(["http.max-in-flight", "admin.recent-traces"]));
    server.logged(&["these settings have changed, and stay as they were", "http.max-in-flight"]).await;
    assert_eq!(
        connection.fetch(client::get("/hello")).await.text(),
        "Hello, World!\n",
        "on the same connection"
    );
    assert_eq!(connection.fetch(client::get("/slow?ms=0")).await.status, 404);
    let answer = client::Answer::read(begun.await.unwrap().expect("a response")).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "chunk 1\nchunk 2\nchunk 3\n"));
    assert_eq!(server.status().await["limits"]["in_flight"]["limit"], 1024);
}

/// With `--watch` nobody has to send a signal: a component that is written anew is served.
#[tokio::test]
async fn with_watch_what_changes_is_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.wasm");
    std::fs::copy(Abi::P2.guest("echo"), &path).expect("copied");
    let mut server = pounce().component(&path).arg("--watch").with_admin().start().await;
    assert_eq!(client::fetch_path(server.addr(), "/").await.text(), "");
    std::fs::write(&path, b"not a component").expect("written");
    server.logged(&["a file has changed"]).await;
    server.logged(&["not reloaded", "this is not WebAssembly"]).await;
    assert_eq!(client::fetch_path(server.addr(), "/").await.text(), "", "as before");
    std::fs::copy(Abi::P3.guest("hello"), &path).expect("copied");
    eventually("the new component", async || {
        client::fetch_path(server.addr(), "/").await.text() == "Hello, World!\n"
    })
    .await;
    assert_eq!(server.status().await["component"]["wasi_http"], "0.3");
}
