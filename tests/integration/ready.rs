//! A server that is not ready: its addresses are its own, and clients are refused rather than made to wait.

use crate::support::client::{self, Raw};
use crate::support::fifo;
use crate::support::guest::fixture;
use crate::support::pounce::Pounce;
use crate::support::{Abi, Collector, free_address, pounce, within};
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// What is answered to `GET /204` on a unix socket.
async fn over_unix(path: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(path).await?;
    stream.write_all(b"GET /204 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await?;
    Ok(answer)
}

#[tokio::test]
async fn addresses_are_taken_at_once_and_listened_on_when_there_is_something_to_serve() {
    let dir = tempfile::tempdir().unwrap();
    let (component, socket) = (dir.path().join("late.wat"), dir.path().join("late.sock"));
    let (addr, admin) = (free_address(), free_address());
    let unix = format!("unix:{}", socket.display());
    fifo::make(&component);
    let mut server = pounce()
        .component(&component)
        .without_listen()
        .flag("--listen", addr)
        .flag("--listen", &unix)
        .flag("--admin-listen", admin)
        .begin();
    // It reads the component when all that can be told early has been told.
    let mut pipe = fifo::read_by_somebody(&component).await;
    let starting = client::fetch_path(admin, "/readyz").await;
    assert_eq!((starting.status.as_u16(), starting.text()), (503, "starting\n"));
    for _ in 0..3 {
        assert_eq!(TcpStream::connect(addr).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert_eq!(over_unix(&socket).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
    // Others hear at once that it is there, and leave it what it has.
    for (flag, taken) in
        [("--listen", addr.to_string()), ("--listen", unix), ("--admin-listen", addr.to_string())]
    {
        let other = pounce().fixture("status.wat").flag(flag, &taken).run().await;
        other.expect(1, &[&format!("cannot listen on `{taken}`"), "in use|another process listens there"]);
        assert_eq!(other.stdout, "", "it was never ready");
    }
    assert_eq!(server.stdout(), "", "not ready yet");
    pipe.write_all(&std::fs::read(fixture("status.wat")).unwrap()).unwrap();
    drop(pipe);
    server.said(&format!("listening on http://{addr}\n")).await;
    server.said("unix:").await;
    assert_eq!(client::fetch_path(addr, "/204").await.status, 204);
    assert!(over_unix(&socket).await.unwrap().starts_with("HTTP/1.1 204"));
    server.stop().await.expect(0, &[]);
    assert!(!socket.exists());
}

/// A component that cannot be served: nobody was ever let in.
#[tokio::test]
async fn a_server_that_never_gets_ready_gives_its_addresses_back() {
    let dir = tempfile::tempdir().unwrap();
    let component = dir.path().join("broken.wat");
    fifo::make(&component);
    let addr = free_address();
    let server = pounce().component(&component).without_listen().flag("--listen", addr).begin();
    fifo::read_by_somebody(&component).await.write_all(b"(component").unwrap();
    server.wait().await.expect(2, &["broken.wat"]);
    let server = pounce().fixture("status.wat").without_listen().flag("--listen", addr).start().await;
    assert_eq!(client::fetch_path(server.addr(), "/204").await.status, 204);
}

/// Connections that the server closed linger for a minute: in nobody's way, and they hide nobody.
#[tokio::test]
async fn a_restart_does_not_wait_for_connections_that_linger() {
    let addr = free_address();
    for _ in 0..3 {
        let server = pounce().fixture("status.wat").without_listen().flag("--listen", addr).start().await;
        let mut raw = Raw::open(addr).await;
        raw.write("GET /204 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        assert!(raw.read_to_end().await.starts_with("HTTP/1.1 204"));
        let other = pounce().fixture("status.wat").without_listen().flag("--listen", addr).run().await;
        other.expect(1, &[&addr.to_string(), "in use"]);
        server.stop().await.expect(0, &[]);
    }
}

/// Slots for instances that are taken, as `/status` tells.
async fn slots_taken(server: &mut Pounce) -> u64 {
    server.status().await["limits"]["pool_slots"]["used"].as_u64().unwrap()
}

/// As many as are asked for, kept where requests share them.
#[tokio::test]
async fn instances_are_there_before_the_first_request() {
    let processors = std::thread::available_parallelism().unwrap().get() as u64;
    for (abi, isolation, warm, kept) in [
        (Abi::P3, "instance", Some("3"), 3),
        (Abi::P3, "instance", Some("0"), 0),
        (Abi::P3, "instance", None, processors),
        (Abi::P3, "request", Some("3"), 0),
        (Abi::P2, "instance", Some("3"), 3),
        (Abi::P2, "request", Some("3"), 0),
    ] {
        let collector = Collector::start().await;
        let builder =
            pounce().guest(abi, "hello").traced(&collector).with_admin().flag("--isolation", isolation);
        let builder = warm.into_iter().fold(builder, |builder, warm| builder.flag("--warm", warm));
        let mut server = builder.start().await;
        assert_eq!(slots_taken(&mut server).await, kept, "{abi:?} {isolation} {warm:?}");
        assert_eq!(client::fetch_path(server.addr(), "/").await.status, 200);
        // An instance that was there has cost its first request nothing, and served nobody before.
        let span = collector.span().await;
        let attribute = |name: &str| span.attributes[name].to_string();
        let took: f64 = attribute("pounce.instantiate.duration").parse().unwrap();
        assert_eq!(took == 0.0, kept > 0, "{abi:?} {isolation} {warm:?}: {took}");
        assert_eq!(attribute("pounce.instance.reused"), "false", "{abi:?} {isolation} {warm:?}");
        server.stop().await.expect(0, &[]);
    }
}

/// More than there may be at once, and more than there is memory for.
#[tokio::test]
async fn as_many_instances_are_warm_as_there_is_room_for() {
    let server = || pounce().guest(Abi::P3, "hello").with_admin().flag("--warm", 20);
    let mut few = server().flag("--max-in-flight", 4).start().await;
    few.logged(&["guest.warm", "20"]).await;
    assert_eq!(slots_taken(&mut few).await, 4);
    let mut small = server().flag("--max-memory", "2MiB").flag("--max-total-memory", "8MiB").start().await;
    small.logged(&["fewer instances are warm", "20"]).await;
    let taken = slots_taken(&mut small).await;
    assert!((1..20).contains(&taken), "{taken}");
    let exit = pounce().guest(Abi::P3, "hello").flag("--warm", "many").run().await;
    exit.expect(2, &["--warm", "many"]);
}
