//! One test binary: everything a user, a client or an operator can see, against the real `pounce`.
//!
//! Tests start the built binary on port 0 (`support::pounce`), talk to it as a client (`support::client`) and read
//! its spans as a collector would (`support::collector`). Guests come from `make guests`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and the long ones report what they measured"
)]

/// The real binary, the fake collector and origin, HTTP clients, span comparison.
mod support;

/// A component answers HTTP: both ABIs, both protocols, streaming, trailers, HEAD, 100-continue.
mod serve;

/// The admin listener: health, status, metrics, traces; its own limits, a real Prometheus, alerts and dashboard.
mod admin;
/// The layers, file sizes, and that every guest is tested.
mod architecture;
/// Real receivers give back what was sent; those that fail cost nothing; what vendors document works.
mod backend;
/// Who failed, and what it said.
mod blame;
/// Bodies that guests write: what is not whole never looks whole.
mod bodies;
/// Memory after bursts.
mod bursts;
/// The spans of what guests call.
mod calls;
/// `pounce test`: cases with expected responses and traces.
mod cases;
/// `pounce check`: what is in force, who set it, and everything that is wrong.
mod check;
/// The cache of compiled components, and artifacts.
mod compiled;
/// What shells complete, and man pages.
mod completions;
/// Several components in one server.
mod components;
/// Components composed of several.
mod composed;
/// The tree that people read.
mod console;
/// The files in `ops/` that a deployment begins with.
mod deployment;
/// `pounce dev`: builds, reloads, error pages, keys, and what it shows on a terminal.
mod dev;
/// `pounce doctor`: why telemetry does not arrive, and what to do.
mod doctor;
/// README and docs: links, commands, names.
mod documents;
/// Stopping: signals, the grace period, the last batch.
mod drain;
/// A server at the edge for a while: TLS, several components, traps, outages, reloads, new certificates.
mod edge;
/// Envoy before several servers, with the settings that operators begin with.
mod envoy;
/// The examples of the library.
mod examples;
/// Exceptions of other languages, by their own names.
mod exceptions;
/// From a finished span to the endpoint: batches, settings, failures, the console.
mod export;
/// What a client gets when a guest fails, and what the span says.
mod failures;
/// What one client does to a server for a while, and what it costs the others.
mod floods;
/// Components from JavaScript and Python.
mod foreign;
/// Reverse proxies: whom to believe, and what guests see of it.
mod forwarded;
/// HTTP/1.1 as it should not be written, beside bare hyper.
mod framing;
/// Spans of a guest's own.
mod guest_spans;
/// The guests that show spans, calls and limits answer what their heads say.
mod guests_telemetry;
/// h2spec's cases of HTTP/2.
mod h2spec;
/// What a server gives up for good, and that it serves all the same.
mod hardened;
/// Request heads: what the server itself refuses, and what a guest sees of the others.
mod heads;
/// What guests have their host keep: it is bounded, it counts, it is given back.
mod hoard;
/// Guests that tell more, and worse, than anybody would want to hear.
mod hostile;
/// HTTP/2: what Go's and Node's clients need, windows, floods.
mod http2;
/// Nothing lands on the wrong trace, however requests are interleaved.
mod identity;
/// Sockets that the service manager hands over.
mod inherited;
/// Requests that share an instance keep to themselves.
mod isolation;
/// Signals other than those that drain, and those before there is anything to drain.
mod kill;
/// Projects that `pounce new` writes, with the tools of each language.
mod kits;
/// Clients that go away.
mod left;
/// Responses that say how long they are.
mod lengths;
/// The library: requests without a socket.
mod library;
/// Sizes, counts, times and memory: what a client gets beyond each limit.
mod limits;
/// Our own log: each line whose it is, on stderr and at the endpoint; the access log; `Server-Timing`.
mod log;
/// What a new user is told in the first hour.
mod messages;
/// What requests do to each other.
mod neighbours;
/// What a guest may call, and the trace that goes with it.
mod outbound;
/// Requests that a client sends without waiting for the responses.
mod pipelined;
/// The component of the first run.
mod prebuilt;
/// Trace context and baggage, in and out: formats, trust, destinations.
mod propagation;
/// The PROXY protocol.
mod proxied;
/// Servers that are not ready: who hears what of them.
mod ready;
/// What is refused before anything is served, with a message that says what to do.
mod refusals;
/// What `make dist` packs.
mod release;
/// Other components and routes, while requests are served.
mod reload;
/// Requests that a neighbour's trap failed, and that run once more.
mod retries;
/// Routes: which requests are served, and what they are called.
mod routes;
/// What is exported of all that is served: kept requests, shares by route, limits.
mod sampling;
/// Settings of guests, by `wasi:config`.
mod settings;
/// Metrics and log records of guests: what arrives, what our own log says, what is lost and told.
mod signals;
/// Full load for a while: memory and numbers hold.
mod soak;
/// What guests get of `wasi:sockets`, and what not.
mod sockets;
/// What guests write to stdout and stderr.
mod stdio;
/// What systemd is told, and `pounce health`.
mod supervised;
/// TLS on the listeners: versions, names, certificates that change, clients that show theirs, handshakes that fail.
mod tls;
/// What the SDKs make of a guest's code: functions, the crate `tracing`, panics; JavaScript and Python.
mod traced;
/// The server span: names, parents, attributes of each profile, sampling, resource, the guest's own attributes.
mod tracing;
/// How telemetry is sent, and to endpoints that fail.
mod transport;
/// Request bodies: what came of them, what nobody read, and what never came.
mod uploads;
/// What an OpenTelemetry SDK inside a guest hands over.
mod wasi_otel;
