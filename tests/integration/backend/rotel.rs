//! rotel, an agent in Rust that shares no code with the other two, receives all signals and prints what it understood.

use super::traffic::{Keeps, send};
use super::{Daemon, PROTOCOLS, free_addrs, tool};
use crate::support::attributes::{Attributes, Value};
use crate::support::client;
use crate::support::signals::{LogRecord, Metric, Origin, Point, in_order};
use crate::support::span::{Event, Link, Scope, Span, Status};
use crate::support::{Abi, pounce};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A running rotel; killed when dropped.
struct Rotel {
    daemon: Daemon,
    dir: TempDir,
    http: SocketAddr,
    grpc: SocketAddr,
}

/// All that it printed, in order.
#[derive(Default)]
struct Printed {
    spans: Vec<Span>,
    metrics: Vec<Metric>,
    records: Vec<LogRecord>,
}

impl Rotel {
    async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let [http, grpc] = free_addrs();
        let mut command = Command::new(tool("POUNCE_ROTEL", "rotel-0.0.1a15/rotel"));
        command
            .arg("start")
            .args(["--otlp-http-endpoint", &http.to_string(), "--otlp-grpc-endpoint", &grpc.to_string()])
            .args(["--exporter", "blackhole", "--batch-timeout", "50ms"])
            .args(["--debug-log", "traces", "--debug-log", "metrics", "--debug-log", "logs"])
            .args(["--debug-log-verbosity", "detailed"])
            .stdout(File::create(dir.path().join("printed")).expect("a writable folder"))
            .stderr(Stdio::null());
        let mut daemon = Daemon::start(&mut command);
        daemon.listens("rotel", &[http, grpc]).await;
        Rotel { daemon, dir, http, grpc }
    }

    /// Ends it and reads what it printed.
    fn finish(self) -> Printed {
        self.daemon.finish();
        Printed::read(&std::fs::read_to_string(self.dir.path().join("printed")).expect("text"))
    }
}

/// A heading `Name #N` with the lines until the next one.
#[derive(Default)]
struct Block {
    name: String,
    fields: BTreeMap<String, String>,
    attributes: Attributes,
    /// Of a histogram: upper ends and counts, as numbered.
    ends: Vec<String>,
    counts: Vec<u64>,
}

/// Kinds of values, as printed before a parenthesis.
const KINDS: [&str; 6] = ["Str(", "Int(", "Bool(", "Double(", "Bytes(", "Slice("];

fn is_value(text: &str) -> bool {
    KINDS.iter().any(|kind| text.starts_with(kind))
}

fn value(text: &str) -> Value {
    let (kind, inner) = text.split_once('(').expect("a kind");
    let inner = inner.strip_suffix(')').expect("closed");
    let numbers = || inner.trim_matches(['[', ']']).split(", ");
    match kind {
        "Str" => Value::Text(inner.to_owned()),
        "Int" => Value::Int(inner.parse().expect("an integer")),
        "Bool" => Value::Bool(inner.parse().expect("a boolean")),
        "Double" => Value::Double(inner.parse().expect("a number")),
        "Bytes" => Value::Bytes(numbers().map(|byte| byte.parse().expect("a byte")).collect()),
        // No list within a list is sent, and no text with a comma in one.
        "Slice" => Value::List(inner.split(", ").map(value).collect()),
        other => panic!("a value of kind {other}"),
    }
}

/// The lines in blocks.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = vec![Block::default()];
    // A value whose text has several lines, so far.
    let mut open: Option<(String, String, bool)> = None;
    for line in text.lines() {
        let block = blocks.last_mut().expect("one at least");
        let (key, text, is_attribute) = if let Some((key, mut text, is_attribute)) = open.take() {
            write!(text, "\n{line}").expect("in memory");
            (key, text, is_attribute)
        } else {
            if let Some((name, number)) = line.split_once(" #")
                && number.bytes().all(|b| b.is_ascii_digit())
            {
                blocks.push(Block { name: name.to_owned(), ..Block::default() });
                continue;
            }
            if let Some((name, version)) =
                line.strip_prefix("InstrumentationScope ").and_then(|of| of.split_once(' '))
                && version != "attributes:"
            {
                block.fields.insert("scope".into(), name.to_owned());
                block.fields.insert("version".into(), version.to_owned());
                continue;
            }
            let bare = line.trim_start();
            let (key, text) = bare.trim_start_matches("-> ").split_once(": ").unwrap_or((bare, ""));
            (key.trim_end().to_owned(), text.to_owned(), bare.starts_with("-> ") && is_value(text))
        };
        if is_value(&text) && !text.ends_with(')') {
            open = Some((key, text, is_attribute));
        } else if is_attribute {
            let earlier = block.attributes.insert(key.clone(), value(&text));
            assert!(earlier.is_none(), "{key} is there twice");
        } else if key.starts_with("ExplicitBounds #") {
            block.ends.push(text);
        } else if let Some(count) = key.strip_prefix("Buckets #").and_then(|_| text.parse().ok()) {
            block.counts.push(count);
        } else {
            block.fields.insert(key, text);
        }
    }
    blocks
}

impl Block {
    fn field(&self, name: &str) -> String {
        self.fields.get(name).cloned().unwrap_or_default()
    }

    fn number(&self, name: &str) -> u64 {
        let text = self.field(name);
        text.parse().unwrap_or_else(|_| panic!("{name} of a {}: {text:?}", self.name))
    }
}

impl Printed {
    fn read(text: &str) -> Self {
        let mut printed = Printed::default();
        let mut resource = Attributes::new();
        let mut scope = Scope::default();
        for block in blocks(text) {
            let origin = || Origin {
                resource: resource.clone(),
                scope: scope.name.clone(),
                scope_attributes: scope.attributes.clone(),
            };
            let exemplar = || (block.field("Trace ID"), block.field("Span ID"), block.field("Value"));
            match block.name.as_str() {
                "ResourceSpans" | "ResourceMetrics" | "ResourceLog" => resource = block.attributes,
                "ScopeSpans" | "ScopeMetrics" | "ScopeLogs" => {
                    scope = Scope {
                        name: block.field("scope"),
                        version: block.field("version"),
                        schema_url: String::new(),
                        attributes: block.attributes,
                    };
                }
                "Span" => printed.spans.push(span(&block, &resource, &scope)),
                "SpanEvent" => printed.spans.last_mut().expect("a span").events.push(Event {
                    name: block.field("Name"),
                    time: block.number("Timestamp"),
                    attributes: block.attributes,
                    dropped_attributes: 0,
                }),
                "SpanLink" => printed.spans.last_mut().expect("a span").links.push(Link {
                    trace_id: block.field("Trace ID"),
                    span_id: block.field("ID"),
                    trace_state: block.field("TraceState"),
                    flags: 0, // not printed
                    attributes: block.attributes,
                }),
                "Metric" => printed.metrics.push(Metric {
                    name: block.field("Name"),
                    kind: kind(&block),
                    unit: block.field("Unit"),
                    points: Vec::new(),
                    origin: origin(),
                }),
                "NumberDataPoints" | "HistogramDataPoints" => {
                    printed.metrics.last_mut().expect("a metric").points.push(Point {
                        value: if block.name.starts_with('N') {
                            block.field("Value")
                        } else {
                            histogram(&block)
                        },
                        exemplars: Vec::new(),
                        time: (block.number("StartTimestamp"), block.number("Timestamp")),
                        attributes: block.attributes,
                    });
                }
                "Exemplar" => {
                    let point = printed.metrics.last_mut().and_then(|metric| metric.points.last_mut());
                    point.expect("a point").exemplars.push(exemplar());
                }
                "LogRecord" => printed.records.push(record(&block, origin())),
                _ => {}
            }
        }
        printed.records = in_order(printed.records);
        printed
    }
}

fn span(block: &Block, resource: &Attributes, scope: &Scope) -> Span {
    let kind = format!("SPAN_KIND_{}", block.field("Kind").trim_start_matches("SPAN_KIND_"));
    Span {
        trace_id: block.field("Trace ID"),
        span_id: block.field("ID"),
        parent: block.field("Parent ID"),
        trace_state: block.field("TraceState"),
        flags: 0,
        name: block.field("Name"),
        kind: SpanKind::from_str_name(&kind).expect("a kind"),
        start: block.number("Start time"),
        end: block.number("End time"),
        attributes: block.attributes.clone(),
        events: Vec::new(),
        links: Vec::new(),
        status: match block.field("Status code").as_str() {
            "STATUS_CODE_OK" => Status::Ok,
            "STATUS_CODE_ERROR" => Status::Error(block.field("Status message")),
            _ => Status::Unset,
        },
        dropped_attributes: 0,
        dropped_events: 0,
        dropped_links: 0,
        resource: resource.clone(),
        scope: scope.clone(),
    }
}

fn kind(block: &Block) -> String {
    let delta = match block.field("AggregationTemporality").as_str() {
        "AGGREGATION_TEMPORALITY_DELTA" => " delta",
        _ => "",
    };
    match (block.field("DataType").as_str(), block.field("IsMonotonic").as_str()) {
        ("Sum", "true") => format!("counter{delta}"),
        ("Sum", _) => format!("updown{delta}"),
        ("Gauge", _) => "gauge".to_owned(),
        ("Histogram", _) => format!("histogram{delta}"),
        (other, _) => other.to_owned(),
    }
}

/// As `support::signals` has it.
fn histogram(block: &Block) -> String {
    assert_eq!(block.counts.len(), block.ends.len() + 1);
    let [count, sum, min, max] = ["Count", "Sum", "Min", "Max"].map(|name| block.field(name));
    let mut text = format!("count={count} sum={sum} min={min} max={max}");
    let ends = block.ends.iter().map(String::as_str).chain(["inf"]);
    for (end, count) in ends.zip(&block.counts).filter(|(_, count)| **count > 0) {
        write!(text, " ≤{end}:{count}").expect("in memory");
    }
    text
}

fn record(block: &Block, origin: Origin) -> LogRecord {
    let number = block.field("SeverityNumber");
    let number = number.split(['(', ')']).nth(1).expect("a number in parentheses");
    LogRecord {
        severity: (number.parse().expect("a number"), block.field("SeverityText")),
        body: value(&block.field("Body")).to_string(),
        event: block.field("EventName"),
        attributes: block.attributes.clone(),
        dropped_attributes: 0,
        trace_id: block.field("Trace ID"),
        span_id: block.field("Span ID"),
        flags: block.field("Flags").parse().expect("a number"),
        time: block.number("Timestamp"),
        observed: block.number("ObservedTimestamp"),
        origin,
    }
}

#[tokio::test]
async fn rotel_gets_every_signal_over_each_protocol() {
    let rotel = Rotel::start().await;
    let mut all = Vec::new();
    for protocol in PROTOCOLS {
        let to = if protocol == "grpc" { rotel.grpc } else { rotel.http };
        all.push(send(protocol, &format!("http://{to}")).await);
    }
    let printed = rotel.finish();
    for sent in all {
        let spans = sent.own(&printed.spans, |span| &span.resource);
        sent.expect_spans(&spans, Keeps { lists: true, link_details: true, flags: false });
        sent.expect_records(&sent.own(&printed.records, |record| &record.origin.resource));
        let metrics = sent.own(&printed.metrics, |metric| &metric.origin.resource);
        if sent.protocol == "http/json" {
            // Of metrics in JSON it reads neither integers that are strings, as protobuf has those of 64 bits, nor exemplars
            // that lack a field, and says `Empty` in place of such points. The Collector reads them.
            let names: BTreeSet<_> = metrics.iter().map(|metric| metric.name.as_str()).collect();
            let own = ["items", "orders", "queue", "temperature"];
            assert!(own.iter().all(|name| names.contains(name)), "{names:?}");
        } else {
            sent.expect_metrics(&metrics);
        }
    }
}

/// One number that is none, and rotel takes nothing of a batch in JSON: `docs/backends.md` says protobuf.
#[tokio::test]
async fn rotel_takes_a_number_that_is_none_in_protobuf_alone() {
    let rotel = Rotel::start().await;
    for (protocol, taken) in [("http/json", 0), ("http/protobuf", 2)] {
        let server = pounce()
            .guest(Abi::P2, "attributes")
            .flag("--otel-endpoint", format_args!("http://{}", rotel.http))
            .flag("--otel-protocol", protocol)
            .env("OTEL_BSP_SCHEDULE_DELAY", 60_000)
            .env("OTEL_METRICS_EXPORTER", "none")
            .env("OTEL_LOGS_EXPORTER", "none")
            .start()
            .await;
        for query in ["double.ratio=nan", "double.ratio=1"] {
            assert_eq!(client::fetch_path(server.addr(), &format!("/?{query}")).await.status, 200);
        }
        let exit = server.stop().await;
        assert_eq!((exit.totals().exported, exit.totals().dropped), (taken, 2 - taken), "{protocol} {exit}");
    }
}
