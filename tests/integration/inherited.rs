//! Sockets that the service manager hands over (`LISTEN_FDS`), by a launcher that binds them and becomes the server.

use crate::support::client::{self, Raw};
use crate::support::pounce::Builder;
use crate::support::{pounce, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Opens sockets, has them be file descriptors 3 and on, and becomes the server, as systemd does.
const LAUNCHER: &str = r#"
import os, socket, sys
kinds, pid, count = sys.argv[1:4]
opened = []
for kind in filter(None, kinds.split(",")):
    if kind == "tcp":
        one = socket.create_server(("127.0.0.1", 0))
    elif kind == "deaf":
        one = socket.socket()
    elif kind == "udp":
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elif kind == "file":
        one = open("/dev/null")
    else:
        one = socket.socket(socket.AF_UNIX)
        one.bind(kind)
        one.listen()
    opened.append(one)
high = [os.dup(one.fileno()) for one in opened]
low = [os.dup2(fd, 50 + at) for at, fd in enumerate(high)]
for at, fd in enumerate(low):
    os.dup2(fd, 3 + at)
os.environ["LISTEN_PID"] = str(os.getpid()) if pid == "own" else pid
os.environ["LISTEN_FDS"] = count
os.execv(sys.argv[4], sys.argv[4:])
"#;

/// A server with sockets of these kinds, told that there are `count` for the process `pid`.
fn activated(kinds: &str, pid: &str, count: &str) -> Builder {
    pounce().fixture("status.wat").launched_by(["python3", "-c", LAUNCHER, kinds, pid, count])
}

#[tokio::test]
async fn inherited_sockets_stand_for_the_default_address() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("activated.sock");
    let kinds = format!("tcp,{}", path.display());
    let server = activated(&kinds, "own", "2").without_listen().start().await;
    assert_eq!(client::fetch_path(server.addr(), "/204").await.status, 204);

    let mut unix = within("the unix socket", tokio::net::UnixStream::connect(&path)).await.unwrap();
    unix.write_all(b"GET /204 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within("its answer", unix.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");

    let tcp = server.addr();
    let exit = server.stop().await;
    let ready = format!("listening on http://{tcp}\nlistening on unix:{}\n", path.display());
    assert_eq!((exit.code, exit.stdout.as_str()), (Some(0), ready.as_str()), "{exit}");
    assert!(path.exists(), "the file is not ours to remove");
}

#[tokio::test]
async fn addresses_that_are_set_are_listened_on_too() {
    let mut server = activated("tcp", "own", "1").flag("--log-level", "debug").start().await;
    server.logged(&["http.listen", "127.0.0.1:0"]).await;
    let stdout = server.stdout();
    // The second line may not have been read yet.
    let exit = server.stop().await;
    assert!(exit.stdout.starts_with(&stdout));
    assert_eq!(exit.stdout.matches("listening on http://127.0.0.1:").count(), 2, "{exit}");
}

/// What a parent left behind in the environment.
#[tokio::test]
async fn sockets_of_another_process_are_none_of_ours() {
    let mut server = activated("tcp", "1", "1").start().await;
    server.logged(&["LISTEN_FDS", "LISTEN_PID is 1"]).await;
    let mut raw = Raw::open(server.addr()).await;
    raw.write("GET /204 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(raw.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 204"));
    let exit = server.stop().await;
    assert_eq!(exit.stdout.matches("listening on").count(), 1, "{exit}");
}

#[tokio::test]
async fn what_cannot_be_listened_on_is_refused() {
    for (kinds, count, parts) in [
        ("tcp", "some", &["LISTEN_FDS", "`some`", "number"][..]),
        ("tcp", "-1", &["LISTEN_FDS", "-1"]),
        ("tcp", "99999999999999999999999", &["LISTEN_FDS", "99999999999999999999999"]),
        ("tcp,udp", "2", &["file descriptor 4", "TCP", "ListenStream="]),
        ("file", "1", &["file descriptor 3", "TCP"]),
        ("tcp", "3", &["file descriptor 4", "TCP"]),
        ("deaf", "1", &["file descriptor 3", "accept", "Accept=yes"]),
    ] {
        let exit = activated(kinds, "own", count).without_listen().run().await;
        exit.expect(2, parts);
        assert_eq!(exit.stdout, "", "{kinds}: it was never ready");
    }
}
