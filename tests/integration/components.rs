//! Several components in one server: each with its own name, settings, resource and share.

use crate::support::client::{self, Connection, Raw};
use crate::support::{Abi, Collector, Protocol, eventually, pounce};
use serde_json::Value;
use std::path::PathBuf;

/// A `pounce.toml` in a folder of its own.
struct Settings {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Settings {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pounce.toml");
        std::fs::write(&path, text).expect("written");
        Self { _folder: folder, path }
    }

    fn folder(&self) -> &std::path::Path {
        self.path.parent().expect("a folder")
    }
}

fn component(name: &str, abi: Abi, guest: &str, more: &str) -> String {
    format!("[[component]]\nname = \"{name}\"\nsource = {:?}\n{more}\n", abi.guest(guest))
}

fn route(component: &str, path: &str) -> String {
    format!("[[route]]\ncomponent = \"{component}\"\npath = \"{path}\"\n")
}

/// Both versions of wasi:http in one server, typed: each request goes where its route leads, and is told as its own.
#[tokio::test]
async fn components_that_are_typed_are_called_as_their_files() {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(Abi::P2, "hello")
        .arg(Abi::P3.guest("echo"))
        .flag("--route", "/hello/{name}=hello")
        .flag("--route", "POST /echo=echo-p3")
        .flag("--otel-semconv", "http")
        .traced(&collector)
        .start()
        .await;
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    assert_eq!(connection.fetch(client::get("/hello/you")).await.text(), "Hello, World!\n");
    assert_eq!(connection.fetch(client::post("/echo", "an echo")).await.text(), "an echo");
    assert_eq!(connection.fetch(client::get("/echo")).await.status, 405);
    assert_eq!(connection.fetch(client::get("/elsewhere")).await.status, 404);
    drop(connection);
    server.stop().await.expect(0, &[]);
    let spans = collector.received();
    let told: Vec<_> = spans
        .iter()
        .map(|span| {
            let service = span.resource["service.name"].to_string();
            (span.text("http.route").to_owned(), span.text("pounce.component").to_owned(), service)
        })
        .collect();
    for expected in
        [("/hello/{name}", "hello", "\"hello\""), ("/echo", "echo-p3", "\"echo-p3\""), ("", "", "\"pounce\"")]
    {
        let (route, component, service) = expected;
        let expected = (route.to_owned(), component.to_owned(), service.to_owned());
        assert!(told.contains(&expected), "{expected:?} is not in {told:?}");
    }
    assert_eq!(told.len(), 4);
    // Metrics have the resources, too: one measurement in each component's.
    let exports = collector.hosts().into_iter().flat_map(|export| export.received.metrics());
    let mut measured: Vec<_> = exports
        .filter(|metric| metric.name == "http.server.request.duration" && !metric.points.is_empty())
        .map(|metric| metric.origin.resource["service.name"].to_string())
        .collect();
    measured.sort();
    measured.dedup();
    assert_eq!(measured, ["\"echo-p3\"", "\"hello\"", "\"pounce\""]);
}

/// What a component says for itself stands above the section and its variable, and below a flag.
#[tokio::test]
async fn each_component_has_settings_of_its_own() {
    let collector = Collector::start().await;
    let own =
        "max-memory = \"16MiB\"\notel.service-name = \"small-service\"\notel.request-headers = [\"x-mine\"]";
    let settings = Settings::new(&format!(
        "{}{}{}{}[guest]\nmax-memory = \"64MiB\"\n",
        component("small", Abi::P2, "hog-memory", own),
        component("large", Abi::P3, "hog-memory", ""),
        route("small", "/small"),
        route("large", "/large"),
    ));
    let server = pounce()
        .arg("--config")
        .arg(&settings.path)
        .env("POUNCE_MAX_MEMORY", "48MiB")
        .traced(&collector)
        .start()
        .await;
    for (path, status) in
        [("/small?mib=8", 200), ("/small?mib=24", 500), ("/large?mib=24", 200), ("/large?mib=56", 500)]
    {
        let answer = client::fetch_path(server.addr(), path).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    let request = client::WithHeader::with(client::get("/small?mib=1"), "x-mine", "yes");
    assert_eq!(client::fetch(server.addr(), Protocol::H1, request).await.status, 200);
    server.stop().await.expect(0, &[]);
    let spans = collector.received();
    let services: std::collections::BTreeSet<_> = spans
        .iter()
        .map(|span| (span.text("pounce.component"), span.resource["service.name"].to_string()))
        .collect();
    let expected = [("large", "\"large\""), ("small", "\"small-service\"")];
    assert_eq!(
        services.into_iter().collect::<Vec<_>>(),
        expected.map(|(name, service)| (name, service.to_owned()))
    );
    assert!(spans.iter().any(|span| span.attributes.contains_key("http.request.header.x-mine")));

    let flagged = pounce().arg("--config").arg(&settings.path).flag("--max-memory", "24MiB").start().await;
    assert_eq!(
        client::fetch_path(flagged.addr(), "/small?mib=18").await.status,
        200,
        "a flag stands above all"
    );
}

/// A component with guests that keep all they can get, for ever, and clients without end: the other is served as ever.
#[tokio::test]
async fn a_component_at_its_limit_does_not_starve_another() {
    const PLACES: usize = 16;
    let settings = Settings::new(&format!(
        "{}{}{}{}",
        component("greedy", Abi::P3, "slow", "isolation = \"request\""),
        component("modest", Abi::P3, "hello", "isolation = \"request\""),
        route("greedy", "/greedy"),
        route("modest", "/modest"),
    ));
    let mut server = pounce()
        .arg("--config")
        .arg(&settings.path)
        .flag("--max-in-flight", PLACES)
        .flag("--max-in-flight-per-peer", PLACES)
        .flag("--request-timeout", "none")
        .with_admin()
        .start()
        .await;
    let mut held = Vec::new();
    for _ in 0..PLACES {
        let mut raw = Raw::open(server.addr()).await;
        raw.write("GET /greedy?ms=600000 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        held.push(raw);
    }
    // Its own four, and the eight that are whose who comes first.
    server.in_flight(12).await;
    for _ in 0..4 {
        let shed = client::fetch_path(server.addr(), "/greedy?ms=0").await;
        assert_eq!((shed.status.as_u16(), shed.header("retry-after")), (503, "1"));
    }
    let modest: Vec<_> = (0..50).map(|_| client::fetch_path(server.addr(), "/modest")).collect();
    for answer in modest {
        assert_eq!(answer.await.text(), "Hello, World!\n");
    }
    let page = client::fetch_path(server.admin().await, "/metrics").await;
    let is_shed =
        |line: &&str| line.starts_with("pounce_requests_shed_total") && line.contains("\"component\"");
    let shed: u64 = page
        .text()
        .lines()
        .filter(is_shed)
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(shed, 8, "{}", page.text());
}

/// Memory that one component hoards the other does not lack.
#[tokio::test]
async fn a_component_that_hoards_memory_leaves_others_theirs() {
    let settings = Settings::new(&format!(
        "{}{}{}{}[guest]\nmax-total-memory = \"160MiB\"\nmax-memory = \"64MiB\"\nisolation = \"request\"\n",
        component("greedy", Abi::P2, "hog-memory", ""),
        component("modest", Abi::P3, "hog-memory", ""),
        route("greedy", "/greedy"),
        route("modest", "/modest"),
    ));
    let server = pounce()
        .arg("--config")
        .arg(&settings.path)
        .flag("--max-in-flight-per-peer", 1024)
        .flag("--request-timeout", "none")
        .start()
        .await;
    let addr = server.addr();
    // 160 MiB: it may have 120, and no four times 32 beside what instances begin with.
    let mut held = Vec::new();
    eventually("it to have all that it may", async || {
        let is_full = client::fetch_path(addr, "/greedy?mib=32&ms=0").await.status == 503;
        if !is_full {
            // One after the other: several at once may leave each other too little.
            held.push(tokio::spawn(client::fetch_path(addr, "/greedy?mib=32&ms=600000")));
        }
        is_full
    })
    .await;
    for _ in 0..10 {
        assert_eq!(client::fetch_path(addr, "/modest?mib=16").await.status, 200);
    }
    held.iter().for_each(|request| request.abort());
}

/// One that is lazy is loaded when it is asked for, once; one that cannot be loaded is a 503 and a line of the log, and is
/// served when its file is there.
#[tokio::test]
async fn a_lazy_component_is_loaded_when_it_is_asked_for() {
    let settings = Settings::new(&format!(
        "{}{}[[component]]\nname = \"missing\"\nsource = \"missing.wasm\"\nlazy = true\n{}{}{}",
        component("eager", Abi::P2, "hello", ""),
        component("late", Abi::P3, "hello", "lazy = true"),
        route("eager", "/eager"),
        route("late", "/late"),
        route("missing", "/missing"),
    ));
    let mut server = pounce().arg("--config").arg(&settings.path).with_admin().start().await;
    let admin = server.admin().await;
    let loaded = async || {
        let status = client::fetch_json(admin, "/status").await;
        let all = status["components"].as_array().expect("components").clone();
        all.iter().map(|one| one["loaded"].as_bool().expect("a boolean")).collect::<Vec<_>>()
    };
    assert_eq!(loaded().await, [true, false, false]);
    let asked: Vec<_> = (0..8).map(|_| tokio::spawn(client::fetch_path(server.addr(), "/late"))).collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap().text(), "Hello, World!\n");
    }
    assert_eq!(client::fetch_path(server.addr(), "/eager").await.status, 200);
    assert_eq!(loaded().await, [true, true, false]);

    let answer = client::fetch_path(server.addr(), "/missing").await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
    assert_eq!(client::fetch_path(server.addr(), "/eager").await.status, 200, "the others are served");
    std::fs::copy(Abi::P2.guest("hello"), settings.folder().join("missing.wasm")).expect("copied");
    eventually("it to be tried again", async || {
        client::fetch_path(server.addr(), "/missing").await.status == 200
    })
    .await;
    let exit = server.stop().await;
    exit.expect(0, &[]);
    let count = |text: &str| exit.stderr.lines().filter(|line| line.contains(text)).count();
    assert_eq!(count("there is no such file"), 1, "{exit}");
    assert_eq!(count("a request asks for the component"), 3, "late once, and missing twice: {exit}");
}

/// What is wrong with components and routes is told at the start, all of it.
#[tokio::test]
async fn mistakes_in_components_are_told_at_the_start() {
    let hello = Abi::P2.guest("hello");
    let several = pounce().component(&hello).arg(Abi::P2.guest("echo")).run().await;
    several.expect(2, &["no route leads to the component `hello`, `echo`", "--route '/path/{*rest}=hello'"]);
    let unknown = pounce()
        .component(&hello)
        .arg(Abi::P2.guest("echo"))
        .flag("--route", "/a=hello")
        .flag("--route", "/b=ehco")
        .run()
        .await;
    unknown.expect(
        2,
        &["no route leads to the component `echo`", "name one of those that there are: hello, echo"],
    );
    let twice = pounce().component(&hello).arg(&hello).flag("--route", "/a=hello").run().await;
    twice.expect(2, &["two components are called `hello`"]);

    let settings = Settings::new(&format!(
        "[[component]]\nname = \"one\"\nsource = \"one.wasm\"\n[[component]]\nname = \"two\"\nsource = \"two.wasm\"\n{}{}",
        route("one", "/one"),
        route("two", "/two"),
    ));
    let missing = pounce().arg("--config").arg(&settings.path).run().await;
    missing.expect(2, &["one.wasm` cannot be served: there is no such file", "two.wasm` cannot be served"]);

    let settings = Settings::new(&format!(
        "{}{}{}{}",
        component("one", Abi::P2, "hello", "reuse = 0\notel.endpoint = \"http://c:4318\""),
        component("two", Abi::P2, "hello", "max-memory = \"none\""),
        route("one", "/one"),
        route("two", "/two"),
    ));
    let values = pounce().arg("--config").arg(&settings.path).run().await;
    let place = settings.path.display();
    let flaw = format!("{place}:5:6: `otel.endpoint` is for all components");
    values.expect(2, &[&flaw, "guest.max-memory"]);
}

/// `check` shows each with what it has of its own, the routes to it, and all its mistakes.
#[tokio::test]
async fn check_shows_all_components() {
    let settings = Settings::new(&format!(
        "{}{}{}{}",
        component("one", Abi::P2, "hello", "max-memory = \"16MiB\"\nlazy = true"),
        component("two", Abi::P3, "hello", ""),
        route("one", "/one"),
        route("two", "/two/{*rest}"),
    ));
    let exit = pounce().command("check").arg("--config").arg(&settings.path).run().await;
    exit.expect(0, &[]);
    for told in
        ["guest.max-memory  16MiB", "/one=one", "/two/{*rest}=two", "loaded when a request asks for it"]
    {
        assert!(exit.stdout.contains(told), "{told}: {exit}");
    }
    let exit =
        pounce().command("check").arg("--config").arg(&settings.path).flag("--format", "json").run().await;
    let report: Value = serde_json::from_str(&exit.stdout).expect("JSON");
    let of = |key: &str| {
        let components = report["components"].as_array().expect("components");
        components.iter().map(|one| one[key].clone()).collect::<Vec<_>>()
    };
    assert_eq!(of("name"), ["one", "two"]);
    assert_eq!(of("kind"), ["wasi:http 0.2", "wasi:http 0.3"]);
    assert_eq!(report["components"][0]["settings"][0]["key"], "guest.max-memory");
    assert_eq!(
        (of("lazy"), &report["component"]["name"]),
        (vec![true.into(), false.into()], &Value::from("one"))
    );
}
