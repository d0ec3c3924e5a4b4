//! While a component is compiled: what is seen of it, what it may take, and that it gives back what it took.

use super::{CACHED, Home, says_hello};
use crate::support::client;
use crate::support::guest::built;
use crate::support::pounce::Pounce;
use crate::support::{Abi, eventually, pounce};
use rustix::process::{Pid, Signal, kill_process};
use std::io::ErrorKind;
use std::net::SocketAddr;
use tokio::net::TcpStream;

const MIB: u64 = 1 << 20;

/// The compiler that a server has started, stopped where it is; none if it is done already.
fn stopped_compiler(server: &Pounce) -> Option<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.id())).ok()?;
    let children = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("children")).ok()
    };
    let children: String = tasks.filter_map(children).collect();
    let pid = Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)?;
    kill_process(pid, Signal::STOP).ok()?;
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // It may have ended as it was told to stop.
    (!state.contains(") Z")).then_some(pid)
}

/// A server whose compiler is stopped in the middle of its work.
async fn stuck_in_compiling(home: &Home) -> (Pounce, SocketAddr, SocketAddr, Pid) {
    loop {
        let [addr, admin] = [(); 2].map(|()| crate::support::free_address());
        let server = home
            .pounce()
            .component(built("hello-js"))
            .without_listen()
            .flag("--listen", addr)
            .flag("--admin-listen", admin)
            .begin();
        let mut phase = String::new();
        eventually("the server to compile, or to be done with it", async || {
            let asked = TcpStream::connect(admin).await;
            if asked.is_ok() {
                phase = client::fetch_path(admin, "/readyz").await.text().to_owned();
            }
            phase == "compiling\n" || phase == "ready\n"
        })
        .await;
        if let Some(compiler) = stopped_compiler(&server)
            && client::fetch_path(admin, "/readyz").await.text() == "compiling\n"
        {
            return (server, addr, admin, compiler);
        }
        // It was too quick: once more, with nothing compiled.
        drop(server);
        std::fs::remove_dir_all(home.cache()).unwrap();
    }
}

#[tokio::test]
async fn a_server_that_compiles_answers_operators_and_refuses_clients() {
    let home = Home::new();
    let (mut server, addr, admin, compiler) = stuck_in_compiling(&home).await;
    let ready = client::fetch_path(admin, "/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.text()), (503, "compiling\n"));
    assert_eq!(client::fetch_path(admin, "/livez").await.status, 200);
    let status = client::fetch_json(admin, "/status").await;
    assert_eq!((&status["phase"], &status["component"]), (&"compiling".into(), &serde_json::Value::Null));
    assert_eq!(TcpStream::connect(addr).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let size = std::fs::metadata(built("hello-js")).unwrap().len();
    server.logged(&["compiling the component", "hello-js.wasm", &format!("\"bytes\":{size},")]).await;
    kill_process(compiler, Signal::CONT).unwrap();
    server.said("listening on").await;
    assert_eq!(client::fetch_path(admin, "/readyz").await.text(), "ready\n");
    assert_eq!(client::fetch_path(addr, "/").await.status, 200);
    server.logged(&["compiled the component", "seconds"]).await;
    server.stop().await.expect(0, &[]);
}

/// On a terminal a line moves, and goes when it is over; what is said elsewhere is in the log alone.
#[tokio::test]
async fn a_terminal_shows_that_it_goes_on() {
    const TERMINAL: &str =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let home = Home::new();
    let compile = || home.house(pounce()).command("compile").component(built("hello-js"));
    let shown = compile()
        .env("TERM", "xterm")
        .launched_by(["python3", "-c", TERMINAL])
        .arg("-o")
        .arg(home.path("a.cwasm"))
        .run()
        .await;
    shown.expect(0, &[]);
    // Each build of the guest has its own size.
    let size = std::fs::metadata(built("hello-js")).unwrap().len() as f64 / MIB as f64;
    let line = ["compiling ", &format!("hello-js.wasm ({size:.2} MiB) "), "s"];
    let moves = shown.stdout.split('\r').filter(|frame| line.iter().all(|part| frame.contains(part))).count();
    assert!(moves > 1, "{moves} frames of one line: {shown}");
    assert!(shown.stdout.trim_end().ends_with("target native"), "the line is gone: {shown}");
    let told = compile().arg("-o").arg(home.path("b.cwasm")).run().await;
    told.expect(0, &[]);
    assert!(!told.stderr.contains("compiling") && told.stdout.lines().count() == 1, "{told}");
}

#[tokio::test]
async fn compiling_has_limits() {
    let home = Home::new();
    let start = || home.pounce().component(built("hello-js"));
    let late = start().flag("--compile-timeout", "10ms").run().await;
    late.expect(2, &["hello-js.wasm", "within 10ms", "--compile-timeout"]);
    for limit in ["4KiB", "1MiB", "32MiB", "64MiB"] {
        let large = start().flag("--compile-memory", limit).run().await;
        large.expect(2, &["hello-js.wasm", &format!("{limit} of memory at most"), "--compile-memory"]);
    }
    assert!(home.cached().is_empty(), "{:?}", home.cached());
}

/// After a start that has compiled as much is resident as after one that has not.
#[tokio::test]
async fn what_compiling_took_is_given_back() {
    let home = Home::new();
    let mut resident = Vec::new();
    for is_cached in [false, true] {
        let server = home.pounce().component(built("hello-js")).start().await;
        assert_eq!(client::fetch_path(server.addr(), "/").await.status, 200);
        resident.push(server.resident());
        let exit = server.stop().await;
        assert_eq!(exit.stderr.contains(CACHED), is_cached, "{exit}");
    }
    let [compiled, cached] = resident[..] else { unreachable!("two starts") };
    println!("resident after compiling {} MiB, from the cache {} MiB", compiled / MIB, cached / MIB);
    // The component, and what was written of it, have some 40 MiB; compiling takes ten times as much.
    assert!(compiled < cached + 48 * MIB, "{compiled} bytes after compiling, {cached} without");
}

/// Where there is no cache, nothing stands in the way either.
#[tokio::test]
async fn without_a_cache_it_is_compiled_into_memory() {
    let home = Home::new();
    let server = home.pounce().guest(Abi::P2, "hello").flag("--cache", "none").start().await;
    says_hello(&server).await;
    assert!(home.cached().is_empty() && !home.path("data").exists());
}
