//! What is refused before anything is served: exit status, and a message that says what to do.

use crate::support::guest::{built, fixture};
use crate::support::{Abi, pounce};
use std::net::TcpListener;
use std::path::Path;

#[tokio::test]
async fn a_core_module_is_named_as_one() {
    let exit = pounce().fixture("core-module.wat").run().await;
    exit.expect(
        2,
        &["core-module.wat", "core module", "component", "wasm32-wasip2|wasm-tools component new"],
    );
    assert_eq!(exit.stdout, "", "it was never ready");
}

#[tokio::test]
async fn a_command_is_sent_to_wasmtime_run() {
    pounce().fixture("command.wat").run().await.expect(2, &["command.wat", "wasi:cli/run", "wasmtime run"]);
}

#[tokio::test]
async fn a_component_without_a_handler_is_told_what_it_exports() {
    let exit = pounce().fixture("no-exports.wat").run().await;
    exit.expect(2, &["no-exports.wat", "acme:sums/add@1.0.0", "wasi:http"]);
}

#[tokio::test]
async fn a_release_candidate_must_be_rebuilt() {
    let exit = pounce().fixture("release-candidate.wat").run().await;
    exit.expect(2, &["wasi:http/handler@0.3.0-rc-2026-02-09", "release candidate", "rebuil"]);
}

/// Threads and garbage collection are no part of what guests may use.
#[tokio::test]
async fn a_proposal_that_is_off_is_named() {
    let modules = [
        ("threads", "(core module $odd (memory 1 2 shared))"),
        ("threads", "(core module $odd (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))"),
        ("gc", "(core module $odd (type $s (struct (field i32))) (func (param (ref null $s))))"),
    ];
    let whole = std::fs::read_to_string(fixture("status.wat")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("odd.wat");
    for (proposal, module) in modules {
        std::fs::write(&path, whole.replacen("(component\n", &format!("(component\n{module}"), 1)).unwrap();
        pounce().component(&path).run().await.expect(2, &["odd.wat", "does not compile", proposal]);
    }
}

/// All of them in one go, each with what to do about it.
#[tokio::test]
async fn every_missing_import_is_listed() {
    let imports = r#"
        (import "acme:store/reader@1.0.0" (instance (export "get" (func (param "key" string) (result string)))))
        (import "acme:store/writer@1.0.0" (instance (export "put" (func (param "key" string)))))
        (import "wasi:keyvalue/atomics@0.2.0-draft" (instance (export "swap" (func))))
        (import "wasi:http/types@0.3.0-rc-2026-02-09" (instance (export "check" (func))))
    "#;
    let whole = std::fs::read_to_string(fixture("status.wat")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("greedy.wat");
    std::fs::write(&path, whole.replacen("(component\n", &format!("(component\n{imports}"), 1)).unwrap();
    let exit = pounce().component(&path).run().await;
    exit.expect(
        2,
        &[
            "greedy.wat",
            "acme:store/reader@1.0.0",
            "acme:store/writer@1.0.0",
            "compose|wac plug",
            "wasi:keyvalue/atomics@0.2.0-draft",
            "wasi:http/types@0.3.0-rc-2026-02-09",
            "release candidate",
        ],
    );
    let innocent = "wasi:http/types@0.2.0`";
    assert!(!exit.stderr.contains(innocent), "{innocent} is there\n{exit}");
}

#[tokio::test]
async fn what_is_no_component_file_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let cut = std::fs::read(built(&Abi::P2.stem("hello"))).unwrap();
    for (path, parts) in [
        (file("page.wasm", b"<!doctype html><p>not found"), &["page.wasm", "not|no", "WebAssembly|wasm"][..]),
        (file("empty.wasm", b""), &["empty.wasm", "empty"]),
        (file("cut.wasm", &cut[..cut.len() / 2]), &["cut.wasm", "valid|end|truncated"]),
        (file("typo.wat", b"(component (import \"a\")"), &["typo.wat", "1:|line|mistake"]),
        (dir.path().to_owned(), &["directory"]),
        (dir.path().join("absent.wasm"), &["absent.wasm", "no such|not found|does not exist"]),
        // Reading it fails even for root: a file mode would not stop the tests of a container.
        (Path::new("/proc/self/mem").to_owned(), &["/proc/self/mem", "read|input/output"]),
    ] {
        let exit = pounce().component(&path).run().await;
        exit.expect(2, parts);
        assert!(exit.stderr.contains(path.to_str().unwrap()), "which file?\n{exit}");
    }
}

#[tokio::test]
async fn a_malformed_endpoint_costs_data_and_is_refused() {
    for endpoint in ["localhost:4318", "http://", "ftp://localhost:4318", "http://[::1", "http://localhost:x"]
    {
        let exit = pounce().fixture("status.wat").flag("--otel-endpoint", endpoint).run().await;
        exit.expect(2, &["otel-endpoint", endpoint]);
        let exit = pounce().fixture("status.wat").env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).run().await;
        exit.expect(2, &["OTEL_EXPORTER_OTLP_ENDPOINT", endpoint]);
    }
}

#[tokio::test]
async fn a_malformed_sampler_argument_costs_money_and_is_refused() {
    for argument in ["10%", "1.5", "-0.1", "nan", "a tenth"] {
        let exit = pounce()
            .fixture("status.wat")
            .env("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
            .env("OTEL_TRACES_SAMPLER_ARG", argument)
            .run()
            .await;
        exit.expect(2, &["OTEL_TRACES_SAMPLER_ARG", argument]);
        let exit = pounce().fixture("status.wat").arg(format!("--otel-sample={argument}")).run().await;
        exit.expect(2, &["otel-sample", argument]);
    }
}

#[tokio::test]
async fn an_unknown_word_gets_a_suggestion() {
    let exit = pounce().fixture("status.wat").flag("--max-inflight", 5).run().await;
    exit.expect(2, &["--max-inflight", "--max-in-flight"]);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pounce.toml");
    std::fs::write(&file, "[http]\nmax-in-fligth = 5\n[htpp]\n").unwrap();
    let exit = pounce().fixture("status.wat").flag("--config", file.display()).run().await;
    exit.expect(2, &["pounce.toml", "max-in-fligth", "max-in-flight", "htpp", "http"]);
}

#[tokio::test]
async fn all_mistakes_are_told_in_one_go() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pounce.toml");
    std::fs::write(&file, "[http]\nmax-request-body = \"64MB of it\"\n[guest]\nisolation = \"some\"\n")
        .unwrap();
    let exit = pounce()
        .fixture("status.wat")
        .flag("--config", file.display())
        .flag("--header-timeout", "soon")
        .flag("--lissten", "127.0.0.1:0")
        .env("POUNCE_MAX_IN_FLIGHT", "many")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere")
        .run()
        .await;
    exit.expect(
        2,
        &[
            "max-request-body",
            "64MB of it",
            "isolation",
            "some",
            "--header-timeout",
            "soon",
            "--lissten",
            "--listen",
            "POUNCE_MAX_IN_FLIGHT",
            "many",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "nowhere",
        ],
    );
}

#[tokio::test]
async fn no_component_is_a_usage_mistake() {
    let exit = pounce().run().await;
    exit.expect(2, &["COMPONENT|component"]);
    assert_eq!(exit.stdout, "");
}

#[tokio::test]
async fn a_busy_port_is_said_with_its_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let exit = pounce().fixture("status.wat").without_listen().flag("--listen", addr).run().await;
    exit.expect(1, &[&addr.to_string(), "in use"]);
    assert_eq!(exit.stdout, "", "it was never ready");
}

/// A component that traps while it starts would fail every request: better to say so at once.
#[tokio::test]
async fn a_component_that_cannot_start_is_refused() {
    let whole = std::fs::read_to_string(fixture("status.wat")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stillborn.wat");
    let handle = r#"(func (export "handle") (param $request i32)"#;
    let start = "(func $start unreachable) (start $start)";
    let broken = whole.replacen(handle, &format!("{start} {handle}"), 1);
    assert_ne!(broken, whole);
    std::fs::write(&path, broken).unwrap();
    pounce().component(&path).run().await.expect(2, &["stillborn.wat", "unreachable"]);
}

/// The file of a socket that was bound before the component was read goes with it.
#[tokio::test]
async fn no_socket_file_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("pounce.sock");
    let listen = format!("unix:{}", socket.display());
    let exit = pounce().fixture("core-module.wat").without_listen().flag("--listen", listen).run().await;
    exit.expect(2, &["core module"]);
    assert!(!socket.exists(), "the socket file is left behind");
}

/// A `status.wat` with another memory, in a folder of its own.
fn with_memory(memory: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let whole = std::fs::read_to_string(fixture("status.wat")).unwrap();
    let changed = whole.replacen(r#"(memory (export "memory") 1)"#, memory, 1);
    assert_ne!(changed, whole);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("memory.wat");
    std::fs::write(&path, changed).unwrap();
    (dir, path)
}

#[tokio::test]
async fn a_component_that_needs_more_memory_than_it_gets_is_told_how_much() {
    let (_dir, path) = with_memory(r#"(memory (export "memory") 64)"#);
    let exit = pounce().component(&path).flag("--max-memory", "1MiB").run().await;
    exit.expect(2, &["memory.wat", "at least 4MiB", "--max-memory"]);
}

#[tokio::test]
async fn a_memory_of_64_bits_is_named_as_one() {
    let (_dir, path) = with_memory(r#"(memory (export "memory") i64 1)"#);
    pounce().component(&path).run().await.expect(2, &["memory.wat", "memory64", "wasm32"]);
}

/// More than there can be slots for: it serves, and says how many at once.
#[tokio::test]
async fn fewer_requests_in_flight_than_asked_for_are_said() {
    let mut server = pounce().fixture("status.wat").flag("--max-in-flight", 100_000).start().await;
    server.logged(&["100000", "requests at once are served"]).await;
}
