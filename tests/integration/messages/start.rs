//! What is said before anything is served.

use super::{matches, settled};
use crate::support::guest::fixture;
use crate::support::pounce::Builder;
use crate::support::{Abi, pounce};
use std::path::Path;

/// A folder with what a new user may take for a component.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("written");
    write("app.wasm", &std::fs::read(Abi::P2.guest("hello")).expect("read"));
    write("page.wasm", b"<!doctype html><title>404</title>");
    write("empty.wasm", b"");
    write("module.wat", b"(module)");
    write("preview1.wat", br#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#);
    write("browser.wat", br#"(module (import "__wbindgen_placeholder__" "__wbindgen_throw" (func)))"#);
    for name in ["command.wat", "no-exports.wat", "release-candidate.wat"] {
        write(name, &std::fs::read(fixture(name)).expect("read"));
    }
    let whole = std::fs::read_to_string(fixture("status.wat")).expect("read");
    let imports = r#"
        (import "acme:store/reader@1.0.0" (instance (export "get" (func (param "key" string) (result string)))))
        (import "wasi:keyvalue/atomics@0.2.0-draft" (instance (export "swap" (func))))
    "#;
    write("imports.wat", whole.replacen("(component\n", &format!("(component\n{imports}"), 1).as_bytes());
    write(
        "typo.toml",
        b"[http]\nlissten = \"127.0.0.1:80\"\nidle-timeout = 30\n\n[guest]\nmax-memroy = \"64MiB\"\n",
    );
    write("broken.toml", b"[http]\nlisten = 127.0.0.1:80\n");
    folder
}

/// What each of these command lines comes to.
async fn said(folder: &Path, command: impl Fn() -> Builder) -> String {
    let component = |name: &'static str| (name, vec![name.to_owned()]);
    let flags = |name: &'static str, flags: &[&str]| {
        (name, ["app.wasm"].iter().chain(flags).map(|flag| (*flag).to_owned()).collect::<Vec<_>>())
    };
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let busy = holder.local_addr().expect("an address").to_string();
    let cases = [
        component("ap.wasm"),
        component("page.wasm"),
        component("empty.wasm"),
        component("module.wat"),
        component("preview1.wat"),
        component("browser.wat"),
        component("command.wat"),
        component("no-exports.wat"),
        component("release-candidate.wat"),
        component("imports.wat"),
        flags("a port that is taken", &["--listen", &busy]),
        flags("an address that is not ours", &["--listen", "192.0.2.1:8080"]),
        flags("an endpoint without a scheme", &["--otel-endpoint", "localhost:4318"]),
        flags("an endpoint that is none", &["--otel-endpoint", "http://"]),
        flags("flags with typos", &["--lissten", "127.0.0.1:0", "--max_memory=64MiB", "--xyzzy"]),
        flags(
            "values that are none",
            &["--max-memory", "64", "--idle-timeout", "soon", "--allow-outbound", "ftp://a"],
        ),
        flags("a file with typos", &["--config", "typo.toml"]),
        flags("a file that is no TOML", &["--config", "broken.toml"]),
        flags("a file that is not there", &["--config", "missing.toml"]),
    ];
    let mut all = String::new();
    for (name, args) in cases {
        let builder =
            args.iter().fold(command().within(folder).without_listen(), |builder, arg| builder.arg(arg));
        let builder = if args.iter().any(|arg| arg == "--listen") {
            builder
        } else {
            builder.arg("--listen=127.0.0.1:0")
        };
        let exit = builder.run().await;
        assert_eq!(exit.stdout, "", "{name} is served");
        // In a pipe the log is JSON; mistakes are text everywhere.
        let lines = exit.stderr.lines().filter(|line| !line.starts_with('{'));
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        let code = exit.code.expect("an exit status");
        all.push_str(&format!("# {name} (exit status {code})\n{lines}\n"));
    }
    settled(&all)
}

/// Both commands say the same, but for what nobody has named.
#[tokio::test]
async fn what_cannot_be_served_is_explained() {
    let folder = folder();
    let serve = said(folder.path(), || pounce().command("serve")).await;
    matches("start", &serve);
    assert_eq!(said(folder.path(), || pounce().dev()).await, serve);
    let nothing = tempfile::tempdir().expect("a folder");
    let mut all = String::new();
    for (name, builder) in [("serve", pounce().command("serve")), ("dev", pounce().dev())] {
        let exit = builder.within(nothing.path()).run().await;
        let lines: String = exit
            .stderr
            .lines()
            .filter(|line| !line.starts_with('{'))
            .map(|line| format!("{line}\n"))
            .collect();
        all.push_str(&format!("# pounce {name}, without a component\n{lines}\n"));
    }
    matches("nothing", &all);
}
