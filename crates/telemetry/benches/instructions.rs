//! Instructions of what telemetry does for each request, counted by callgrind, so that a machine's load does not matter.
//!
//! ```text
//! cargo bench -p pounce-telemetry --bench instructions              # tells them
//! cargo bench -p pounce-telemetry --bench instructions -- --check   # fails on 3 % more than `instructions.txt` has
//! BLESS=1 cargo bench -p pounce-telemetry --bench instructions      # writes that file anew
//! ```
//!
//! The same sources, toolchain and dependencies give the same counts on any x86-64 but for a few: the C library takes
//! other routines to copy by the processor's features, and maps hash by random keys. That is well below the 3 %.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

mod requests;

use http::{HeaderMap, request::Parts};
use pounce_telemetry::settings::Semconv;
use requests::{PARENT, Requests, head, propagate};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{Command, ExitCode};

/// Times that each path is gone before it is counted, and while it is.
const WARM: u32 = 600;
const COUNTED: u32 = 1000;
/// Percent by which a count may be above the one that is kept.
const TOLERANCE: u64 = 3;
/// Instructions by which it may be above that: of the shortest paths 3 % are fewer than a machine's C library makes.
const NOISE: u64 = 5;
/// The argument by which the program calls itself under callgrind.
const ONE: &str = "--one";

type Path = (&'static str, fn() -> Box<dyn FnMut()>);

/// What is counted, by name.
const PATHS: [Path; 13] = [
    ("off", || serve(Requests::off(), &[])),
    ("unsampled", || serve(Requests::on(false, Semconv::Compat), &[])),
    ("unsampled, with a parent", || serve(Requests::on(false, Semconv::Compat), &[("traceparent", PARENT)])),
    ("unsampled, with metrics", || serve(Requests::measured(false), &[])),
    ("off, with metrics", || serve(Requests::only_measured(), &[])),
    ("sampled, 14 attributes", || serve(Requests::on(true, Semconv::Http), &[])),
    ("sampled, 21 attributes", || serve(Requests::on(true, Semconv::Compat), &[])),
    ("sampled, with a parent", || serve(Requests::on(true, Semconv::Compat), &[("traceparent", PARENT)])),
    ("sampled, with metrics", || serve(Requests::measured(true), &[])),
    ("sampled, recent traces", || serve(Requests::shown(), &[])),
    ("sampled, a child", || serve_with(Requests::request_with_child, Requests::on(true, Semconv::Http), &[])),
    ("unsampled, kept if it fails, a child", || {
        serve_with(Requests::request_with_child, Requests::keeping_errors(), &[])
    }),
    ("extract and inject", || {
        let (mut from, mut to) = (HeaderMap::new(), HeaderMap::new());
        from.insert("traceparent", PARENT.parse().expect("a valid header"));
        from.insert("tracestate", "a=1,b=2,vendor=x".parse().expect("a valid header"));
        Box::new(move || propagate(black_box(&from), &mut to))
    }),
];

/// Serves a request each time, and takes the spans out now and then, as the exporter would.
fn serve(spans: Requests, headers: &[(&str, &str)]) -> Box<dyn FnMut()> {
    serve_with(Requests::request, spans, headers)
}

/// Serves it in the way of `request`.
fn serve_with(request: fn(&Requests, &Parts), spans: Requests, headers: &[(&str, &str)]) -> Box<dyn FnMut()> {
    let head = head(&[&[("user-agent", "curl/8.5.0")], headers].concat());
    let mut since_drain = 0;
    Box::new(move || {
        request(&spans, black_box(&head));
        since_drain += 1;
        if since_drain == 500 {
            since_drain = 0;
            black_box(spans.drain());
        }
    })
}

/// Callgrind counts what happens in here, by the function's name.
#[inline(never)]
fn counted_by_callgrind(path: &mut dyn FnMut()) {
    for _ in 0..COUNTED {
        path();
    }
}

/// Goes one path, to be counted.
fn go(name: &str) {
    let found = PATHS.iter().find(|(known, _)| *known == name);
    let mut path = found.expect("a name of the table").1();
    for _ in 0..WARM {
        path();
    }
    counted_by_callgrind(&mut *path);
}

/// Instructions of one time.
fn count(name: &str) -> Result<u64, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .args(["--toggle-collect=*counted_by_callgrind*"])
        .arg(own)
        .args([ONE, name])
        .output()
        .map_err(|error| format!("valgrind: {error} (Debian: apt-get install valgrind)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected =
        said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<u64>().ok());
    collected.map(|all| all / u64::from(COUNTED)).ok_or_else(|| format!("callgrind counted nothing: {said}"))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == ONE) {
        go(&arguments[at + 1]);
        return ExitCode::SUCCESS;
    }
    let kept_in = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
    let text = std::fs::read_to_string(kept_in).unwrap_or_default();
    let kept: BTreeMap<&str, u64> = text
        .lines()
        .filter_map(|line| line.rsplit_once(": "))
        .filter_map(|(name, count)| Some((name, count.parse().ok()?)))
        .collect();
    let mut counts = String::new();
    let mut worse = Vec::new();
    for (name, _) in PATHS {
        let count = match count(name) {
            Ok(count) => count,
            Err(problem) => {
                eprintln!("{problem}");
                return ExitCode::FAILURE;
            }
        };
        counts += &format!("{name}: {count}\n");
        let known = kept.get(name).copied();
        println!(
            "{name:38} {count:7} instructions, kept {}",
            known.map_or("none".into(), |known| known.to_string())
        );
        if known.is_none_or(|known| count > known * (100 + TOLERANCE) / 100 + NOISE) {
            worse.push(name);
        }
    }
    if std::env::var_os("BLESS").is_some() {
        if let Err(error) = std::fs::write(kept_in, counts) {
            eprintln!("{kept_in}: {error}");
            return ExitCode::FAILURE;
        }
    } else if !worse.is_empty() && arguments.iter().any(|argument| argument == "--check") {
        eprintln!(
            "more than {TOLERANCE} % above benches/instructions.txt: {}; if it is worth it, write that file anew with BLESS=1",
            worse.join("; ")
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
