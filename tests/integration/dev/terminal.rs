//! What stands on a developer's terminal, and the keys that are pressed there.

use super::put;
use crate::support::client;
use crate::support::origin::Origin;
use crate::support::pounce::Builder;
use crate::support::terminal::Terminal;
use crate::support::{Abi, eventually, pounce};
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt as _;

fn plain(builder: Builder) -> Builder {
    builder.env("NO_COLOR", "1")
}

/// The line of the screen that holds all of `parts`.
fn line<'s>(screen: &'s str, parts: &[&str]) -> &'s str {
    let line = screen.lines().find(|line| parts.iter().all(|part| line.contains(part)));
    line.unwrap_or_else(|| panic!("no line with {parts:?} in\n{screen}"))
}

/// A line for each request, with what its guest writes under the same id; nothing of a guest's steers the terminal.
#[tokio::test]
async fn each_request_is_a_line_and_its_output_stands_by_it() {
    let mut terminal = Terminal::start(plain(pounce().dev().guest(Abi::P2, "stdio")));
    let (addr, admin) = (terminal.addr().await, terminal.admin().await);
    terminal.shows(&format!("traces are on http://{admin}/traces")).await;
    terminal.shows("keys: r reload, o open the traces, q quit").await;
    client::fetch_path(addr, "/some/where?lines=2").await;
    terminal.shows("GET  /some/where").await;
    let screen = terminal.screen();
    let request = line(&screen, &["GET  /some/where"]);
    let words: Vec<_> = request.split_whitespace().collect();
    assert_eq!(words[..3], ["GET", "/some/where", "200"], "{request}");
    assert!(["µs", "ms", "s"].contains(&words[4]), "{request}");
    let trace_id = words[5];
    assert!(trace_id.len() == 32 && trace_id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{request}");
    line(&screen, &[&trace_id[..8], " │ line 1"]);
    assert!(!screen.contains('\u{1b}'), "without colours: {screen:?}");
    assert!(!screen.contains('{'), "no JSON: {screen}");
    // Odd bytes.
    client::fetch_path(addr, "/odd").await;
    terminal.shows("GET  /odd").await;
    assert!(!terminal.screen().contains('\u{1b}'), "{:?}", terminal.screen());
    terminal.types("q");
    assert_eq!(terminal.ends().await, Some(0));
    terminal.shows("stopped").await;
}

#[tokio::test]
async fn a_failure_stands_there_with_its_backtrace_in_colours() {
    let mut terminal = Terminal::start(pounce().dev().guest(Abi::P2, "trap").env("TERM", "xterm-256color"));
    let addr = terminal.addr().await;
    client::fetch_path(addr, "/panic").await;
    terminal.shows("GET").await;
    terminal.shows("wasm_trap.unreachable\u{1b}[0m\r\n").await;
    let screen = terminal.screen();
    line(&screen, &["\u{1b}[33mwarning: \u{1b}[0m", "panicked at trap/p2/../kinds.rs:"]);
    line(&screen, &["    the guest panicked on purpose"]);
    line(&screen, &["\u{1b}[2m     ", ": trap::kinds::fail"]);
    line(&screen, &["/panic", "\u{1b}[31m500\u{1b}[0m"]);
    terminal.types("q");
    assert_eq!(terminal.ends().await, Some(0));
}

/// `r` loads again, `o` opens the viewer, and the terminal is as it was once the server has ended.
#[tokio::test]
async fn keys_do_what_is_said_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    // A browser that writes down what it is to open.
    let opener = folder.path().join("xdg-open");
    std::fs::write(&opener, format!("#!/bin/sh\necho \"$1\" >> {}/opened\n", folder.path().display()))
        .unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").expect("a PATH"));
    put(Abi::P2.guest("hello"), folder.path().join("app.wasm"));
    let builder = plain(pounce().dev().within(folder.path()).arg("--watch=off").env("PATH", path));
    let mut terminal = Terminal::start(builder);
    let (addr, admin) = (terminal.addr().await, terminal.admin().await);
    terminal.shows("keys: ").await;
    assert!(!terminal.is_as_before(), "keys come one by one");
    put(Abi::P2.guest("trap"), folder.path().join("app.wasm"));
    assert_eq!(client::fetch_path(addr, "/panic").await.status, 200, "nobody watches");
    terminal.types("xr");
    eventually("the reload", async || client::fetch_path(addr, "/panic").await.status == 500).await;
    terminal.types("o");
    eventually("the browser", async || {
        let opened = std::fs::read_to_string(folder.path().join("opened")).unwrap_or_default();
        opened == format!("http://{admin}/traces\n")
    })
    .await;
    terminal.types("q");
    assert_eq!(terminal.ends().await, Some(0));
    assert!(terminal.is_as_before());
    assert!(!terminal.screen().contains("xr"), "keys are not shown: {}", terminal.screen());
}

/// Whatever ends it, the terminal is as it was: signals, Ctrl-C, a mistake, a build that never ends.
#[tokio::test]
async fn the_terminal_is_left_as_it_was() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let mut terminal = Terminal::start(plain(pounce().dev().guest(Abi::P2, "hello")));
        terminal.shows("keys: ").await;
        assert!(!terminal.is_as_before());
        rustix::process::kill_process(terminal.server(), signal).expect("it runs");
        assert_eq!(terminal.ends().await, Some(0), "{signal:?}");
        assert!(terminal.is_as_before(), "{signal:?}");
    }
    let mut typed = Terminal::start(plain(pounce().dev().guest(Abi::P2, "hello")));
    typed.shows("keys: ").await;
    typed.types("\u{3}");
    assert_eq!(typed.ends().await, Some(0), "Ctrl-C");
    assert!(typed.is_as_before());
    // A component that cannot be served, found after the keys were taken.
    let folder = tempfile::tempdir().expect("a folder");
    let mut mistaken = Terminal::start(plain(pounce().dev().within(folder.path())));
    assert_eq!(mistaken.ends().await, Some(2));
    assert!(mistaken.is_as_before());
    // While something is in flight, a second `q` ends the drain.
    let mut busy = Terminal::start(plain(pounce().dev().guest(Abi::P2, "slow")));
    let addr = busy.addr().await;
    let request = tokio::spawn(async move { client::fetch_path(addr, "/?ms=60000").await });
    busy.shows("keys: ").await;
    let admin = busy.admin().await;
    eventually("the request", async || {
        client::fetch_path(admin, "/status").await.text().contains("\"used\":1")
            || client::fetch_path(admin, "/status").await.text().contains("\"used\": 1")
    })
    .await;
    busy.types("q");
    busy.shows("draining").await;
    busy.types("q");
    assert_eq!(busy.ends().await, Some(1));
    assert!(busy.is_as_before());
    request.abort();
}

/// What is no terminal gives no keys, and nothing waits for any.
#[tokio::test]
async fn a_pipe_gives_no_keys() {
    let mut server = pounce().dev().guest(Abi::P2, "hello").start().await;
    server.logged(&["traces are on http://"]).await;
    let exit = server.stop().await;
    exit.expect(0, &[]);
    assert!(!exit.stderr.contains("keys:"), "{exit}");
    assert!(exit.stderr.lines().all(|line| line.starts_with('{')), "JSON in a pipe: {exit}");
}

/// The output of a build is shown as it is, and its end is said.
#[tokio::test]
async fn a_build_is_shown_on_the_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(Abi::P2.guest("hello"), folder.path().join("made")).expect("copied");
    let build = "printf '\\033[1mbold\\033[0m\\n'; test -t 2 && echo on a terminal; cp made app.wasm";
    let mut terminal = Terminal::start(plain(pounce().dev().within(folder.path()).flag("--build", build)));
    terminal.addr().await;
    terminal.shows("keys: r rebuild").await;
    let screen = terminal.screen();
    assert!(screen.contains("\u{1b}[1mbold\u{1b}[0m") && screen.contains("on a terminal"), "{screen}");
    line(&screen, &["built in"]);
    let before = screen.matches("built in").count();
    terminal.types("r");
    terminal.shows("reloaded").await;
    assert_eq!(terminal.screen().matches("built in").count(), before + 1);
    terminal.types("q");
    assert_eq!(terminal.ends().await, Some(0));
}

/// Before there is anything to serve, `o` is answered, and `r` builds again.
/// A build that asks on the terminal would wait for ever, as what is typed is keys.
#[tokio::test]
async fn a_build_that_asks_on_the_terminal_is_stopped() {
    for asks in ["read answer < /dev/tty", "stty -echo < /dev/tty"] {
        let folder = tempfile::tempdir().expect("a folder");
        let builder = plain(pounce().dev().within(folder.path())).arg("--build").arg(format!("{asks}; true"));
        let mut terminal = Terminal::start(builder);
        terminal.shows("asks for something on the terminal").await;
        terminal.shows("Run it once by itself").await;
        terminal.types("q");
        assert_eq!(terminal.ends().await, Some(0), "{asks}");
        assert!(terminal.is_as_before());
    }
}

#[tokio::test]
async fn keys_are_heeded_before_anything_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut terminal = Terminal::start(plain(pounce().dev().within(folder.path()).flag("--build", "false")));
    terminal.shows("waiting for a source to change").await;
    terminal.types("o");
    terminal.shows("no traces to open yet").await;
    let before = terminal.screen().matches("building: false").count();
    terminal.types("r");
    eventually("another build", async || terminal.screen().matches("building: false").count() > before).await;
    terminal.types("q");
    assert_eq!(terminal.ends().await, Some(0));
    assert!(terminal.is_as_before());
}

/// With `--tree` a request is the tree of its spans, each with a bar of its time.
#[tokio::test]
async fn a_request_is_a_tree_with_bars() {
    let (fine, broken) = (Origin::answering(200).await, Origin::answering(503).await);
    let mut terminal = Terminal::start(plain(pounce().dev().guest(Abi::P2, "calls").arg("--tree")));
    let addr = terminal.addr().await;
    let path = format!("/calls?span&url={}&url={}", fine.url("/a"), broken.url("/b"));
    assert_eq!(client::fetch_path(addr, &path).await.status, 200);
    terminal.shows("GET /calls").await;
    eventually("the whole tree", async || terminal.screen().contains("└─")).await;
    let screen = terminal.screen();
    let root = line(&screen, &["● GET /calls"]);
    assert!(root.contains('█') && root.contains("200"), "{root}");
    line(&screen, &["└─● calls"]);
    line(&screen, &["  └─● GET", "503"]);
    terminal.types("q");
    assert_eq!(terminal.ends().await, Some(0));
    assert!(!terminal.screen().contains("GET  /calls"), "a tree is enough: {}", terminal.screen());
}
