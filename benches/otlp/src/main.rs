//! CPU time and allocations of a span from its start until the endpoint has it: `pounce-otlp` beside the stock pipeline
//! (`opentelemetry_sdk` with its batch processor, `opentelemetry-otlp` over HTTP/protobuf with its default client).
//!
//! One span, one receiver (a process of its own, whose time does not count), the same queue and batch sizes, in
//! turns. Both must deliver every span.

#![allow(clippy::print_stdout, reason = "the result is for people")]

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::{Protocol, WithExportConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use pounce_otlp::id::{SpanId, TraceId};
use pounce_otlp::wire::{self, Borrowed, Code, Context, Dropped, Head, Kind, SpanWriter};
use pounce_otlp::{Batching, Buffer, Endpoint, Envelope, Exporter, Signal, Source, Stream, Transport};
use prost::Message;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Spans that are pushed before all of them must have arrived: fewer than the queue has room for.
const ROUND: u64 = 1500;
const ROUNDS: u64 = 40;
/// Measurements of each, in turns.
const TURNS: usize = 5;
const QUEUE: usize = 2048;
const BATCH: usize = 512;
const DELAY: Duration = Duration::from_millis(10);

/// Attributes of the span: what an HTTP server says of a request.
const TEXTS: [(&str, &str); 9] = [
    ("http.request.method", "GET"),
    ("url.path", "/products/42"),
    ("url.scheme", "https"),
    ("server.address", "shop.example"),
    ("http.route", "/products/{id}"),
    ("network.protocol.version", "1.1"),
    ("network.peer.address", "10.1.2.3"),
    ("client.address", "203.0.113.7"),
    ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
];
const NUMBERS: [(&str, u64); 3] =
    [("server.port", 8080), ("http.response.status_code", 200), ("http.response.body.size", 1234)];

fn main() {
    if std::env::args().any(|argument| argument == "--receiver") {
        return receive();
    }
    let mut receiver = Receiver::start();
    let stock = Stock::new(&receiver.url);
    let ours = Ours::new(&receiver.url);
    // Connections, buffers and code are warm.
    stock.run(2);
    ours.run(2);
    let mut costs: [Vec<Cost>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        costs[0].push(Cost::of(|| stock.run(ROUNDS)));
        costs[1].push(Cost::of(|| ours.run(ROUNDS)));
    }
    let spans = ROUND * (2 + ROUNDS * TURNS as u64);
    stock.finish();
    ours.finish(spans);
    assert_eq!(receiver.finish(), 2 * spans, "spans are missing at the receiver");
    let [stock, ours] = costs.map(Cost::median);
    println!("| per span, start to sent | CPU | allocations | bytes allocated |\n| --- | --- | --- | --- |");
    for (name, cost) in [("opentelemetry_sdk + opentelemetry-otlp", &stock), ("pounce-otlp", &ours)] {
        let Cost { cpu, allocations, bytes } = cost;
        println!("| {name} | {:.2} µs | {allocations:.2} | {bytes:.0} |", cpu * 1e6);
    }
    println!("\nCPU: {:.1} × less", stock.cpu / ours.cpu);
}

/// What one span costs.
struct Cost {
    /// Seconds.
    cpu: f64,
    allocations: f64,
    bytes: f64,
}

impl Cost {
    fn of(run: impl FnOnce()) -> Self {
        let (cpu, memory) = (process_cpu(), ALLOCATOR.stats());
        run();
        let memory = ALLOCATOR.stats() - memory;
        let spans = (ROUND * ROUNDS) as f64;
        Cost {
            cpu: (process_cpu() - cpu) / spans,
            allocations: (memory.allocations + memory.reallocations) as f64 / spans,
            bytes: memory.bytes_allocated as f64 / spans,
        }
    }

    fn median(mut costs: Vec<Cost>) -> Cost {
        costs.sort_by(|one, other| one.cpu.total_cmp(&other.cpu));
        costs.swap_remove(TURNS / 2)
    }
}

/// Seconds of processor time of this process, all threads, those that have ended too.
fn process_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<_> = stat[stat.rfind(')').expect("a name")..].split(' ').collect();
    // User and system time, in hundredths.
    [12, 13].iter().map(|at| fields[*at].parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}

struct Stock {
    provider: SdkTracerProvider,
}

impl Stock {
    fn new(url: &str) -> Self {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{url}/v1/traces"))
            .build()
            .expect("an exporter");
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        let resource = Resource::builder().with_service_name("bench").build();
        let provider =
            SdkTracerProvider::builder().with_span_processor(processor).with_resource(resource).build();
        Stock { provider }
    }

    fn run(&self, rounds: u64) {
        let tracer = self.provider.tracer("bench");
        for _ in 0..rounds {
            for _ in 0..ROUND {
                let texts = TEXTS.iter().map(|(key, text)| KeyValue::new(*key, *text));
                let numbers = NUMBERS.iter().map(|(key, number)| KeyValue::new(*key, *number as i64));
                let mut span = tracer
                    .span_builder("GET /products/{id}")
                    .with_kind(SpanKind::Server)
                    .with_attributes(texts.chain(numbers).collect::<Vec<_>>())
                    .start(&tracer);
                span.set_status(Status::Ok);
                span.end();
            }
            self.provider.force_flush().expect("it is sent");
        }
    }

    fn finish(self) {
        self.provider.shutdown().expect("it ends");
    }
}

struct Ours {
    buffer: Arc<Buffer>,
    exporter: Exporter,
}

impl Ours {
    fn new(url: &str) -> Self {
        let (mut resource, mut scope) = (Vec::new(), Vec::new());
        wire::attribute(&mut resource, 1, "service.name", Borrowed::Text("bench"));
        wire::bytes(&mut scope, 1, b"bench");
        let buffer = Arc::new(Buffer::new(QUEUE, BATCH));
        let base = url.parse().expect("a URL");
        let stream = Stream {
            signal: Signal::Traces,
            endpoint: Endpoint::of(Signal::Traces, &base, Transport::default()),
            source: Source::Buffer {
                buffer: Arc::clone(&buffer),
                envelope: Envelope::new(&resource.into(), scope, ""),
                batching: Batching { delay: DELAY, max_items: BATCH },
            },
        };
        Ours { buffer, exporter: Exporter::builder().stream(stream).start().expect("an exporter") }
    }

    fn run(&self, rounds: u64) {
        for _ in 0..rounds {
            let before = self.buffer.counts().exported();
            for _ in 0..ROUND {
                let context = Context {
                    trace_id: TraceId::random(),
                    span_id: SpanId::random(),
                    flags: 1,
                    trace_state: "",
                };
                let start_unix_nanos = unix_nanos();
                let head = Head {
                    context,
                    parent: None,
                    parent_is_remote: false,
                    kind: Kind::Server,
                    start_unix_nanos,
                    end_unix_nanos: unix_nanos(),
                };
                self.buffer.push(|out| {
                    let mut span = SpanWriter::start(out, &head);
                    span.name(["GET ", "/products/{id}", ""]);
                    TEXTS.iter().for_each(|(key, text)| span.text(key, text));
                    NUMBERS.iter().for_each(|(key, number)| span.int(key, *number));
                    span.status(Code::Ok, "");
                    span.finish(Dropped::default());
                });
            }
            while self.buffer.counts().exported() < before + ROUND {
                assert_eq!(self.buffer.counts().losses().total(), 0, "spans are lost");
                std::thread::sleep(Duration::from_micros(500));
            }
        }
    }

    fn finish(self, spans: u64) {
        self.exporter.shutdown(Instant::now() + Duration::from_secs(10));
        let totals = self.buffer.totals();
        assert_eq!((totals.ended, totals.exported), (spans, spans), "{totals:?}");
    }
}

fn unix_nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}

/// The receiver's process, as this one sees it.
struct Receiver {
    process: Child,
    url: String,
    lines: BufReader<std::process::ChildStdout>,
}

impl Receiver {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .arg("--receiver")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a receiver");
        let mut lines = BufReader::new(process.stdout.take().expect("its lines"));
        let mut url = String::new();
        lines.read_line(&mut url).expect("its address");
        Receiver { process, url: url.trim().to_owned(), lines }
    }

    /// Spans that it got.
    fn finish(&mut self) -> u64 {
        drop(self.process.stdin.take());
        let mut spans = String::new();
        self.lines.read_line(&mut spans).expect("its count");
        self.process.wait().expect("its end");
        spans.trim().parse().expect("a number")
    }
}

/// Runs as the receiver: takes requests over HTTP/1.1 until standard input ends, then says how many spans came.
fn receive() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("http://{}", listener.local_addr().expect("an address"));
    let spans = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&spans);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || while serve(&stream, &counted).is_some() {});
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new()).expect("an end");
    println!("{}", spans.load(SeqCst));
}

/// One request and its answer; none when the connection ends.
fn serve(stream: &TcpStream, counted: &AtomicU64) -> Option<()> {
    // Without a buffer, nothing of the next request is read and lost: heads are short.
    let mut stream = stream;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let request = ExportTraceServiceRequest::decode(&*body).ok()?;
    let of_scopes = request.resource_spans.iter().flat_map(|of_resource| &of_resource.scope_spans);
    counted.fetch_add(of_scopes.map(|of_scope| of_scope.spans.len() as u64).sum(), SeqCst);
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}
