//! The traffic whose telemetry every receiver gets: plain requests, traps, a failure that the guest reports, spans of the
//! guest's own with links, an outgoing call, metrics and log records. And what a receiver must have understood of it.

use crate::support::attributes::{Attributes, expect};
use crate::support::client::{self, WithHeader};
use crate::support::exit::Exit;
use crate::support::origin::Origin;
use crate::support::pounce::{Builder, Pounce};
use crate::support::signals::{LogRecord, Metric};
use crate::support::span::{Span, Status, tree};
use crate::support::{Abi, Protocol, pounce};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The span elsewhere under which all requests are made.
const CALLER: &str = "00f067aa0ba902b7";

/// All spans of the one trace, in the order of the requests.
const TREE: &str = "\
Server GET / <remote>
Server GET / <remote>
Server GET / <remote>
Server GET /unreachable <remote>
Server GET /unreachable <remote>
Server GET /items/{id} <remote>
Server GET /broken <remote>
Server GET /metered <remote>
Server GET /calls <remote>
  Internal calls
    Client GET
Server GET /links <remote>
  Internal linked
  Internal links
";

/// What a receiver keeps of what it gets, and gives back.
#[derive(Clone, Copy)]
pub(super) struct Keeps {
    /// Lists as lists, and not as their JSON.
    pub(super) lists: bool,
    /// Attributes and tracestate of links.
    pub(super) link_details: bool,
    /// Flags of spans.
    pub(super) flags: bool,
}

/// What has been sent, by the servers' own account.
pub(super) struct Sent {
    pub(super) trace_id: String,
    /// Spans, log records and points of metrics that were exported.
    pub(super) spans: usize,
    pub(super) records: usize,
    pub(super) points: usize,
    /// How; it tells the runs apart too, as the attribute `run` of the resource.
    pub(super) protocol: String,
    delta: bool,
    /// The guests' servers, where each listened and how it ended.
    servers: BTreeMap<&'static str, (SocketAddr, Exit)>,
    origin: Origin,
}

/// Plays the traffic with telemetry sent to `endpoint`, and fails unless the servers say that all of the spans arrived.
pub(super) async fn send(protocol: &str, endpoint: &str) -> Sent {
    send_to(protocol, &[("ENDPOINT", endpoint.to_owned())]).await
}

/// Serves with signals that go to endpoints of their own: each by its variable's name, without what all such names begin
/// with, and its value.
pub(super) async fn send_to(protocol: &str, endpoints: &[(&str, String)]) -> Sent {
    let origin = Origin::answering(200).await;
    let trace_id = format!("{:032x}", fastrand::u128(1..));
    // Of the two temporalities, each is sent over some protocol.
    let delta = protocol == "http/json";
    let to = |service: &str, builder: Builder| {
        let set = |builder: Builder, (name, value): &(&str, String)| {
            builder.env(&format!("OTEL_EXPORTER_OTLP_{name}"), value)
        };
        endpoints
            .iter()
            .fold(builder, set)
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .env(
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
                if delta { "delta" } else { "cumulative" },
            )
            .env("OTEL_SERVICE_NAME", service)
            .env("OTEL_RESOURCE_ATTRIBUTES", format!("deployment.environment.name=test,run={protocol}"))
            .env("OTEL_BSP_SCHEDULE_DELAY", 50)
            .env("OTEL_BLRP_SCHEDULE_DELAY", 50)
            .env("OTEL_METRIC_EXPORT_INTERVAL", 200)
    };
    let calls = pounce().guest(Abi::P3, "calls").flag("--allow-outbound", "http://127.0.0.1:*");
    let (hello, trap, attributes, calls, spans) = tokio::join!(
        to("hello", pounce().guest(Abi::P2, "hello")).start(),
        to("trap", pounce().guest(Abi::P3, "trap")).start(),
        to("attributes", pounce().guest(Abi::P2, "attributes")).start(),
        to("calls", calls).start(),
        to("spans", pounce().guest(Abi::P2, "spans")).start(),
    );
    let get = async |server: &Pounce, path: &str| {
        let request = client::get(path).with("traceparent", format!("00-{trace_id}-{CALLER}-01"));
        client::fetch(server.addr(), Protocol::H1, request).await.status.as_u16()
    };
    for _ in 0..3 {
        assert_eq!(get(&hello, "/").await, 200);
    }
    for _ in 0..2 {
        assert_eq!(get(&trap, "/unreachable").await, 500);
    }
    assert_eq!(get(&attributes, "/items/7?fixed").await, 200);
    assert_eq!(get(&attributes, "/broken?exception=it+broke&code=500").await, 500);
    let metrics = "counter.orders=2&updown.queue=-3&histogram.items=7&gauge.temperature=1.5";
    let records = "log.warn=no%0Amore&event.fatal=order.lost";
    assert_eq!(get(&attributes, &format!("/metered?with.shop=rome&{metrics}&{records}")).await, 200);
    assert_eq!(get(&calls, &format!("/calls?url={}&span", origin.url("/stock"))).await, 200);
    assert_eq!(get(&spans, "/links").await, 200);

    let mut servers = BTreeMap::new();
    for (name, server) in
        [("hello", hello), ("trap", trap), ("attributes", attributes), ("calls", calls), ("spans", spans)]
    {
        let addr = server.addr();
        servers.insert(name, (addr, server.stop().await));
    }
    let (mut spans, mut records, mut points) = (0, 0, 0);
    for (name, (_, exit)) in &servers {
        exit.expect(0, &[]);
        let totals = exit.totals();
        assert_eq!(totals.exported, totals.ended, "{protocol}, {name}: {exit}");
        spans += totals.exported;
        records += exported(exit, "log records emitted");
        points += exported(exit, "points of metrics exported");
    }
    Sent { trace_id, spans, records, points, protocol: protocol.to_owned(), delta, servers, origin }
}

/// The number before `exported` in the part of the last words that has `what`; 0 where there is none.
pub(super) fn exported(exit: &Exit, what: &str) -> usize {
    let line = exit.stderr.lines().rfind(|line| line.contains("spans ended")).expect("totals");
    let Some(part) = line.split(';').find(|part| part.contains(what)) else {
        return 0;
    };
    let before = part.split("exported").next().expect("a part").trim_end_matches(" points of metrics ");
    let digits = before.trim_end().rsplit(|c: char| !c.is_ascii_digit()).next().expect("a part");
    digits.parse().unwrap_or_else(|_| panic!("a number of {what} in {line}"))
}

impl Sent {
    /// The entries of `all` that are of this run.
    pub(super) fn own<T: Clone>(&self, all: &[T], resource: impl Fn(&T) -> &Attributes) -> Vec<T> {
        let run = format!("{:?}", self.protocol);
        let own = all.iter().filter(|one| resource(one).get("run").is_some_and(|of| of.to_string() == run));
        own.cloned().collect()
    }

    /// What the server of a guest wrote to its log.
    pub(super) fn said(&self, guest: &str) -> &str {
        &self.servers[guest].1.stderr
    }

    /// Fails unless `spans` are those that were sent, whole.
    pub(super) fn expect_spans(&self, spans: &[Span], keeps: Keeps) {
        let run = &self.protocol;
        assert_eq!(tree(spans), TREE, "{run}");
        assert_eq!(spans.len(), self.spans, "{run}: as many as were said to be exported");
        let ids: BTreeSet<_> = spans.iter().map(|span| &span.span_id).collect();
        assert_eq!(ids.len(), spans.len(), "{run}: a span came twice");
        for span in spans {
            assert_eq!(span.trace_id, self.trace_id, "{run}");
            self.expect_resource(&span.resource, &span.text("pounce.component").replace("-p3", ""));
            assert_eq!((span.scope.name.as_str(), span.scope.version.is_empty()), ("pounce", false), "{run}");
            if keeps.flags {
                assert_eq!(span.flags & 0xff, 1, "{run}: sampled");
                let remote = span.parent == CALLER;
                assert_eq!(span.parent_is_remote(), Some(remote), "{run}, {}", span.name);
            }
        }
        let named = |name: &str| {
            let found = spans.iter().find(|span| span.name == name);
            found.unwrap_or_else(|| panic!("{run}: no span {name}"))
        };
        self.expect_fixed(named("GET /items/{id}"), keeps);
        expect_failures(named("GET /unreachable"), named("GET /broken"));
        assert_eq!(named("GET /").status, Status::Ok);
        self.expect_call(named("GET"));
        expect_links(named("links"), named("linked"), keeps);
    }

    fn expect_resource(&self, resource: &Attributes, service: &str) {
        let of_run = format!(
            r#"service.name = {service:?}
               service.instance.id = <text>
               telemetry.sdk.name = "pounce"
               telemetry.sdk.language = "rust"
               telemetry.sdk.version = <text>
               deployment.environment.name = "test"
               run = {run:?}"#,
            run = self.protocol,
        );
        expect(&format!("{}: attributes of the resource of {service}", self.protocol), resource, &of_run);
    }

    /// Every type of value, and two events.
    fn expect_fixed(&self, span: &Span, keeps: Keeps) {
        let addr = self.servers["attributes"].0;
        let lists = [
            ("texts", r#"["a", "b"]"#, r#"["a","b"]"#),
            ("booleans", "[true, false]", "[true,false]"),
            ("ints", "[1, -9223372036854775808]", "[1,-9223372036854775808]"),
            ("doubles", "[0.5, -1.0]", "[0.5,-1]"),
        ];
        let list = |(name, list, json): (&str, &str, &str)| {
            let value = if keeps.lists { list.to_owned() } else { format!("{json:?}") };
            format!("guest.{name} = {value}\n")
        };
        span.expect_attributes(&format!(
            r#"http.request.method = "GET"
               url.path = "/items/7"
               url.query = "fixed"
               url.scheme = "http"
               server.address = "127.0.0.1"
               server.port = {port}
               network.protocol.version = "1.1"
               network.peer.address = "127.0.0.1"
               network.peer.port = <port>
               client.address = "127.0.0.1"
               http.method = "GET"
               http.target = "/items/7?fixed"
               http.scheme = "http"
               http.host = "{addr}"
               net.host.port = {port}
               http.route = "/items/{{id}}"
               http.response.status_code = 200
               http.response.body.size = <bytes>
               http.status_code = 200
               http.response_content_length = <bytes>
               pounce.component = "attributes"
               pounce.instance.reused = false
               pounce.queue.duration = <seconds>
               pounce.instantiate.duration = <seconds>
               pounce.guest.cpu_time = <seconds>
               pounce.guest.memory.peak = <bytes>
               ? pounce.response.head.duration = <seconds>
               guest.text = "hello"
               guest.boolean = true
               guest.int = 42
               guest.double = 0.5
               guest.bytes = 0x0001ff
               guest.added = "by add_span_attribute"
               guest.current = true
               {lists}"#,
            port = addr.port(),
            lists = lists.map(list).concat(),
        ));
        assert_eq!((&span.status, span.parent.as_str()), (&Status::Ok, CALLER));
        let [first, second] = &span.events[..] else { panic!("two events: {:?}", span.events) };
        assert_eq!((first.name.as_str(), second.name.as_str()), ("guest.event", "guest.current.event"));
        expect("attributes of the event", &first.attributes, "guest.step = 1");
        expect("attributes of the event", &second.attributes, "");
        assert!(span.start <= first.time && first.time <= second.time && second.time <= span.end);
    }

    /// The call came from where its span says, and the guest's own span is between.
    fn expect_call(&self, call: &Span) {
        let [arrived] = &self.origin.arrived()[..] else { panic!("one call") };
        let traceparent = format!("00-{}-{}-01", self.trace_id, call.span_id);
        assert_eq!(arrived.values("traceparent"), [traceparent.as_str()], "{}", self.protocol);
        assert_eq!(call.text("url.full"), self.origin.url("/stock"));
        let numbers = (call.int("http.response.status_code"), call.int("server.port"));
        assert_eq!(numbers, (Some(200), Some(self.origin.addr().port().into())));
    }

    /// Fails unless `records` are those that were sent, whole.
    pub(super) fn expect_records(&self, records: &[LogRecord]) {
        let run = &self.protocol;
        assert_eq!(records.len(), self.records, "{run}: as many as were said to be exported");
        let of_guests = records.iter().filter(|record| record.origin.scope == "pounce.guest");
        let [warning, event] = &of_guests.collect::<Vec<_>>()[..] else { panic!("{run}: {records:#?}") };
        assert_eq!(
            (&warning.severity, warning.body.as_str()),
            (&(13, "WARN".into()), r#""no\nmore""#),
            "{run}"
        );
        assert_eq!((&event.severity, event.body.as_str()), (&(21, "FATAL".into()), "42"), "{run}");
        assert_eq!((warning.event.as_str(), event.event.as_str()), ("", "order.lost"), "{run}");
        for record in [warning, event] {
            expect("attributes of the record", &record.attributes, r#"shop = "rome""#);
            assert_eq!((&record.trace_id, record.span_id.len()), (&self.trace_id, 16), "{run}");
            assert_eq!((&record.span_id, record.flags), (&warning.span_id, 1), "{run}");
            self.expect_resource(&record.origin.resource, "attributes");
        }
    }

    /// Fails unless `metrics` are those that were sent, whole, in the order of arrival.
    pub(super) fn expect_metrics(&self, metrics: &[Metric]) {
        let points: usize = metrics.iter().map(|metric| metric.points.len()).sum();
        assert_eq!(points, self.points, "{}: as many as were said to be exported", self.protocol);
        for name in ["orders", "queue", "temperature", "items"] {
            self.expect_metric(metrics, name);
        }
    }

    fn expect_metric(&self, metrics: &[Metric], name: &str) {
        let run = &self.protocol;
        let delta = if self.delta { " delta" } else { "" };
        let (kind, line) = match name {
            "orders" => (format!("counter{delta}"), r#"shop="rome" → 2"#),
            // What may shrink is a total in either temporality.
            "queue" => ("updown".to_owned(), r#"shop="rome" → -3"#),
            "temperature" => ("gauge".to_owned(), r#"shop="rome" → 1.5"#),
            _ => (format!("histogram{delta}"), r#"shop="rome" → count=1 sum=7 min=7 max=7 ≤10:1"#),
        };
        // The first export has the measurement, which was the only one.
        let metric = metrics.iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{run}: no metric {name}"));
        assert_eq!((&metric.kind, metric.lines()), (&kind, vec![line.to_owned()]), "{run}, {name}");
        assert_eq!(metric.origin.scope, "pounce.guest", "{run}, {name}");
        expect("scope", &metric.origin.scope_attributes, r#"pounce.component = "attributes""#);
        self.expect_resource(&metric.origin.resource, "attributes");
        let [(trace_id, span_id, _)] = &metric.points[0].exemplars[..] else {
            panic!("{run}, {name}: one exemplar")
        };
        assert_eq!((trace_id, span_id.len()), (&self.trace_id, 16), "{run}, {name}");
        let (from, to) = metric.points[0].time;
        assert!(if kind == "gauge" { from == 0 } else { 0 < from && from < to }, "{run}, {name}");
    }
}

fn expect_failures(trap: &Span, broken: &Span) {
    let Status::Error(message) = &trap.status else { panic!("{trap:?}") };
    assert!(message.contains("unreachable"), "{message}");
    assert_eq!(trap.text("error.type"), "wasm_trap.unreachable");
    let exception = trap.event("exception");
    expect(
        "attributes of the trap",
        &exception.attributes,
        r#"exception.type = "wasm_trap.unreachable"
           exception.message ~ "unreachable"
           exception.stacktrace ~ "kinds::fail @ 0x""#,
    );
    assert_eq!(broken.status, Status::Error("it broke".into()));
    assert_eq!((broken.int("http.response.status_code"), broken.text("error.type")), (Some(500), "500"));
    expect(
        "attributes of the exception",
        &broken.event("exception").attributes,
        r#"exception.type = "guest.Failure"
           exception.message = "it broke"
           exception.stacktrace = "at deeds"
           guest.code = 7"#,
    );
}

fn expect_links(links: &Span, linked: &Span, keeps: Keeps) {
    let to: Vec<_> = links.links.iter().map(|link| (&*link.trace_id, &*link.span_id)).collect();
    let remote = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    assert_eq!(to, [remote, remote, (&*linked.trace_id, &*linked.span_id)]);
    if keeps.link_details {
        let states: Vec<_> = links.links.iter().map(|link| &*link.trace_state).collect();
        assert_eq!(states, ["vendor=1", "vendor=1", ""]);
        for (link, why) in links.links.iter().zip(["options", "added", "sibling"]) {
            expect("attributes of the link", &link.attributes, &format!("why = {why:?}"));
        }
    }
}
