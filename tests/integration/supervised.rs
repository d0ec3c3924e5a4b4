//! What supervisors see: systemd's notifications (`NOTIFY_SOCKET`), its watchdog, and `pounce health`.

use crate::support::exit::Exit;
use crate::support::pounce::{Builder, Pounce};
use crate::support::{Abi, free_address, pounce, within};
use rustix::process::Signal;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixDatagram};

/// The service manager's end of the socket.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        Self { socket: UnixDatagram::bind(&path).expect("a socket"), path, _folder: folder }
    }

    fn of(&self, server: Builder) -> Builder {
        server.env("NOTIFY_SOCKET", self.path.display())
    }

    /// The next message, but for signs of life.
    async fn told(&self) -> Vec<String> {
        loop {
            let message = self.message().await;
            if message != ["WATCHDOG=1"] {
                return message;
            }
        }
    }

    async fn message(&self) -> Vec<String> {
        let mut buffer = vec![0; 4096];
        let read = within("a notification", self.socket.recv(&mut buffer)).await.expect("received");
        String::from_utf8(buffer[..read].to_vec()).expect("text").lines().map(str::to_owned).collect()
    }

    /// The server says that it is ready, and this besides.
    async fn hears_ready(&self, status: &str) {
        let told = self.told().await;
        assert_eq!(told[0], "READY=1", "{told:?}");
        assert!(told[1].starts_with("STATUS=") && told[1].contains(status), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
    }

    /// The server says that it reloads, and when that was.
    async fn hears_reloading(&self) {
        let told = self.told().await;
        assert_eq!(told[0], "RELOADING=1", "{told:?}");
        let usec = told[1].strip_prefix("MONOTONIC_USEC=").expect("a time");
        assert!(usec.parse::<u64>().expect("a number") > 0);
    }
}

#[tokio::test]
async fn the_service_manager_is_told_of_start_reloads_and_end() {
    let manager = Manager::new();
    let server = manager.of(pounce().guest(Abi::P2, "hello")).start().await;
    manager.hears_ready(&format!("serving on http://{}", server.addr())).await;
    server.signal(Signal::HUP);
    manager.hears_reloading().await;
    manager.hears_ready("serving on").await;
    server.term();
    let told = manager.told().await;
    assert_eq!(told[..2], ["STOPPING=1", "STATUS=draining after SIGTERM"]);
    server.wait().await.expect(0, &[]);
}

/// A reload that is not sound leaves the server as ready as it was, and the status line says why.
#[tokio::test]
async fn a_failed_reload_is_in_the_status_line() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("app.wasm");
    std::fs::copy(Abi::P2.guest("hello"), &component).unwrap();
    let manager = Manager::new();
    let server = manager.of(pounce().component(&component)).start().await;
    manager.hears_ready("serving on").await;
    std::fs::write(&component, "nonsense").unwrap();
    server.signal(Signal::HUP);
    manager.hears_reloading().await;
    manager.hears_ready("not reloaded: ").await;
    server.stop().await.expect(0, &[]);
}

#[tokio::test]
async fn a_watchdog_gets_signs_of_life_until_the_very_end() {
    let manager = Manager::new();
    let server = manager.of(pounce().guest(Abi::P2, "hello")).env("WATCHDOG_USEC", 100_000).start().await;
    for _ in 0..5 {
        while manager.message().await != ["WATCHDOG=1"] {}
    }
    server.stop().await.expect(0, &[]);
}

#[tokio::test]
async fn without_a_watchdog_there_are_no_signs_of_life() {
    let manager = Manager::new();
    let server = manager.of(pounce().guest(Abi::P2, "hello")).start().await;
    assert_eq!(manager.message().await[0], "READY=1");
    server.term();
    assert_eq!(manager.message().await[0], "STOPPING=1");
    server.wait().await.expect(0, &[]);
}

/// A server serves whether or not anybody hears it.
#[tokio::test]
async fn a_service_manager_that_is_gone_costs_a_warning() {
    let mut server = pounce().guest(Abi::P2, "hello").env("NOTIFY_SOCKET", "/nowhere/notify").start().await;
    server.logged(&["WARN", "NOTIFY_SOCKET"]).await;
    server.stop().await.expect(0, &[]);
}

async fn health(addr: impl ToString) -> Exit {
    pounce().command("health").flag("--admin-listen", addr).run().await
}

#[tokio::test]
async fn health_is_that_of_the_admin_listener() {
    let mut server: Pounce = pounce().guest(Abi::P2, "hello").with_admin().start().await;
    let admin = server.admin().await;
    let exit = health(admin).await;
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(0), "ready\n"), "{exit}");
    // As the variable of the server's own says it, in a container.
    let everywhere = format!("0.0.0.0:{}", admin.port());
    let exit = pounce().command("health").env("POUNCE_ADMIN_LISTEN", everywhere).run().await;
    assert_eq!(exit.code, Some(0), "{exit}");
    server.stop().await.expect(0, &[]);
    health(admin).await.expect(1, &["does not answer"]);
}

#[tokio::test]
async fn health_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let addr = format!("unix:{}", folder.path().join("admin.sock").display());
    health(&addr).await.expect(1, &["does not answer"]);
    let server = pounce().guest(Abi::P2, "hello").flag("--admin-listen", &addr).start().await;
    health(&addr).await.expect(0, &[]);
    server.stop().await.expect(0, &[]);
}

#[tokio::test]
async fn health_of_a_server_that_drains_is_none() {
    let mut server = pounce().guest(Abi::P2, "hello").with_admin().flag("--drain-delay", "60s").start().await;
    let admin = server.admin().await;
    server.term();
    server.logged(&["draining"]).await;
    health(admin).await.expect(1, &["not ready", "503"]);
    server.term();
    server.wait().await;
}

#[tokio::test]
async fn health_needs_to_know_whom_to_ask() {
    let exit = pounce().command("health").run().await;
    exit.expect(2, &["no admin listener", "POUNCE_ADMIN_LISTEN"]);
    health(free_address()).await.expect(1, &["does not answer"]);
}

/// What listens there may be anything: it neither holds up who asks nor writes on a terminal.
#[tokio::test]
async fn health_is_not_what_another_program_says() {
    let server = pounce().guest(Abi::P2, "hello").start().await;
    health(server.addr()).await.expect(1, &["Hello, World!", "admin listener?"]);
    server.stop().await.expect(0, &[]);

    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = other.local_addr().unwrap();
    let escapes = async {
        let (mut stream, _) = other.accept().await.unwrap();
        // All of it: a socket that is closed with something unread is reset, and takes its answer along.
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut asked).await.unwrap() > 0, "{asked:?}");
        }
        stream.write_all(b"HTTP/1.1 503 No\r\n\r\n\x1b[2Jgone\n").await.unwrap();
    };
    let (exit, ()) = tokio::join!(health(addr), escapes);
    exit.expect(1, &["503", "gone"]);
    assert!(!exit.stderr.contains('\x1b'), "{exit}");
    // Without end, a byte now and then.
    let trickle = async {
        let (mut stream, _) = other.accept().await.unwrap();
        while stream.write_all(b"H").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (exit, ()) = tokio::join!(health(addr), trickle);
    exit.expect(1, &["does not answer", "no answer within 2s"]);
}
