//! `http.harden`: a server that has restricted itself does all that it is for, and nothing else.

use crate::support::client::{self, fetch_path};
use crate::support::pounce::Builder;
use crate::support::tls::{Authority, VERSIONS};
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce};
use serde_json::Value;
use std::path::Path;

/// A server that may do only what it needs, with a home of its own: nothing is compiled yet, and there is no key.
fn hardened(home: &Path) -> Builder {
    pounce()
        .serve()
        .flag("--harden", "required")
        .env("XDG_CACHE_HOME", home.join("cache").display())
        .env("XDG_DATA_HOME", home.join("data").display())
        .with_admin()
}

fn files_in(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

for_both_abis!(it_compiles_serves_and_keeps_what_it_compiled);
async fn it_compiles_serves_and_keeps_what_it_compiled(abi: Abi) {
    let home = tempfile::tempdir().unwrap();
    // The receiver is gone, so that telemetry goes into the spool.
    let spool = home.path().join("spool");
    let mut server = hardened(home.path())
        .guest(abi, "hello")
        .flag("--otel-endpoint", "http://127.0.0.1:1")
        .flag("--otel-spool", spool.display())
        .start()
        .await;
    for protocol in Protocol::BOTH {
        let answer = client::fetch(server.addr(), protocol, client::get("/")).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "Hello, World!\n"));
    }
    let compiled = home.path().join("cache/pounce/compiled");
    assert_eq!(files_in(&compiled), 1);
    assert!(home.path().join("data/pounce/machine.key").is_file());

    // All of its threads.
    for task in std::fs::read_dir(format!("/proc/{}/task", server.id())).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let has = |line: &str| status.lines().any(|one| one == line);
        assert!(has("NoNewPrivs:\t1") && has("Seccomp:\t2"), "{status}");
    }
    let hardening = server.status().await["hardening"].clone();
    assert_eq!(
        (&hardening["landlock"], &hardening["seccomp"]),
        (&"full".into(), &true.into()),
        "{hardening}"
    );
    let writable = [&compiled, &spool].map(|path| path.canonicalize().unwrap().display().to_string());
    assert_eq!(hardening["writable"], Value::from(writable.to_vec()));
    let exit = server.stop().await;
    exit.expect(0, &["hardened", "left in the spool"]);
    assert!(files_in(&spool) > 1, "{exit}");
}

/// With certificates and components that were not there when it started.
#[tokio::test]
async fn a_reload_brings_certificates_and_components() {
    let home = tempfile::tempdir().unwrap();
    let collector = Collector::start().await;
    let authority = Authority::new("authority");
    let file = home.path().join("pounce.toml");
    let of = |components: &[(&str, Abi)]| {
        let text = components.iter().map(|(name, abi)| {
            format!(
                "[[component]]\nname = \"{name}\"\nsource = {:?}\n[[route]]\ncomponent = \"{name}\"\npath = \
                 \"/{name}\"\n",
                abi.guest("hello")
            )
        });
        std::fs::write(&file, text.collect::<String>()).unwrap();
    };
    let first = authority.server(&["localhost"]);
    let files = first.write(home.path(), "server");
    of(&[("one", Abi::P2)]);
    let mut server = hardened(home.path())
        .arg("--config")
        .arg(&file)
        .flag("--tls-cert", files.certificate.display())
        .flag("--tls-key", files.key.display())
        .traced(&collector)
        .start()
        .await;
    let (addr, client) = (server.addr(), authority.trusting(&VERSIONS));
    let ask =
        async |path| client.open(addr, "localhost", Protocol::H2).await.fetch(client::get(path)).await.status;
    assert_eq!(ask("/one").await, 200);
    assert_eq!(ask("/two").await, 404);

    // Compiled by a process that a process without rights starts.
    of(&[("one", Abi::P2), ("two", Abi::P3)]);
    assert_eq!(server.reload().await["last_error"], Value::Null);
    assert_eq!((ask("/one").await, ask("/two").await), (200.try_into().unwrap(), 200.try_into().unwrap()));

    let before = client.shown(addr, "localhost").await;
    authority.server(&["localhost"]).write(home.path(), "server");
    eventually("the new certificate", async || client.shown(addr, "localhost").await != before).await;
    collector.span_where("of the component that came", |span| span.name == "GET /two").await;
    server.stop().await.expect(0, &[]);
}

fn with_directory(folder: &Path, file: &Path) {
    let (source, folder) = (Abi::P2.guest("hoard"), folder.display());
    let text = format!("[[component]]\nname = \"app\"\nsource = {source:?}\ndir = [\"{folder}::/:rw\"]\n");
    std::fs::write(file, text).unwrap();
}

/// A guest writes where it was given to write at the start. What a reload adds is refused, and what only has the name of
/// what was there, the kernel refuses.
#[tokio::test]
async fn only_directories_of_the_start_are_written_to() {
    let home = tempfile::tempdir().unwrap();
    let [given, other] = ["given", "other"].map(|name| home.path().join(name));
    std::fs::create_dir(&given).unwrap();
    std::fs::create_dir(&other).unwrap();
    let file = home.path().join("pounce.toml");
    with_directory(&given, &file);
    let mut server = hardened(home.path()).arg("--config").arg(&file).start().await;
    let addr = server.addr();
    // It opens a file and writes to it.
    assert_eq!(fetch_path(addr, "/files?n=1").await.text(), "kept 1\n");
    assert_eq!(files_in(&given), 1);

    with_directory(&other, &file);
    let refused = server.reload().await["last_error"].to_string();
    let said = format!("`{}` (guest.dir)", other.display());
    assert!(refused.contains(&said) && refused.contains("http.harden"), "{refused}");
    assert_eq!(fetch_path(addr, "/files?n=1").await.text(), "kept 1\n", "everything is served as before");

    with_directory(&given, &file);
    std::fs::rename(&given, home.path().join("gone")).unwrap();
    std::fs::rename(&other, &given).unwrap();
    assert_eq!(server.reload().await["last_error"], Value::Null);
    assert_eq!(fetch_path(addr, "/files?n=1").await.status, 500);
    assert_eq!(files_in(&given), 0);
    server.stop().await.expect(0, &[]);
}

#[tokio::test]
async fn unix_sockets_are_made_and_removed() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("run/admin.sock");
    std::fs::create_dir(home.path().join("run")).unwrap();
    let server = hardened(home.path())
        .guest(Abi::P2, "hello")
        .flag("--admin-listen", format!("unix:{}", socket.display()))
        .start()
        .await;
    assert!(socket.exists());
    server.stop().await.expect(0, &[]);
    assert!(!socket.exists());
}

#[tokio::test]
async fn nothing_is_given_up_unless_it_is_asked_for() {
    let mut server = pounce().serve().guest(Abi::P2, "hello").with_admin().start().await;
    let own = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    assert!(own.contains("NoNewPrivs:\t0\n") && own.contains("Seccomp:\t0\n"), "{own}");
    assert_eq!(server.status().await["hardening"], Value::Null);
    // A developer's server runs builds.
    let dev = pounce().dev().guest(Abi::P2, "hello").flag("--harden", "on").start().await;
    dev.stop().await.expect(0, &["http.harden has no effect on pounce dev"]);
    server.stop().await.expect(0, &[]);
}

#[tokio::test]
async fn check_says_what_the_kernel_can_do() {
    let exit = pounce().command("check").flag("--harden", "required").run().await;
    exit.expect(0, &[]);
    for part in ["hardening\n", "landlock  full", "seccomp   this kernel has it"] {
        assert!(exit.stdout.contains(part), "{part:?} in {exit}");
    }
    let exit = pounce().command("check").flag("--harden", "on").flag("--format", "json").run().await;
    let report: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!(report["hardening"]["landlock"], "full");
    pounce().command("check").flag("--harden", "maybe").run().await.expect(2, &["off, on, required"]);
}
