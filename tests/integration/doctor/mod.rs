//! `pounce doctor`: each way in which telemetry does not arrive is told apart, with what to do about it.

mod servers;

use crate::support::collector::Reply;
use crate::support::exit::Exit;
use crate::support::pounce::Builder;
use crate::support::{Collector, pounce};
use servers::{Identity, Port, Swallowing, answering};
use std::net::TcpListener;

/// Doctor, without patience.
fn doctor(endpoint: impl std::fmt::Display) -> Builder {
    pounce().command("doctor").flag("--otel-endpoint", endpoint).env("OTEL_EXPORTER_OTLP_TIMEOUT", 400)
}

/// Fails unless something did not arrive, and stdout has all `parts`.
fn failed(exit: &Exit, parts: &[&str]) {
    exit.expect(1, &[]);
    assert!(exit.stdout.contains("0 of 3 signals arrived") || exit.stdout.contains("of 1 "), "{exit}");
    for part in parts {
        assert!(exit.stdout.contains(part), "{part:?} in {exit}");
    }
    // One screen, also at its worst.
    assert!(exit.stdout.lines().count() <= 30, "{exit}");
}

/// A port at which nothing listens.
fn closed() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn what_arrives_can_be_looked_up() {
    let collector = Collector::start().await;
    let exit = doctor(collector.endpoint()).env("OTEL_SERVICE_NAME", "shop").run().await;
    exit.expect(0, &[]);
    assert!(exit.stdout.contains("everything arrived"), "{exit}");
    assert!(exit.stdout.lines().count() <= 24, "one screen: {exit}");
    let span = collector.span().await;
    assert_eq!(span.name, "pounce doctor");
    assert!(exit.stdout.contains(&format!("trace {}", span.trace_id)), "{exit}");
    assert!(exit.stdout.contains("service `shop`"), "{exit}");
    // In the host's own scope, as all that it says itself.
    let records = collector.own_log_records();
    assert_eq!((records.len(), &records[0].trace_id), (1, &span.trace_id));
    for part in ["(--otel-endpoint)", "http/protobuf (default)", "a span was taken", "a log record was taken"]
    {
        assert!(exit.stdout.contains(part), "{part:?} in {exit}");
    }
}

/// Metrics are sent as the server would send them, under names that say whose they are.
#[tokio::test]
async fn metrics_of_each_kind_are_tested_as_they_are_set() {
    const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    const BUCKETS: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    for (temporality, buckets, kinds, told) in [
        (
            "cumulative",
            "explicit_bucket_histogram",
            ["counter", "gauge", "histogram"],
            "a cumulative sum, a cumulative histogram and a gauge were taken",
        ),
        (
            "delta",
            "explicit_bucket_histogram",
            ["counter delta", "gauge", "histogram delta"],
            "a delta sum, a delta histogram and a gauge were taken",
        ),
        (
            "lowmemory",
            "base2_exponential_bucket_histogram",
            ["counter delta", "gauge", "exponential delta"],
            "a delta sum, a delta exponential histogram and a gauge were taken",
        ),
    ] {
        let collector = Collector::start().await;
        let exit =
            doctor(collector.endpoint()).env(TEMPORALITY, temporality).env(BUCKETS, buckets).run().await;
        exit.expect(0, &[]);
        assert!(exit.stdout.contains(told), "{told:?} in {exit}");
        let [export] = collector.hosts().try_into().unwrap();
        let metrics = export.received.metrics();
        let found: Vec<_> =
            metrics.iter().map(|metric| (metric.name.as_str(), metric.kind.as_str())).collect();
        let names = ["pounce.doctor.counter", "pounce.doctor.gauge", "pounce.doctor.histogram"];
        assert_eq!(found, names.into_iter().zip(kinds).collect::<Vec<_>>());
        for metric in &metrics {
            let [point] = &metric.points[..] else { panic!("one point: {metric:?}") };
            assert!(point.time.0 <= point.time.1, "{metric:?}");
        }
    }
}

/// As Prometheus' OTLP receiver does: of a request with one delta in it, it keeps nothing.
#[tokio::test]
async fn a_receiver_that_takes_no_deltas() {
    let refusal = "invalid temporality and type combination for metric \"pounce.doctor.counter\"";
    let (addr, _serving) = answering(500, &[("content-type", "text/plain; charset=utf-8")], refusal).await;
    let to_metrics = || {
        pounce()
            .command("doctor")
            .env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", format!("http://{addr}/api/v1/otlp/v1/metrics"))
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", 400)
    };
    let exit = to_metrics().env("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta").run().await;
    failed(
        &exit,
        &[
            "invalid temporality",
            "-> unset OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: it takes cumulative only",
        ],
    );
}

/// The endpoint of one signal is used as it is.
#[tokio::test]
async fn an_endpoint_of_one_signal_that_lacks_its_path() {
    let (addr, _serving) = answering(404, &[], "").await;
    for signal in ["traces", "metrics", "logs"] {
        let variable = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.to_uppercase());
        let exit = pounce()
            .command("doctor")
            .env(&variable, format!("http://{addr}"))
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", 400)
            .run()
            .await;
        exit.expect(1, &[]);
        let advice = format!("-> {variable} is used as it is, path and all: add /v1/{signal} to it");
        assert!(exit.stdout.contains(&advice), "{advice:?} in {exit}");
        assert!(!exit.stdout.contains("is appended"), "{exit}");
    }
}

/// Some say with 400 that they have nothing at a path.
#[tokio::test]
async fn a_refusal_that_names_the_path_is_of_the_path() {
    for said in ["unsupported path requested: \"/otlp/v1/traces\"", "no handler for /OTLP/v1/traces here"] {
        let (addr, _serving) = answering(400, &[("content-type", "text/plain")], said).await;
        let exit = doctor(format_args!("http://{addr}/otlp"))
            .flag("--otel-protocol", "http/json")
            .env("OTEL_METRICS_EXPORTER", "none")
            .env("OTEL_LOGS_EXPORTER", "none")
            .run()
            .await;
        failed(&exit, &["takes no OTLP at /otlp/v1/traces: check port", "and path"]);
        assert!(!exit.stdout.contains("otel.protocol, and"), "{exit}");
    }
}

#[tokio::test]
async fn only_signals_in_force_are_tested() {
    let collector = Collector::start().await;
    let exit = doctor(collector.endpoint())
        .env("OTEL_METRICS_EXPORTER", "none")
        .env("OTEL_LOGS_EXPORTER", "none")
        .run()
        .await;
    exit.expect(0, &[]);
    assert!(!exit.stdout.contains("metrics") && !exit.stdout.contains("logs"), "{exit}");
    assert_eq!((collector.spans(1).await.len(), collector.others().len()), (1, 0));
}

#[tokio::test]
async fn without_an_endpoint_it_says_how_to_set_one() {
    let exit = pounce().command("doctor").run().await;
    exit.expect(2, &["no signal goes to an endpoint", "--otel-endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
    assert!(exit.stdout.contains("localhost:4318") && exit.stdout.contains("localhost:4317"), "{exit}");
    let off = doctor("http://localhost:1").env("OTEL_SDK_DISABLED", "true").run().await;
    off.expect(2, &["OTEL_SDK_DISABLED"]);
    let mistakes = doctor("localhost:4318").flag("--listen", "127.0.0.1:1").run().await;
    mistakes.expect(2, &["--otel-endpoint", "scheme", "--listen"]);
}

#[tokio::test]
async fn a_name_that_does_not_exist() {
    let exit = doctor("http://collector.invalid:4318").run().await;
    // Where there is no name server at all, the answer may not come in time.
    let told = exit.stdout.contains("nothing is called collector.invalid")
        || exit.stdout.contains("the name server does not answer");
    assert!(told, "{exit}");
    failed(&exit, &["FAIL  name", "not tried"]);
}

#[tokio::test]
async fn nothing_listens() {
    let exit = doctor(format_args!("http://localhost:{}", closed())).run().await;
    failed(&exit, &["ok    name", "FAIL  connect", "refused", "start the collector", "-> as for traces"]);
}

#[tokio::test]
async fn a_firewall_swallows_packets() {
    let firewall = Swallowing::start();
    let exit = doctor(format_args!("http://{}", firewall.addr)).run().await;
    failed(&exit, &["FAIL  connect", "no answer within 400ms", "a firewall swallows"]);
}

#[tokio::test]
async fn a_server_that_stays_silent() {
    let port = Port::silent().await;
    let exit = doctor(format_args!("http://{}", port.addr)).run().await;
    failed(&exit, &["ok    connect", "FAIL  send", "no answer within 400ms", "OTEL_EXPORTER_OTLP_TIMEOUT"]);
    let exit = doctor(format_args!("https://{}", port.addr))
        .flag("--otel-certificate", Identity::new("localhost", 2099, false).file().display())
        .run()
        .await;
    failed(&exit, &["FAIL  TLS", "does not shake hands"]);
}

#[tokio::test]
async fn something_else_that_talks_http() {
    let (addr, _serving) = answering(404, &[], "").await;
    let exit = doctor(format_args!("http://{addr}/wrong")).run().await;
    failed(&exit, &["404 Not Found", "takes no OTLP at /wrong/v1/traces", "4318 is usual"]);
    let (addr, _serving) = answering(200, &[("content-type", "text/html")], "<html>It works!").await;
    let exit = doctor(format_args!("http://{addr}")).run().await;
    failed(&exit, &["a page of HTML", "something else than an OTLP receiver"]);
    let (addr, _serving) = answering(301, &[("location", "https://x/")], "").await;
    let exit = doctor(format_args!("http://{addr}")).run().await;
    failed(&exit, &["redirects are not followed"]);
}

#[tokio::test]
async fn a_backend_of_traces_alone() {
    let collector = Collector::start().await;
    collector.always_to_others(Reply::Refuse(404));
    let exit = doctor(collector.endpoint()).run().await;
    exit.expect(1, &[]);
    for part in
        ["1 of 3 signals arrived", "OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none", "look for trace"]
    {
        assert!(exit.stdout.contains(part), "{part:?} in {exit}");
    }
}

#[tokio::test]
async fn the_wrong_protocol_for_the_port() {
    let grpc = Port::of_http2_only().await;
    let exit = doctor(format_args!("http://{}", grpc.addr)).run().await;
    failed(&exit, &["FAIL  send", "speaks HTTP/2 only", "otel.protocol = grpc"]);

    let http =
        Port::saying(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
    let exit = doctor(format_args!("http://{}", http.addr)).flag("--otel-protocol", "grpc").run().await;
    failed(
        &exit,
        &["grpc (--otel-protocol)", "speaks HTTP/1.1 and no gRPC", "otel.protocol = http/protobuf"],
    );

    // One that speaks both versions of HTTP, and no gRPC.
    let (addr, _serving) = answering(404, &[], "").await;
    let exit = doctor(format_args!("http://{addr}")).flag("--otel-protocol", "grpc").run().await;
    failed(&exit, &["no gRPC", "otel.protocol = http/protobuf"]);

    let other = Port::saying(b"220 mail.example ESMTP\r\n").await;
    let exit = doctor(format_args!("http://{}", other.addr)).run().await;
    failed(&exit, &["neither HTTP nor TLS"]);
}

#[tokio::test]
async fn what_a_server_of_grpc_says() {
    let says = |status| [("content-type", "application/grpc"), ("grpc-status", status)];
    let (addr, _serving) = answering(200, &says("0"), "").await;
    doctor(format_args!("http://{addr}")).flag("--otel-protocol", "grpc").run().await.expect(0, &[]);
    for (status, part) in [
        ("16", "set otel.headers"),
        ("12", "takes no OTLP"),
        ("8", "asks to send less"),
        ("14", "down or overloaded"),
        ("3", "does not take OTLP as grpc"),
    ] {
        let (addr, _serving) = answering(200, &says(status), "").await;
        let exit = doctor(format_args!("http://{addr}")).flag("--otel-protocol", "grpc").run().await;
        failed(&exit, &[part]);
    }
}

#[tokio::test]
async fn what_a_status_of_http_means() {
    for (status, part) in [
        (400, "although in the form that most take"),
        (401, "set otel.headers"),
        (403, "set otel.headers"),
        (413, "even so little is too large"),
        (429, "asks to send less"),
        (500, "see its own log"),
        (503, "down or overloaded"),
    ] {
        let (addr, _serving) = answering(status, &[("content-type", "text/plain")], "so (it) is").await;
        let exit = doctor(format_args!("http://{addr}")).run().await;
        failed(&exit, &[part, &status.to_string(), "it says: so (it) is", "-> as for traces"]);
    }
    for (status, part) in [(401, "check name, value and region"), (403, "rights and tenant")] {
        let (addr, _serving) = answering(status, &[], "").await;
        let exit = doctor(format_args!("http://{addr}/?key=hunter2"))
            .flag("--otel-headers", "api-key=hunter2")
            .run()
            .await;
        failed(&exit, &[part]);
        assert!(!exit.stdout.contains("hunter2") && !exit.stderr.contains("hunter2"), "{exit}");
    }
}

#[tokio::test]
async fn what_is_rejected_has_not_arrived() {
    let collector = Collector::start().await;
    collector.always(Reply::Partial(1, "no\nquota"));
    collector.always_to_others(Reply::Partial(2, "no room"));
    let exit = doctor(collector.endpoint()).run().await;
    exit.expect(1, &[]);
    for part in
        ["rejected it; it says: no\\nquota", "rejected 2 points; it says: no room", "0 of 3 signals arrived"]
    {
        assert!(exit.stdout.contains(part), "{part:?} in {exit}");
    }
    collector.always_to_others(Reply::Accept);
    // A word beside a yes is a yes.
    collector.always(Reply::Partial(0, "soon too old"));
    let exit = doctor(collector.endpoint()).run().await;
    exit.expect(0, &[]);
    assert!(exit.stdout.contains("a span was taken; it says: soon too old"), "{exit}");
}

#[tokio::test]
async fn tls_that_works_is_described() {
    let identity = Identity::new("localhost", 2099, false);
    let port = Port::of_tls(&identity).await;
    let exit = doctor(format_args!("https://localhost:{}", port.addr.port()))
        .flag("--otel-certificate", identity.file().display())
        .run()
        .await;
    exit.expect(0, &[]);
    assert!(
        exit.stdout
            .contains("ok  TLS      1.3, certificate of localhost, signed by localhost, until 2099-01-01"),
        "{exit}"
    );
}

#[tokio::test]
async fn certificates_that_are_wrong() {
    let check = async |identity: &Identity, trusted: &Identity, parts: &[&str]| {
        let port = Port::of_tls(identity).await;
        let exit = doctor(format_args!("https://localhost:{}", port.addr.port()))
            .flag("--otel-certificate", trusted.file().display())
            .run()
            .await;
        failed(&exit, &[&["FAIL  TLS", "not tried"], parts].concat());
    };
    let good = Identity::new("localhost", 2099, false);
    let other = Identity::new("other.example", 2099, false);
    check(&other, &other, &["certificate of other.example", "is for another name than localhost"]).await;
    let stranger = Identity::new("localhost", 2099, false);
    check(&stranger, &good, &["authority is not trusted", "otel.certificate"]).await;
    let old = Identity::new("localhost", 2020, false);
    check(&old, &old, &["until 2020-01-01", "has expired"]).await;
}

#[tokio::test]
async fn tls_where_there_is_none_and_the_reverse() {
    let identity = Identity::new("localhost", 2099, false);
    let (addr, _serving) = answering(200, &[], "").await;
    let exit = doctor(format_args!("https://{addr}"))
        .flag("--otel-certificate", identity.file().display())
        .run()
        .await;
    failed(&exit, &["FAIL  TLS", "does not speak TLS", "write http://127.0.0.1:"]);
    let port = Port::of_tls(&identity).await;
    for protocol in ["http/protobuf", "grpc"] {
        let exit = doctor(format_args!("http://{}", port.addr)).flag("--otel-protocol", protocol).run().await;
        failed(&exit, &["FAIL  send", "the port speaks TLS: write https://127.0.0.1:"]);
    }
}

#[tokio::test]
async fn an_endpoint_that_wants_to_know_who_calls() {
    let identity = Identity::new("localhost", 2099, true);
    let port = Port::of_tls(&identity).await;
    let exit = doctor(format_args!("https://localhost:{}", port.addr.port()))
        .flag("--otel-certificate", identity.file().display())
        .run()
        .await;
    failed(&exit, &["otel.client-certificate"]);
}

#[tokio::test]
async fn proxies_that_stand_in_the_way() {
    let certificate = Identity::new("localhost", 2099, false);
    let run = async |scheme: &str, proxy: String| {
        doctor(format_args!("{scheme}://collector.example:4318"))
            .flag("--otel-certificate", certificate.file().display())
            .env("ALL_PROXY", proxy)
            .run()
            .await
    };
    let nobody = || format!("http://user:hunter2@127.0.0.1:{}", closed());
    for scheme in ["http", "https"] {
        let exit = run(scheme, nobody()).await;
        failed(&exit, &["proxy    http://127.0.0.1:", "FAIL  connect", "cannot be reached", "NO_PROXY"]);
        assert!(!exit.stdout.contains("hunter2"), "{exit}");
    }
    let wants = Port::saying(
        b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    )
    .await;
    for scheme in ["http", "https"] {
        let exit = run(scheme, format!("http://{}", wants.addr)).await;
        let variable = format!("{}_PROXY=http://NAME", scheme.to_uppercase());
        failed(&exit, &["the proxy answered 407", "wants a user name and a password", &variable]);
        let exit = run(scheme, format!("http://user:hunter2@{}", wants.addr)).await;
        failed(&exit, &["the proxy answered 407", "does not accept the user name and the password"]);
        assert!(!exit.stdout.contains("hunter2"), "{exit}");
    }
    let forbids =
        Port::saying(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let exit = run("https", format!("http://{}", forbids.addr)).await;
    failed(&exit, &["FAIL  tunnel", "forbids collector.example:4318"]);
    let exit = run("http", format!("http://{}", forbids.addr)).await;
    failed(
        &exit,
        &["FAIL  send", "or the endpoint forbids this: have the proxy allow collector.example:4318"],
    );
    let gateway =
        Port::saying(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    for scheme in ["http", "https"] {
        let exit = run(scheme, format!("http://{}", gateway.addr)).await;
        failed(&exit, &["does not get through to collector.example:4318"]);
    }
}

#[tokio::test]
async fn a_machine_without_authorities_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none.pem");
    std::fs::write(&none, "").unwrap();
    let port = Port::of_tls(&Identity::new("localhost", 2099, false)).await;
    let exit = doctor(format_args!("https://localhost:{}", port.addr.port()))
        .env("SSL_CERT_FILE", none.display())
        // Another way, so that there are two clients.
        .env("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip")
        .run()
        .await;
    failed(&exit, &["FAIL  TLS", "no certificate authority is known here", "install ca-certificates"]);
    assert_eq!(exit.stderr.matches("found no certificate authorities").count(), 1, "{exit}");
}
