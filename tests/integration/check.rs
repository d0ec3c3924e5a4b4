//! `pounce check`: every setting with its source, the component, and all mistakes of both in one run.

use crate::support::guest::fixture;
use crate::support::{Abi, pounce};
use serde_json::Value;
use std::net::TcpListener;

/// The row of a setting, its blanks made one.
fn row(report: &str, name: &str) -> String {
    let rows = report.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let found: Vec<String> = rows.filter(|row| row.starts_with(&format!("{name} "))).collect();
    assert_eq!(found.len(), 1, "rows of {name} in\n{report}");
    found.into_iter().next().unwrap()
}

#[tokio::test]
async fn every_setting_says_who_set_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pounce.toml");
    std::fs::write(&file, "[http]\nmax-in-flight = 7\n[guest]\nreuse = 3\n").unwrap();
    let exit = pounce()
        .command("check")
        .flag("--config", file.display())
        .flag("--reuse", 4)
        .env("POUNCE_LOG_LEVEL", "debug")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
        .env("OTEL_BLRP_SCHEDULE_DELAY", "2500")
        .env("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "logs/dup")
        .run()
        .await;
    exit.expect(0, &[]);
    let row = |name| row(&exit.stdout, name);
    assert_eq!(row("max-in-flight"), format!("max-in-flight 7 {}:2:17", file.display()));
    assert_eq!(row("reuse"), "reuse 4 --reuse");
    assert_eq!(row("level"), "level debug POUNCE_LOG_LEVEL");
    assert_eq!(row("endpoint"), "endpoint http://collector:4318/v1/traces OTEL_EXPORTER_OTLP_ENDPOINT");
    assert_eq!(row("header-timeout"), "header-timeout 10s default");
    // What no option says, by the name of its variable.
    const EXCEPTIONS: &str = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN";
    assert_eq!(row(EXCEPTIONS), format!("{EXCEPTIONS} logs/dup {EXCEPTIONS}"));
    assert_eq!(row("OTEL_BLRP_SCHEDULE_DELAY"), "OTEL_BLRP_SCHEDULE_DELAY 2500ms OTEL_BLRP_SCHEDULE_DELAY");
    assert_eq!(
        row("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"),
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT http://collector:4318/v1/logs OTEL_EXPORTER_OTLP_ENDPOINT"
    );
    assert!(exit.stdout.contains("no component was given"), "{exit}");
}

#[tokio::test]
async fn secrets_are_never_printed() {
    let check = || {
        pounce()
            .command("check")
            .guest(Abi::P2, "hello")
            .flag("--env", "TOKEN=hunter2")
            .flag("--wasi-config", "setting=hunter2")
            .flag("--otel-headers", "x-key=hunter2")
            .env("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "api-key=hunter2,hunter2")
            .env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://m.example/?key=hunter2")
            .flag("--otel-endpoint", "https://x.example/?key=hunter2")
    };
    for exit in [check().run().await, check().flag("--format", "json").run().await] {
        exit.expect(0, &[]);
        assert!(!exit.stdout.contains("hunter2") && !exit.stderr.contains("hunter2"), "{exit}");
        for shown in ["TOKEN=…", "setting=…", "x-key=…", "api-key=…", "https://m.example/?…"] {
            assert!(exit.stdout.contains(shown), "{shown}: {exit}");
        }
    }
    let exit = pounce().command("check").flag("--otel-endpoint", "http://user:hunter2@x").run().await;
    exit.expect(2, &["--otel-endpoint", "user name"]);
    assert!(!exit.stdout.contains("hunter2") && !exit.stderr.contains("hunter2"), "{exit}");
}

#[tokio::test]
async fn the_component_is_described_and_nothing_of_it_runs() {
    // A busy port, which nobody needs here.
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = busy.local_addr().unwrap();
    for abi in [Abi::P2, Abi::P3] {
        let exit = pounce().command("check").guest(abi, "calls").flag("--listen", listen).run().await;
        exit.expect(0, &[]);
        let (kind, isolation, call) = match abi {
            Abi::P2 => ("wasi:http 0.2", "request: a fresh instance", "wasi:http/outgoing-handler@0.2"),
            Abi::P3 => {
                ("wasi:http 0.3", "instance: 128 requests in each, 16 at once", "wasi:http/client@0.3")
            }
        };
        assert!(exit.stdout.contains(kind) && exit.stdout.contains(isolation), "{exit}");
        assert!(
            exit.stdout.contains("(the default)") && exit.stdout.contains("slots for 1160 at once"),
            "{exit}"
        );
        assert!(exit.stdout.contains("of each instance at first, 128.0 MiB at most"), "{exit}");
        let import = exit.stdout.lines().find(|line| line.contains(call)).unwrap();
        assert!(import.contains("refused") && import.contains("guest.allow-outbound"), "{import}");
        assert_eq!(exit.stderr, "");
    }
    let allowed = pounce().command("check").guest(Abi::P2, "calls").flag("--allow-outbound", "*.example.com");
    let exit = allowed.run().await;
    let import = exit.stdout.lines().find(|line| line.contains("outgoing-handler")).unwrap();
    assert!(import.contains("import     ok") && import.contains("may call *.example.com"), "{import}");
    // Its start function traps, which only who runs it finds out.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("starts.wat");
    let whole = std::fs::read_to_string(fixture("status.wat")).unwrap();
    let start = "(core module $starts (func unreachable) (start 0))\n(core instance (instantiate $starts))";
    std::fs::write(&path, whole.replacen("(component\n", &format!("(component\n{start}"), 1)).unwrap();
    pounce().command("check").component(&path).run().await.expect(0, &[]);
    pounce().component(&path).run().await.expect(2, &["no instance"]);
}

/// What instances take is added up, and told where it is more than there is.
#[tokio::test]
async fn memory_that_is_too_little_for_all_places_is_a_warning() {
    let check = |abi| {
        let server = pounce().command("check").guest(abi, "hello");
        server.flag("--max-total-memory", "64MiB").flag("--format", "json")
    };
    // Sixteen requests share an instance of 0.3, and 64 of these are enough for all places.
    for (abi, needed) in [(Abi::P2, 1024), (Abi::P3, 64)] {
        let exit = check(abi).run().await;
        let report: serde_json::Value = serde_json::from_str(&exit.stdout).unwrap();
        let instance = &report["component"]["instance"];
        let fit = instance["fit_in_total_memory"].as_u64().unwrap();
        assert_eq!(fit, (64 << 20) / instance["least_memory"].as_u64().unwrap(), "{instance}");
        assert!(fit < needed, "{instance}");
        let warnings = report["warnings"].to_string();
        let expected = format!("memory for {fit} instances, and 1024 requests at once need {needed}");
        assert!(warnings.contains(&expected), "{warnings}");
    }
    let exit = check(Abi::P3).flag("--max-in-flight", 16).run().await;
    assert!(!exit.stdout.contains("memory for"), "{exit}");
}

#[tokio::test]
async fn mistakes_of_settings_and_component_are_told_in_one_run() {
    let imports = r#"
        (import "acme:store/reader@1.0.0" (instance (export "get" (func (param "key" string) (result string)))))
        (import "wasi:keyvalue/atomics@0.2.0-draft" (instance (export "swap" (func))))
        (core module (memory 3))
    "#;
    let whole = std::fs::read_to_string(fixture("status.wat")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("greedy.wat");
    std::fs::write(&path, whole.replacen("(component\n", &format!("(component\n{imports}"), 1)).unwrap();
    let check = || {
        pounce()
            .command("check")
            .component(&path)
            .flag("--lissten", ":0")
            .flag("--max-memory", "64KiB")
            .flag("--otel-sample", "7")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")
            .env("OTEL_BSP_SCHEDULE_DELAY", "soon")
    };
    let parts = [
        "--lissten",
        "did you mean --listen",
        "--otel-sample",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "acme:store/reader@1.0.0",
        "wac plug",
        "wasi:keyvalue/atomics@0.2.0-draft",
        "raise --max-memory",
    ];
    let exit = check().run().await;
    exit.expect(2, &parts);
    assert!(exit.stdout.contains("6 mistakes"), "{exit}");
    assert!(exit.stdout.contains("missing  acme:store/reader@1.0.0"), "{exit}");
    assert!(exit.stdout.contains("warning: OTEL_BSP_SCHEDULE_DELAY: `soon`"), "{exit}");
    assert_eq!(row(&exit.stdout, "sample"), "sample (not valid) --otel-sample");
    assert_eq!(row(&exit.stdout, "endpoint"), "endpoint (not valid) OTEL_EXPORTER_OTLP_ENDPOINT");

    let exit = check().flag("--format", "json").run().await;
    exit.expect(2, &parts);
    let report: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["mistakes"].as_array().unwrap().len(), 6);
    assert_eq!(report["warnings"].as_array().unwrap().len(), 1);
    let imports = report["component"]["imports"].as_array().unwrap();
    let states: Vec<&str> = imports.iter().map(|import| import["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "missing").count(), 2, "{states:?}");
}

/// What serving refuses, checking refuses for the same reason.
#[tokio::test]
async fn what_cannot_be_served_does_not_pass() {
    for (name, part) in [
        ("core-module.wat", "core module"),
        ("command.wat", "wasmtime run"),
        ("no-exports.wat", "acme:sums/add@1.0.0"),
        ("release-candidate.wat", "release candidate"),
    ] {
        let exit = pounce().command("check").fixture(name).run().await;
        exit.expect(2, &[name, part]);
        assert!(exit.stdout.contains("[http]") && exit.stdout.contains("1 mistake"), "{exit}");
    }
    pounce()
        .command("check")
        .component("absent.wasm")
        .run()
        .await
        .expect(2, &["absent.wasm", "no such file"]);
}

#[tokio::test]
async fn a_warning_is_no_mistake() {
    let exit = pounce().command("check").env("POUNCE_LISSTEN", "1").run().await;
    exit.expect(0, &[]);
    assert!(exit.stdout.contains("warning: POUNCE_LISSTEN sets nothing"), "{exit}");
}

#[tokio::test]
async fn the_report_for_machines_has_every_setting() {
    let exit = pounce().command("check").guest(Abi::P3, "hello").flag("--format", "json").run().await;
    exit.expect(0, &[]);
    let report: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!(report["ok"], true);
    assert_eq!(report["component"]["kind"], "wasi:http 0.3");
    let of = |key: &str| {
        let settings = report["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["key"] == key).unwrap_or_else(|| panic!("{key}")).clone()
    };
    assert_eq!(of("http.max-in-flight")["value"], "1024");
    assert_eq!(of("guest.reuse")["source"], "default");
    assert_eq!(of("OTEL_METRIC_EXPORT_INTERVAL")["value"], "1m");
}

/// Before anything is bound, and with both settings named; serving says the same.
#[tokio::test]
async fn one_address_for_clients_and_operators_is_a_mistake() {
    for (listen, admin) in [
        ("127.0.0.1:18080", "127.0.0.1:18080"),
        ("0.0.0.0:18080", "127.0.0.1:18080"),
        ("127.0.0.1:18080", "[::]:18080"),
        ("unix:/nowhere/a.sock", "unix:/nowhere/a.sock"),
    ] {
        for command in ["check", "serve"] {
            let exit = pounce()
                .command(command)
                .guest(Abi::P2, "hello")
                .flag("--listen", listen)
                .flag("--admin-listen", admin)
                .run()
                .await;
            exit.expect(2, &["--admin-listen: ", "--listen (http.listen)", listen, admin]);
            assert!(!exit.stderr.contains("another process"), "{exit}");
        }
    }
    let twice =
        pounce().command("check").flag("--listen", "0.0.0.0:18080").flag("--listen", "127.0.0.1:18080");
    twice.run().await.expect(2, &["--listen: ", "`127.0.0.1:18080` takes what `0.0.0.0:18080` has taken"]);
}

/// A name may have several addresses: whether they are the same is known when they are bound.
#[tokio::test]
async fn an_address_that_the_server_itself_has_taken_is_told_as_such() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let exit = pounce()
        .without_listen()
        .guest(Abi::P2, "hello")
        .flag("--listen", format!("[::]:{}", free.port()))
        .flag("--admin-listen", format!("localhost:{}", free.port()))
        .run()
        .await;
    exit.expect(1, &["this server listens there itself", "`--listen`", "`--admin-listen`"]);
}

/// Whatever is named as a file is read as far as such a file may go, and what is wrong with it is said.
#[tokio::test]
async fn files_without_an_end_are_refused() {
    const ZERO: &str = "/dev/zero";
    let exit = pounce()
        .command("check")
        .component(ZERO)
        .flag("--env", format!("TOKEN=@{ZERO}"))
        .flag("--otel-endpoint", "https://collector.example")
        .flag("--otel-certificate", ZERO)
        .run()
        .await;
    let (component, env, certificate) = ("larger than 256 MiB", "TOKEN=@/dev/zero", "--otel-certificate");
    exit.expect(2, &[component, "strip", env, certificate]);
    assert_eq!(exit.stderr.matches("is larger than 1 MiB").count(), 2, "{exit}");
    let exit = pounce().command("check").flag("--config", ZERO).run().await;
    exit.expect(2, &["/dev/zero: is larger than 1 MiB", "--config"]);
    for command in ["check", "serve"] {
        let exit = pounce().command(command).component(ZERO).run().await;
        exit.expect(2, &["/dev/zero", "larger than 256 MiB"]);
    }
}

/// A component may come through a pipe, as shells make one of `<(cat app.wasm)`.
#[tokio::test]
async fn a_component_may_be_a_pipe() {
    let script = r#"exec "$0" "$1" <(cat "$2")"#;
    let hello = Abi::P2.guest("hello");
    let exit = std::process::Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_pounce"), "check"])
        .arg(hello)
        .output()
        .unwrap();
    assert!(exit.status.success(), "{}", String::from_utf8_lossy(&exit.stderr));
}

#[tokio::test]
async fn slips_in_proxies_and_header_names_are_mistakes() {
    let check = || pounce().command("check").flag("--otel-endpoint", "http://collector.example");
    for (variable, value) in
        [("HTTP_PROXY", "-1"), ("https_proxy", "http://u:hunter2@:3128"), ("ALL_PROXY", "socks5://h:0")]
    {
        let exit = check().env(variable, value).run().await;
        exit.expect(2, &[variable, "http://HOST:PORT"]);
        assert!(!format!("{exit}").contains("hunter2"), "{exit}");
    }
    // Nobody goes that way.
    pounce().command("check").env("HTTP_PROXY", "-1").run().await.expect(0, &[]);
    for flag in ["--otel-request-headers", "--otel-response-headers"] {
        check().flag(flag, "*").run().await.expect(2, &[flag, "is a pattern", "name each header"]);
        check().flag(flag, "$NAME").run().await.expect(2, &[flag, "is not the name of a header"]);
    }
}

/// WASI 0.3.1 lets a component name its imports as it likes (`implements`). What cannot be linked then is said by name.
#[tokio::test]
async fn an_interface_under_another_name_is_linked_or_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("named.wat");
    let whole = std::fs::read_to_string(fixture("status.wat")).unwrap();
    let import = r#"(import "mine" (implements "wasi:cli/environment@0.2.0") (instance))"#;
    std::fs::write(&path, whole.replacen("(component\n", &format!("(component\n{import}"), 1)).unwrap();
    for command in ["check", "serve"] {
        let exit = pounce().command(command).component(&path).run().await;
        exit.expect(2, &["`mine`", "`wasi:cli/environment@0.2.0` under another name", "WASI 0.3.1"]);
    }
}
