//! Every page: its form, who may see it, and that the main listener has none of them.

use super::{ask, json, metrics, sample, with_admin};
use crate::support::client::{self, Raw, WithHeader};
use crate::support::{Abi, Collector, Protocol, eventually, pounce};
use http::Method;
use serde_json::Value;

const PATHS: [&str; 9] = [
    "/livez",
    "/readyz",
    "/status",
    "/metrics",
    "/traces",
    "/api/traces",
    "/api/traces/summary",
    "/api/traces/outline?trace_id=0af7651916cd43dd8448eb211c80319c",
    "/api/logs?trace_id=0af7651916cd43dd8448eb211c80319c",
];

/// Each key with those below it, as a document would list them.
fn shape(value: &Value, path: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| shape(value, &format!("{path}.{key}"), out));
        }
        Value::Array(all) => all.iter().take(1).for_each(|value| shape(value, &format!("{path}[]"), out)),
        _ => out.push(path.trim_start_matches('.').to_owned()),
    }
}

/// What the README promises: tools rely on these names.
#[tokio::test]
async fn the_status_has_the_documented_shape_and_no_secrets() {
    let collector = Collector::start().await;
    let endpoint = collector.endpoint();
    let mut server = with_admin()
        .guest(Abi::P3, "hello")
        .flag("--otel-endpoint", endpoint)
        .flag("--otel-headers", "authorization=hunter2")
        .flag("--env", "PASSWORD=hunter2")
        .flag("--wasi-config", "password=hunter2")
        .env("OTEL_BSP_SCHEDULE_DELAY", 50)
        .start()
        .await;
    let admin = server.admin().await;
    client::fetch_path(server.addr(), "/").await;
    eventually("the span to be exported", async || {
        json(admin, "/status").await["telemetry"]["traces"]["exported"] == 1
    })
    .await;
    let status = json(admin, "/status").await;
    let mut found = Vec::new();
    shape(&status, "", &mut found);
    found.sort();
    let mut expected: Vec<_> = [
        "admin",
        "component.guest_memory.limit",
        "component.guest_memory.used",
        "component.isolation",
        "component.loaded",
        "component.name",
        "component.path",
        "component.pool_slots.limit",
        "component.pool_slots.used",
        "component.wasi_http",
        "components[].guest_memory.limit",
        "components[].guest_memory.used",
        "components[].isolation",
        "components[].loaded",
        "components[].name",
        "components[].path",
        "components[].pool_slots.limit",
        "components[].pool_slots.used",
        "components[].wasi_http",
        "hardening",
        "limits.guest_memory.limit",
        "limits.guest_memory.used",
        "limits.in_flight.limit",
        "limits.in_flight.used",
        "limits.pool_slots.limit",
        "limits.pool_slots.used",
        "limits.waiting.limit",
        "limits.waiting.used",
        "listeners[]",
        "phase",
        "reload.done",
        "reload.failed",
        "reload.last_error",
        "reload.last_seconds_ago",
        "telemetry.recent_traces.bytes",
        "telemetry.recent_traces.limit",
        "telemetry.recent_traces.log_bytes",
        "telemetry.recent_traces.logs_left_out",
        "telemetry.recent_traces.spans",
        "telemetry.recent_traces.spans_left_out",
        "telemetry.recent_traces.traces",
        "tls",
        "totals.measurements_dropped",
        "totals.outgoing_requests_refused",
        "totals.output_lines_dropped",
        "totals.requests_not_retried",
        "totals.requests_rate_limited",
        "totals.requests_retried",
        "totals.requests_shed",
        "totals.requests_shed_per_peer",
        "totals.span_parts_dropped",
        "totals.telemetry_calls_invalid",
        "totals.telemetry_calls_unattributed",
        "uptime_seconds",
        "version",
    ]
    .map(str::to_owned)
    .into();
    for signal in ["traces", "metrics", "logs"] {
        let counts = [
            "queue_full",
            "too_large",
            "held_full",
            "export_failed",
            "too_large_for_endpoint",
            "shutdown",
            "spool_full",
            "spool_unreadable",
        ];
        let counts = counts.map(|reason| format!("dropped.{reason}"));
        let others = [
            "endpoint",
            "exported",
            "rejected",
            "spooled",
            "failing_for_seconds",
            "last_error",
            "last_error_seconds_ago",
        ];
        let others = others.map(str::to_owned);
        expected.extend(counts.iter().chain(&others).map(|field| format!("telemetry.{signal}.{field}")));
    }
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["component"]["name"], "hello-p3");
    assert_eq!(status["component"]["wasi_http"], "0.3");
    assert_eq!(status["component"]["isolation"], "instance");
    assert_eq!(status["listeners"][0], format!("http://{}", server.addr()));
    assert_eq!(status["limits"]["in_flight"]["limit"], 1024);
    assert_eq!(status["telemetry"]["traces"]["endpoint"], format!("http://{}/v1/traces", collector.addr()));
    assert_eq!(status["telemetry"]["traces"]["failing_for_seconds"], Value::Null);
    for path in PATHS {
        let page = client::fetch_path(admin, path).await;
        assert!(!page.text().contains("hunter2"), "{path}: {}", page.text());
    }
}

#[tokio::test]
async fn an_endpoint_that_fails_is_told_with_its_error() {
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut server = with_admin()
        .guest(Abi::P2, "hello")
        .flag("--otel-endpoint", format!("http://{gone}"))
        .env("OTEL_BSP_SCHEDULE_DELAY", 50)
        .start()
        .await;
    let admin = server.admin().await;
    client::fetch_path(server.addr(), "/").await;
    eventually("the failure to be told", async || {
        let traces = json(admin, "/status").await["telemetry"]["traces"].clone();
        traces["failing_for_seconds"].is_f64()
            && traces["last_error"].as_str().is_some_and(|error| error.contains("refused"))
            && traces["last_error_seconds_ago"].is_f64()
    })
    .await;
    // When it is over, the error is still told, and that it is over and for how long.
    let collector = Collector::back_at(gone).await;
    collector.spans(1).await;
    eventually("the end of the failure to be told", async || {
        let traces = json(admin, "/status").await["telemetry"]["traces"].clone();
        traces["failing_for_seconds"].is_null() && traces["exported"] == 1
    })
    .await;
    let ago = async || json(admin, "/status").await["telemetry"]["traces"]["last_error_seconds_ago"].as_f64();
    let first = ago().await.expect("the error is not forgotten");
    eventually("time to pass", async || ago().await.is_some_and(|later| later > first)).await;
    server.stop().await.expect(0, &[]);
}

#[tokio::test]
async fn pages_say_what_they_are_and_are_not_kept() {
    let mut server = with_admin().guest(Abi::P2, "hello").start().await;
    let admin = server.admin().await;
    for path in PATHS {
        let get = client::fetch_path(admin, path).await;
        // What a browser keeps of the viewer it asks about each time.
        let kept = if path == "/traces" { "no-cache" } else { "no-store" };
        assert_eq!(get.header("cache-control"), kept, "{path}");
        assert_eq!(get.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(get.header("cross-origin-resource-policy"), "same-origin", "{path}");
        let head = ask(admin, client::request(Method::HEAD, path, client::empty())).await;
        assert_eq!((head.status, head.text()), (get.status, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let refused = ask(admin, client::request(method.clone(), path, client::full("x"))).await;
            assert_eq!(
                (refused.status.as_u16(), refused.header("allow")),
                (405, "GET, HEAD"),
                "{method} {path}"
            );
        }
    }
    let lost = client::fetch_path(admin, "/healthz").await;
    assert_eq!(lost.status, 404);
    let index = client::fetch_path(admin, "/").await;
    assert_eq!(index.status, 200);
    for path in PATHS.map(|path| path.split('?').next().unwrap()) {
        assert!(lost.text().contains(path) && index.text().contains(path), "{path}: {}", lost.text());
    }
    let browser = ask(admin, client::get("/").with("accept", "text/html,*/*;q=0.8")).await;
    assert_eq!((browser.status.as_u16(), browser.header("location")), (303, "/traces"));
}

#[tokio::test]
async fn the_form_of_metrics_is_negotiated() {
    let mut server = with_admin().guest(Abi::P2, "hello").start().await;
    let admin = server.admin().await;
    let text = "text/plain; version=0.0.4; charset=utf-8";
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    for (accept, expected) in [
        ("*/*", text),
        ("text/plain;q=0.9, application/openmetrics-text;q=0.5", text),
        ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.2", open),
    ] {
        let page = ask(admin, client::get("/metrics").with("accept", accept)).await;
        assert_eq!(page.header("content-type"), expected, "{accept}");
        assert_eq!(page.text().ends_with("# EOF\n"), expected == open, "{accept}");
        assert!(page.text().contains("target_info{"), "{}", page.text());
    }
}

/// The guest is asked for those paths as for all others.
#[tokio::test]
async fn the_main_listener_has_no_admin_page() {
    let mut server = with_admin().guest(Abi::P2, "hello").start().await;
    let admin = server.admin().await;
    assert_ne!(admin, server.addr());
    for path in PATHS {
        for protocol in Protocol::BOTH {
            let answer = client::fetch(server.addr(), protocol, client::get(path)).await;
            assert_eq!(answer.text(), "Hello, World!\n", "{path}");
        }
    }
}

#[tokio::test]
async fn a_name_that_anybody_can_point_here_is_refused_on_loopback() {
    let mut server = with_admin().guest(Abi::P2, "hello").start().await;
    let admin = server.admin().await;
    for host in ["localhost:8081", "127.0.0.1", "[::1]:80", "pounce.localhost"] {
        let answer = ask(admin, client::get("/status").with("host", host)).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    for host in ["evil.example", "evil.example:8081", "localhost.evil.example"] {
        for path in PATHS {
            let answer = ask(admin, client::get(path).with("host", host)).await;
            assert_eq!(answer.status, 421, "{host}");
            assert!(!answer.text().contains("hello"), "{}", answer.text());
        }
    }
    for head in [
        "GET http://evil.example/status HTTP/1.1\r\nhost: localhost\r\n",
        "GET /status HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n",
        "GET /status HTTP/1.1\r\n",
    ] {
        let mut raw = Raw::open(admin).await;
        raw.write(format!("{head}connection: close\r\n\r\n")).await.unwrap();
        let answer = raw.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{head}: {answer}");
    }
}

#[tokio::test]
async fn what_a_web_page_of_another_origin_sends_is_refused() {
    let mut server = with_admin().guest(Abi::P2, "hello").start().await;
    let admin = server.admin().await;
    for path in PATHS {
        for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
            for method in [Method::GET, Method::POST] {
                let request = client::request(method.clone(), path, client::empty()).with("origin", origin);
                assert_eq!(ask(admin, request).await.status, 403, "{method} {path} of {origin}");
            }
        }
        let own = client::get(path).with("host", admin.to_string()).with("origin", format!("http://{admin}"));
        assert_eq!(ask(admin, own).await.status, 200, "{path}");
    }
}

/// On other addresses clients use names that only their network knows; traces are shown to names that the settings know.
#[tokio::test]
async fn elsewhere_every_name_is_taken_but_for_traces() {
    let mut server = pounce()
        .flag("--admin-listen", "0.0.0.0:0")
        .flag("--admin-hosts", "pounce.shop.svc")
        .guest(Abi::P2, "hello")
        .start()
        .await;
    let port = server.admin().await.port();
    let through_loopback =
        ask(([127, 0, 0, 1], port).into(), client::get("/livez").with("host", "evil.example")).await;
    assert_eq!(through_loopback.status, 421);
    // An address of this machine that is not loopback, where it has one: connecting sends nothing.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = probe.connect("192.0.2.1:9").and_then(|()| probe.local_addr()).map(|own| own.ip());
    if let Some(own) = own.ok().filter(|own| !own.is_loopback()) {
        let admin = (own, port).into();
        for (path, host, status) in [
            ("/livez", "any.name.svc:8081", 200),
            ("/metrics", "any.name.svc:8081", 200),
            ("/api/traces", "any.name.svc:8081", 421),
            ("/api/traces/summary", "evil.example", 421),
            ("/traces", "evil.example", 421),
            ("/traces", "pounce.shop.svc:8081", 200),
            ("/api/traces", "pounce.shop.svc", 200),
            ("/api/traces", "192.0.2.1:8081", 200),
        ] {
            let answer = ask(admin, client::get(path).with("host", host)).await;
            assert_eq!(answer.status.as_u16(), status, "{path} of {host}");
        }
    }
}

/// A delta is taken from the series at each export; whoever scrapes still sees all.
#[tokio::test]
async fn exports_and_scrapes_do_not_take_from_each_other() {
    let collector = Collector::start().await;
    let mut server = with_admin()
        .guest(Abi::P2, "attributes")
        .traced(&collector)
        .env("OTEL_METRIC_EXPORT_INTERVAL", 50)
        .env("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
        .start()
        .await;
    let admin = server.admin().await;
    for n in 1..=3u32 {
        client::fetch_path(server.addr(), "/deeds?counter.orders=5&histogram.items=7").await;
        let exported = || {
            let all = collector.others().into_iter().flat_map(|export| export.received.metrics());
            let points = all.filter(|metric| metric.name == "orders").flat_map(|metric| metric.points);
            points.map(|point| point.value.parse::<u32>().unwrap()).sum::<u32>()
        };
        eventually("the delta to be exported", async || exported() == n * 5).await;
        let page = metrics(admin).await;
        assert_eq!(sample(&page, &["orders_total{"]), Some(f64::from(n * 5)), "{page}");
        assert_eq!(sample(&page, &["items_count{"]), Some(f64::from(n)), "{page}");
        assert_eq!(sample(&page, &["items_sum{"]), Some(f64::from(n * 7)), "{page}");
    }
}

#[tokio::test]
async fn names_that_collide_are_told_and_counted() {
    let mut server = with_admin().guest(Abi::P2, "attributes").start().await;
    let admin = server.admin().await;
    client::fetch_path(server.addr(), "/deeds?counter.a.b=1&counter.a_b=2").await;
    let page = metrics(admin).await;
    assert_eq!(sample(&page, &["a_b_total{"]), Some(1.0), "{page}");
    server.logged(&["/metrics", "a_b"]).await;
}
