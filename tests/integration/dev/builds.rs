//! The component: found, built, and loaded again when it or its sources change.

use super::put;
use crate::support::pounce::Builder;
use crate::support::{Abi, client, eventually, pounce};
use std::path::Path;

/// A project whose source names the guest that its build makes a component of; `broken` is none.
fn project(source: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["src", "guests"] {
        std::fs::create_dir(folder.path().join(name)).expect("made");
    }
    for name in ["hello", "trap"] {
        std::fs::copy(Abi::P2.guest(name), folder.path().join("guests").join(name)).expect("copied");
    }
    std::fs::write(folder.path().join("guests/core"), b"\0asm\x01\0\0\0").expect("written");
    write(folder.path(), source);
    folder
}

fn write(folder: &Path, source: &str) {
    std::fs::write(folder.join("src/main.txt"), source).expect("written");
}

/// Says what it does on both streams, and counts how often it has run, in a file that is none of its sources.
const BUILD: &str = "echo run >> .runs; echo compiling $(cat src/main.txt); mkdir -p dist; cp guests/$(cat src/main.txt) dist/app.wasm";

fn dev(folder: &Path) -> Builder {
    pounce().dev().within(folder).flag("--build", BUILD).flag("--source", "src")
}

fn runs(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join(".runs")).map_or(0, |text| text.lines().count())
}

/// Builds at the start and at each change; what fails is said, and kept out of serving.
#[tokio::test]
async fn what_is_built_is_served_and_what_fails_is_not() {
    let folder = project("hello");
    let mut server = dev(folder.path()).start().await;
    server.logged(&["serving dist/app.wasm: it is the only component here"]).await;
    server.logged(&["compiling hello"]).await;
    let addr = server.addr();
    let status = async |path: &str| client::fetch_path(addr, path).await.status.as_u16();
    assert_eq!(status("/").await, 200);

    write(folder.path(), "missing");
    server.logged(&["src/main.txt has changed"]).await;
    server.logged(&["the build failed", "exit status 1", "what was built before is served on"]).await;
    assert_eq!(status("/").await, 200, "the last good build");

    write(folder.path(), "trap");
    eventually("the new component to be served", async || status("/panic").await == 500).await;
    // A component that is none is built well, and not served either.
    write(folder.path(), "core");
    server.logged(&["not reloaded", "core module"]).await;
    let page = client::fetch_path(addr, "/panic").await;
    assert!(page.text().contains("A newer component is not served"), "{}", page.text());
    write(folder.path(), "hello");
    eventually("the mended component to be served", async || status("/").await == 200).await;
    server.stop().await.expect(0, &[]);
}

/// A first build that fails, and a component that cannot be served, end nothing: the next change is waited for.
#[tokio::test]
async fn a_project_that_is_broken_at_first_is_waited_for() {
    let folder = project("missing");
    let mut server = dev(folder.path()).begin();
    server.logged(&["error: the build failed"]).await;
    server.logged(&["waiting for a source to change"]).await;
    write(folder.path(), "core");
    server.logged(&["only the core module dist/app.wasm"]).await;
    write(folder.path(), "hello");
    server.ready().await;
    assert_eq!(client::fetch_path(server.addr(), "/").await.status, 200);
    server.stop().await.expect(0, &[]);
}

/// It is told to stop while the first build runs: the build is stopped, with what it has started.
#[tokio::test]
async fn a_build_ends_with_the_server() {
    let folder = project("hello");
    let builder = pounce().dev().within(folder.path());
    let mut server = builder.flag("--build", "sleep 1000 & echo $! > .pid; echo begun; wait").begin();
    server.logged(&["\"message\":\"begun\""]).await;
    let pid = std::fs::read_to_string(folder.path().join(".pid")).expect("written");
    server.stop().await.expect(0, &[]);
    let process = format!("/proc/{}/status", pid.trim());
    eventually("the build to be gone", async || {
        // What nobody has asked how it ended is gone as well.
        std::fs::read_to_string(&process).map_or(true, |status| status.contains("State:\tZ"))
    })
    .await;
}

/// Many files at once are one build; what a build writes itself, the same each time, is none.
#[tokio::test]
async fn changes_that_come_together_are_one_build() {
    let folder = project("hello");
    let build = format!("{BUILD}; echo generated > src/generated.txt");
    let mut server =
        pounce().dev().within(folder.path()).flag("--build", build).flag("--source", "src").start().await;
    // The first wrote a source that was not there before.
    server.logged(&["src/generated.txt has changed while it was built: building again"]).await;
    eventually("the second build", async || runs(folder.path()) == 2).await;
    let before = runs(folder.path());
    for n in 0..20 {
        std::fs::write(folder.path().join(format!("src/{n}.txt")), "new").expect("written");
    }
    write(folder.path(), "trap");
    server.logged(&["more files have changed"]).await;
    let addr = server.addr();
    eventually("the new component", async || client::fetch_path(addr, "/panic").await.status == 500).await;
    assert!(runs(folder.path()) <= before + 2, "{} builds for one change", runs(folder.path()) - before);
    // The same bytes again are no change.
    let before = runs(folder.path());
    write(folder.path(), "trap");
    std::fs::write(folder.path().join("src/last.txt"), "new").expect("written");
    server.logged(&["src/last.txt has changed"]).await;
    eventually("that build", async || runs(folder.path()) > before).await;
    server.stop().await.expect(0, &[]);
}

/// A build that writes one of its own sources otherwise each time does not go on for ever.
#[tokio::test]
async fn a_build_that_changes_its_sources_comes_to_an_end() {
    let folder = project("hello");
    let build = format!("{BUILD}; date +%N > src/stamp.txt");
    let mut server =
        pounce().dev().within(folder.path()).flag("--build", build).flag("--source", "src").start().await;
    server.logged(&["src/stamp.txt has changed during each of 3 builds", "--source"]).await;
    assert_eq!(runs(folder.path()), 3);
    // That file is no reason to build any more; others are, and are not built over and over for it.
    std::fs::write(folder.path().join("src/stamp.txt"), "other").expect("written");
    write(folder.path(), "trap");
    server.logged(&["src/main.txt has changed"]).await;
    let addr = server.addr();
    eventually("the new component", async || client::fetch_path(addr, "/panic").await.status == 500).await;
    assert_eq!(runs(folder.path()), 4);
    server.stop().await.expect(0, &[]);
}

/// A developer who edits while such a build runs for the third time has the edit built.
#[tokio::test]
async fn an_edit_beside_what_the_build_changes_is_built() {
    let folder = project("hello");
    let edit = "test $(wc -l < .runs) != 3 || echo trap > src/main.txt";
    let build = format!("{BUILD}; date +%N > src/stamp.txt; {edit}");
    let server = pounce().dev().within(folder.path()).flag("--build", build).flag("--source", "src");
    let mut server = server.start().await;
    server.logged(&["src/stamp.txt has changed during each of 3 builds"]).await;
    server.logged(&["src/main.txt has changed while it was built: building again"]).await;
    assert_eq!(client::fetch_path(server.addr(), "/panic").await.status, 500);
    assert_eq!(runs(folder.path()), 4);
    server.stop().await.expect(0, &[]);
}

/// A build that writes a file of another name each time.
#[tokio::test]
async fn a_build_that_adds_sources_comes_to_an_end() {
    let folder = project("hello");
    let build = format!("{BUILD}; echo new > src/$(wc -l < .runs).txt");
    let server = pounce().dev().within(folder.path()).flag("--build", build).flag("--source", "src");
    let mut server = server.start().await;
    server.logged(&["during each of 10 builds", "src/10.txt during the last", "--source"]).await;
    assert_eq!(runs(folder.path()), 10);
    server.stop().await.expect(0, &[]);
}

/// The log in a file among the sources is no source.
#[tokio::test]
async fn its_own_log_is_no_source() {
    let folder = project("hello");
    let builder = pounce().dev().within(folder.path()).flag("--build", BUILD);
    let server = builder.launched_by(["sh", "-c", "exec \"$0\" \"$@\" 2> dev.log"]).start().await;
    let logged = || std::fs::read_to_string(folder.path().join("dev.log")).expect("a log");
    assert!(logged().contains("compiling hello"), "{}", logged());
    let addr = server.addr();
    assert_eq!(client::fetch_path(addr, "/").await.status, 200);
    eventually("the request's line", async || logged().contains("\"access\"")).await;
    write(folder.path(), "trap");
    eventually("the new component", async || client::fetch_path(addr, "/panic").await.status == 500).await;
    assert_eq!(runs(folder.path()), 2, "{}", logged());
    assert!(logged().contains("\"src/main.txt has changed\""), "{}", logged());
    server.stop().await.expect(0, &[]);
}

/// What a build leaves running goes on, is not waited for, and is still heard.
#[tokio::test]
async fn a_build_that_leaves_something_running_is_over() {
    let folder = project("hello");
    // It ends with the test, whatever comes of that.
    let left = "(while test -e .runs && ! test -e .go; do sleep 0.05; done; echo a late word) &";
    let builder = pounce().dev().within(folder.path()).flag("--source", "src");
    let mut server = builder.flag("--build", format!("{BUILD}; {left}")).start().await;
    server.logged(&["built in"]).await;
    assert_eq!(client::fetch_path(server.addr(), "/").await.status, 200);
    std::fs::write(folder.path().join(".go"), "").expect("written");
    server.logged(&["a late word"]).await;
    server.stop().await.expect(0, &[]);
}

/// A reload of the settings alone makes no component of sources that cannot be built.
#[tokio::test]
async fn a_failed_build_is_told_until_one_succeeds() {
    let folder = project("trap");
    let settings = folder.path().join("settings.toml");
    std::fs::write(&settings, "").expect("written");
    let mut server = dev(folder.path()).flag("--config", settings.display()).start().await;
    let addr = server.addr();
    let page = async || client::fetch_path(addr, "/panic").await.text().to_owned();
    let note = "A newer component is not served";
    assert!(!page().await.contains(note));
    write(folder.path(), "missing");
    server.logged(&["the build failed"]).await;
    eventually("the note", async || page().await.contains(note)).await;
    std::fs::write(&settings, "[guest]\nwarm = 2\n").expect("written");
    eventually("the reload", async || server.status().await["reload"]["done"] == 1).await;
    let told = page().await;
    assert!(told.contains(note) && told.contains("the build failed"), "{told}");
    // Both are wrong.
    std::fs::write(&settings, "[guest]\nwarm = \"soon\"\n").expect("written");
    eventually("both", async || {
        let told = page().await;
        told.contains("the build failed") && told.contains("not reloaded")
    })
    .await;
    std::fs::write(&settings, "").expect("written");
    write(folder.path(), "trap\n");
    eventually("no note", async || !page().await.contains(note)).await;
    server.stop().await.expect(0, &[]);
}

/// Sources in a folder that is not there would never be seen to change.
#[tokio::test]
async fn sources_that_are_nowhere_are_a_mistake() {
    let folder = project("hello");
    let run = async |source: &str| {
        pounce().dev().within(folder.path()).flag("--build", BUILD).flag("--source", source).run().await
    };
    run("nowhere")
        .await
        .expect(2, &["error: --source: names no directory: `nowhere`", "tip: create it, or name"]);
    run("src/main.txt").await.expect(2, &["--source", "is not a directory", "tip: "]);
    assert_eq!(runs(folder.path()), 0);
}

/// Without a build the component's own file is watched.
#[tokio::test]
async fn a_component_that_changes_is_loaded_again() {
    let folder = tempfile::tempdir().expect("a folder");
    put(Abi::P2.guest("hello"), folder.path().join("app.wasm"));
    let mut server = pounce().dev().within(folder.path()).start().await;
    server.logged(&["serving app.wasm: it is the only component here"]).await;
    let addr = server.addr();
    assert_eq!(client::fetch_path(addr, "/panic").await.status, 200);
    put(Abi::P3.guest("trap"), folder.path().join("app.wasm"));
    eventually("the new one", async || client::fetch_path(addr, "/panic").await.status == 500).await;
    server.logged(&["reloaded"]).await;
    server.stop().await.expect(0, &[]);
}

#[tokio::test]
async fn a_component_that_nobody_names_is_found_or_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = async || pounce().dev().within(folder.path()).run().await;
    run()
        .await
        .expect(2, &["there is no component here", "tip: name its file (pounce dev app.wasm)", "--build"]);
    let target = folder.path().join("target/wasm32-wasip2/debug");
    std::fs::create_dir_all(&target).expect("made");
    for place in [folder.path().join("one.wasm"), target.join("two.wasm")] {
        put(Abi::P2.guest("hello"), place);
    }
    let several =
        ["several components here", "one.wasm", "target/wasm32-wasip2/debug/two.wasm", "tip: name the one"];
    run().await.expect(2, &several);
    // Options of `dev` alone are said to be.
    let serve = pounce().command("serve").guest(Abi::P2, "hello").flag("--build", "true").run().await;
    serve.expect(2, &["--build: unknown flag", "it is for pounce dev"]);
}
