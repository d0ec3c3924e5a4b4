//! Every option, by section: the only list of options in the repository.
//!
//! The first paragraph of an entry is its short help. Adding an option is adding an entry here and
//! using the field: flag, variable, key, help, example file and `pounce check` follow.

use std::path::PathBuf;
use std::time::Duration;

use super::declared::Declared;
use super::macros::options;
use super::route::Route;
use super::value::*;
use super::{memory, otel_env};

options! {
    /// How requests reach the server, and how many at once.
    pub struct Http: "http", "HTTP", false, plain {
        /// Address to listen on: HOST:PORT or unix:PATH.
        ///
        /// Port 0 picks a free port; an IPv6 address stands in brackets. Sockets that the service manager hands
        /// over (LISTEN_FDS) are listened on, too; with them, only addresses that are set count, not the default.
        listen: Vec<ListenAddr>, "ADDR" = "127.0.0.1:8080";

        /// File of a certificate for TLS, as PEM; turns TLS on.
        ///
        /// The certificate first, then those of the authorities between. With several, each with its key in the
        /// same place, the name that the client asks for (SNI) chooses; the first serves all others. Every TCP
        /// address of http.listen speaks TLS then (1.2 and 1.3, HTTP/2 and HTTP/1.1), Unix sockets do not. Files
        /// that change are read again, without a restart.
        tls_cert: Vec<Certificates>, "FILE" = (Vec::new, "none", "cert.pem");

        /// File of that certificate's private key, as PEM, not encrypted.
        tls_key: Vec<PrivateKey>, "FILE" = (Vec::new, "none", "key.pem");

        /// File of the authorities that vouch for clients' certificates, as PEM.
        ///
        /// It has an effect with tls-client-auth.
        tls_client_ca: Option<Certificates>, "FILE" = (no_value, "none", "clients-ca.pem");

        /// Whether clients show a certificate: none, optional or required.
        ///
        /// With optional, a client may show none; one that it shows must be vouched for by tls-client-ca, and be
        /// made for clients. Spans have its subject and its SHA-256 fingerprint (tls.client.*).
        tls_client_auth: ClientAuth, "HOW" = "none";

        /// Time a client has for the TLS handshake.
        ///
        /// 0 or none for no limit.
        handshake_timeout: Timeout, "TIME" = "10s";

        /// Route to the component: `[METHOD ][HOST]PATH=COMPONENT`.
        ///
        /// For example `/items/{id}=shop` or `GET *.example.com/{*rest}=shop`. With routes, requests that none is for
        /// get 404, or 405 where only the method is wrong. The most specific counts, by host, then path, then method.
        /// The path's pattern is http.route of spans and metrics. In a file, also as `[[route]]`.
        route: Vec<Route>, "ROUTE" = (Vec::new, "none", "/items/{id}=shop");

        /// Connections held open at once; further ones wait in the backlog.
        ///
        /// Connections in a TLS handshake count.
        max_connections: usize, "N" = "10000";

        /// Requests served at once; further ones are shed.
        ///
        /// A shed request gets 503 with Retry-After, before any work is done for it.
        max_in_flight: usize, "N" = "1024";

        /// Requests of one client address served at once; further ones are shed.
        ///
        /// An address of IPv6 is its /64 network. Those that trusted proxies tell count for their clients, those on
        /// Unix sockets for nobody. The share's 503 has this option's name in log and span.
        max_in_flight_per_peer: Option<usize>, "N" = (no_value, "a quarter of max-in-flight", "64");

        /// Reverse proxy whose word on its clients is believed: a network, an address, or unix.
        ///
        /// From these, and from nobody else, come client address, scheme, host and port of a request, for the guest
        /// and its span: see forwarded-header. 10.0.0.0/8, fd00::/8 or an address; unix stands for all peers on
        /// Unix sockets. What others say of it is removed.
        trusted_proxies: Vec<TrustedProxy>, "NETWORK" = (Vec::new, "none", "10.0.0.0/8");

        /// Headers in which trusted proxies say it: x-forwarded or forwarded.
        ///
        /// x-forwarded is X-Forwarded-For, -Proto, -Host and -Port; forwarded is Forwarded (RFC 7239). Only
        /// these are read, and these Pounce writes into every request that a guest gets; the others are removed.
        forwarded_header: ForwardedHeader, "HEADERS" = "x-forwarded";

        /// PROXY protocol that trusted proxies speak: off, v1 or v2.
        ///
        /// With it, each connection of trusted-proxies begins with what its proxy says of its client (within
        /// handshake-timeout, before TLS), and is closed where it does not. Those of others must not.
        proxy_protocol: ProxyProtocol, "VERSION" = "off";

        /// Requests a second that one client address may send: N or N/BURST.
        ///
        /// BURST is how many may come at once after a pause, N where it is left out. Further ones get 429 with
        /// Retry-After. Clients are told apart as for max-in-flight-per-peer. 0 or none for no limit.
        rate_limit: Rate, "RATE" = (Rate::default, "none", "50/200");

        /// Time a client has to send a request head.
        ///
        /// Counted from the head's first byte. 0 or none for no limit.
        header_timeout: Timeout, "TIME" = "10s";

        /// Time a connection may stay open without a request.
        ///
        /// Also: time a client may take to read on, or to send on while its guest waits for the request's body. 0 or
        /// none for no limit.
        idle_timeout: Timeout, "TIME" = "60s";

        /// Time a guest has to begin its response.
        ///
        /// Counted from the request head to the response head. Then the guest is interrupted, and the
        /// client gets 504. 0 or none for no limit.
        request_timeout: Timeout, "TIME" = "30s";

        /// Time a response has until its end.
        ///
        /// Counted from the request head to the last byte of the response. Then the guest is interrupted, and the
        /// response breaks off (504 where it has not begun). 0 or none for no limit.
        response_timeout: Timeout, "TIME" = "none";

        /// Largest request head; larger ones get 431.
        max_header_size: ByteSize, "SIZE" = "32KiB";

        /// Lines of headers that a request may have; with more it gets 431.
        ///
        /// Holds for HTTP/1.1 and for HTTP/2, whose pieces of a Cookie count as one line.
        max_headers: usize, "N" = "100";

        /// Largest request body; larger ones get 413.
        ///
        /// 0 or none for no limit.
        max_request_body: ByteLimit, "SIZE" = "64MiB";

        /// Time for which requests are still served as ever when the server is told to stop.
        ///
        /// Meanwhile /readyz says 503, so that load balancers look elsewhere; then the drain begins.
        drain_delay: Duration, "TIME" = "0s";

        /// Time requests in flight have to finish when the server stops.
        ///
        /// SIGTERM or Ctrl-C begins it; a second signal ends it. 0 cuts requests at once.
        grace_period: Duration, "TIME" = "30s";

        /// Whether responses say their trace and the times of their phases (Server-Timing).
        ///
        /// A browser shows them. Pages of other origins see them only if the guest's Timing-Allow-Origin
        /// names those.
        server_timing: bool, "ON|OFF" = "off";

        /// Whether the process restricts itself at its start: off, on or required.
        ///
        /// It may write then to the cache, the spool and the directories with :rw alone, run no program file but its
        /// own (the compiler), and make none of the system calls that no server needs; its children neither. The kernel
        /// sees to it (landlock, from Linux 6.2 on, and seccomp). With on, what the kernel lacks is logged; with
        /// required, the server does not start then. What a reload adds to these directories needs a restart.
        harden: Harden, "HOW" = "off";
    }
}

options! {
    /// What a guest may use, and how its instances are shared.
    pub struct Guest: "guest", "Guest", false, plain {
        /// Linear memory one instance may use; growing further is refused.
        max_memory: ByteSize, "SIZE" = "128MiB";

        /// Memory all instances together may use; beyond it requests are shed.
        ///
        /// Linear memory, and what the server keeps for guests: header fields, bodies, calls, streams, tasks; of
        /// the latter an instance may have 32 MiB. Instances that work for one client address have as large a
        /// part of it as the address has of the places (see max-in-flight-per-peer), and one instance's limits
        /// at least.
        max_total_memory: ByteSize, "SIZE" =
            (memory::share_for_guests, "80 % of the cgroup's or the machine's", "2GiB");

        /// Whether requests share an instance: request (they don't) or instance (they do).
        ///
        /// With request, each request gets a fresh instance and can't see or harm another. With
        /// instance, requests share its memory and its traps, and start faster. Several 0.3 components
        /// composed into one (middleware) get a fresh one by default: what an inner one does in a task of
        /// its own cannot be told to belong to a request while others share its instance. With instance
        /// they serve several times as much, and what cannot be told is on no trace, but counted. So do
        /// components of Python for 0.3, since a task that is left running ends the instance. Those of
        /// componentize-js always do: their runtime answers one request in each instance.
        isolation: Option<Isolation>, "MODE" =
            (no_value, "request for wasi:http 0.2, compositions and Python, instance for 0.3", "request");

        /// Directory of compiled components, or none: each start compiles.
        ///
        /// A component that is in it starts at once. Its files are sealed with a key of this user on this machine
        /// (pounce/machine.key in the XDG data directory), and nobody else may have access to the directory.
        cache: CacheDir, "DIR" = (CacheDir::of_user, "pounce/compiled in the XDG cache directory", "none");

        /// Size of all files in the cache; the least recently used go first.
        cache_max: ByteSize, "SIZE" = "1GiB";

        /// Time a component has to compile; then it is not served.
        ///
        /// 0 or none for no limit.
        compile_timeout: Timeout, "TIME" = "5m";

        /// Memory that compiling a component may take; then it is not served.
        ///
        /// 0 or none for no limit.
        compile_memory: ByteLimit, "SIZE" = "4GiB";

        /// Instances made before the first request, which is then as fast as later ones.
        ///
        /// With --isolation instance they are kept for the first requests; with request they lay out the memory of
        /// so many slots. 0 makes one all the same, to see whether it can be made.
        warm: Option<usize>, "N" = (no_value, "one for each processor", "8");

        /// Whether components are loaded again when they, or the file of settings, change.
        ///
        /// As SIGHUP does it at any time: see pounce serve --help.
        watch: bool, "ON|OFF" = "off";

        /// Public key that must have signed artifacts (.cwasm).
        ///
        /// The file of an Ed25519 key (SPKI, PEM): see pounce compile --help. Without it, only artifacts that this user
        /// compiled on this machine are served. Components (.wasm, .wat) need none.
        artifact_key: Option<ArtifactKey>, "FILE" = (no_value, "none", "artifacts.pub.pem");

        /// Requests an instance serves before it is replaced, with --isolation instance.
        reuse: usize, "N" = "128";

        /// Requests served at once by one instance of a wasi:http 0.3 component.
        concurrency: usize, "N" = "16";

        /// Requests that run once more when another's trap failed them: safe, all or off.
        ///
        /// safe: GET, HEAD and OPTIONS without a body. all: any method, while nothing of the body was read. Each runs
        /// alone in a fresh instance, once, within its time; not after its response has begun, nor after the guest has
        /// made an outgoing call for it, nor in components with a dir that they may write to. At most a quarter of
        /// max-in-flight run so at once. The request that trapped never does.
        retry_neighbours: RetryNeighbours, "WHICH" = "safe";

        /// Host the guest may call: `[scheme://]host[:port]`.
        ///
        /// For example `https://api.example.com`, `*.example.com:443` or `http://127.0.0.1:*`. Without a
        /// port, the one that goes with the scheme. A `*` alone stands for any public host, at any port;
        /// loopback, private, link-local and metadata addresses are allowed only when named.
        allow_outbound: Vec<OutboundRule>, "HOST" = (Vec::new, "none", "https://api.example.com");

        /// Host name that the guest may look up by `wasi:sockets`.
        ///
        /// db.example.com, *.example.com (every name below it) or * (any); of what matches a * the guest gets public
        /// addresses only. What it sends goes through `wasi:http` all the same: it has no sockets of its own.
        allow_lookup: Vec<LookupRule>, "NAME" = (Vec::new, "none", "db.example.com");

        /// Environment variable of the guest: KEY=VALUE, KEY or KEY=@FILE.
        ///
        /// KEY takes the value from Pounce's own environment, KEY=@FILE from a file, without the
        /// last line end (KEY=@@… for a value that starts with @). Values are never printed.
        env: Vec<EnvVar>, "KEY=VALUE" = (Vec::new, "none", "GREETING=hello");

        /// Setting that the guest reads by `wasi:config`: KEY=VALUE or KEY=@FILE.
        ///
        /// KEY=@FILE takes the value from a file, without the last line end (KEY=@@… for a value that starts
        /// with @). Without any, the guest reads what --env gives it. Values are never printed.
        wasi_config: Vec<WasiConfigEntry>, "KEY=VALUE" = (Vec::new, "what guest.env says", "greeting=hello");

        /// Argument of the guest; never printed.
        args: Vec<Arg>, "ARG" = (Vec::new, "none", "--verbose");

        /// Directory the guest may use: HOST::GUEST or HOST::GUEST:rw.
        ///
        /// HOST is a directory here, GUEST the path the guest sees. Read-only unless :rw is added.
        dir: Vec<DirMount>, "HOST::GUEST" = (Vec::new, "none", "./assets::/assets");
    }
}

options! {
    /// The options of `[otel]`; [`Otel`](super::Otel) adds what only standard variables set.
    pub(crate) struct OtelOptions: "otel", "Telemetry", true, sourced {
        /// OTLP endpoint; setting it turns telemetry on.
        ///
        /// /v1/traces is appended to its path unless it ends in it. Metrics and log records go beside it, to
        /// /v1/metrics and /v1/logs. With grpc, host and port are enough.
        endpoint: Option<Endpoint>, "URL" = (no_value, "none", "http://localhost:4318")
            or otel_env::endpoint["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

        /// Where spans go: otlp, console (a tree per request on stderr) or none.
        ///
        /// console needs no endpoint. Metrics and log records are sent to their endpoints in any case,
        /// unless OTEL_METRICS_EXPORTER or OTEL_LOGS_EXPORTER is none. OTEL_SDK_DISABLED=true turns all
        /// three off.
        exporter: Exporter, "EXPORTER" = "otlp"
            or otel_env::exporter["OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"];

        /// Name of the service in traces.
        service_name: Option<String>, "NAME" = (no_value, "the component's name", "shop")
            or otel_env::service_name["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"];

        /// Header sent to the endpoint: NAME=VALUE, several with commas between.
        ///
        /// Percent-encode a comma in a value (%2C). Values are never printed.
        headers: Vec<Header>, "NAME=VALUE" = (Vec::new, "none", "x-scope=shop")
            or otel_env::headers["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];

        /// Form of OTLP: http/protobuf, http/json or grpc.
        ///
        /// Receivers usually take the first two at port 4318, and grpc at port 4317. With grpc nothing is
        /// appended to the endpoint's host and port.
        protocol: Protocol, "PROTOCOL" = "http/protobuf"
            or otel_env::word["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"];

        /// How requests to the endpoint are compressed: none or gzip.
        compression: Compression, "COMPRESSION" = "none"
            or otel_env::word[
                "OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"
            ];

        /// File of the authorities that vouch for an https endpoint, as PEM.
        ///
        /// They replace those of the system. Read once, at the start; so are the two that follow.
        certificate: Option<Certificates>, "FILE" = (no_value, "those of the system", "ca.pem")
            or otel_env::file[
                "OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"
            ];

        /// File of the certificate with which Pounce shows who it is to the endpoint, as PEM.
        ///
        /// Certificates of the authorities between may follow it. Needs --otel-client-key.
        client_certificate: Option<Certificates>, "FILE" = (no_value, "none", "client.pem")
            or otel_env::file[
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE"
            ];

        /// File of that certificate's private key, as PEM, not encrypted.
        client_key: Option<PrivateKey>, "FILE" = (no_value, "none", "client.key")
            or otel_env::file[
                "OTEL_EXPORTER_OTLP_CLIENT_KEY", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY"
            ];

        /// Directory where telemetry waits while the endpoint does not take it.
        ///
        /// Without it, what does not fit into memory meanwhile is dropped. Made if it is not there. What it
        /// holds is sent, the oldest first, when the endpoint is back, also after a restart. Each process
        /// needs its own.
        spool: Option<PathBuf>, "DIR" = (no_value, "none", "./spool");

        /// Most that the spool may take on the disk.
        ///
        /// Beyond it, the oldest is dropped and counted.
        spool_max: ByteSize, "SIZE" = "256MiB";

        /// Share of traces that is kept, from 0 to 1.
        ///
        /// Where the caller of a request has decided, its decision stands. Sampled traces say their share in
        /// tracestate (ot=th:…), by which a backend knows how many requests each stands for.
        sample: Sampler, "RATIO" = "1.0"
            or otel_env::sampler["OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"];

        /// Share of the traces of a route, in place of sample: [METHOD ]PATH=RATIO.
        ///
        /// `{id}` in a path stands for a segment, `{*rest}` at its end for all that follows; the path is
        /// compared as the client wrote it. A pattern with the request's method counts before one without,
        /// and a path without a pattern is for sample to decide. The pattern of the request's http.route
        /// counts before those that its path merely has.
        sample_route: Vec<SampleRoute>, "RULE" = (Vec::new, "none", "/health=0");

        /// Keeps the traces of requests that fail, also those that the sampler left out.
        ///
        /// It overrides sample, sample-route and a caller that decided not to sample. Requests are then
        /// recorded, and those that do not fail are thrown away at their end. The flag that others are
        /// told stays 00 (not sampled); a kept server span has pounce.sampling.reason.
        keep_errors: bool, "ON|OFF" = "off";

        /// Keeps the traces of requests that take longer than this, as keep-errors does.
        ///
        /// From the request head to the end of the response's body. 0 or none for not at all.
        keep_slow: Timeout, "TIME" = "none";

        /// Formats of trace context in headers: tracecontext, baggage, b3, b3multi or none.
        ///
        /// Requests are read in all of them, and what guests send carries all of them, and no other: what a
        /// guest has set of these and of Jaeger's, X-Ray's, Datadog's and OpenTracing's headers is removed.
        /// Where a request brings several, tracecontext counts before b3 in one header, and that before b3multi.
        propagators: Propagators, "FORMAT" = (Propagators::default, "tracecontext, baggage", "b3")
            or otel_env::propagators["OTEL_PROPAGATORS"];

        /// Whose trace context is believed: on (everybody's), off or networks.
        ///
        /// A request of anybody else starts a trace of its own, linked to the caller's; the caller's
        /// baggage and decision to sample don't count. Networks are 10.0.0.0/8, fd00::/8 or addresses;
        /// peers on unix sockets are in none.
        trust_parent: TrustParent, "WHO" = (TrustParent::default, "on", "10.0.0.0/8");

        /// Host that gets the trace context of a guest's call: `[scheme://]host[:port]`, or none.
        ///
        /// As in guest.allow-outbound, but a `*` alone stands for every host. Calls to others carry no
        /// trace context and no baggage in any format, not even what the guest has set.
        propagate_to: PropagateTo, "HOST" =
            (PropagateTo::default, "every host the guest may call", "*.internal.example");

        /// Name of the service behind a host that guests call: HOST=NAME.
        ///
        /// It is peer.service of the calls' spans; service graphs make one node of all hosts without it. HOST
        /// is as in guest.allow-outbound, but a `*` alone stands for every host; without a port it means 80
        /// for http and 443 for https. The first that matches counts.
        peer_service: Vec<PeerService>, "HOST=NAME" =
            (Vec::new, "none", "http://orders.internal:8080=orders");

        /// Whether traces that start here say that their id is random (flag 02 of W3C level 2).
        ///
        /// Turn it off for a backend that takes only the flag 01 for sampled. The flag of a caller is
        /// passed on all the same.
        random_flag: bool, "ON|OFF" = "on";

        /// Semantic conventions of spans: compat, http/dup or http.
        ///
        /// http is the stable form; http/dup adds the legacy attributes; compat has the legacy span
        /// names, too.
        semconv: Semconv, "PROFILE" = "compat"
            or otel_env::semconv["OTEL_SEMCONV_STABILITY_OPT_IN"];

        /// Request header that is recorded on spans, as http.request.header.NAME.
        ///
        /// Headers that carry credentials are refused.
        request_headers: Vec<HeaderToRecord>, "NAME" = (Vec::new, "none", "x-request-id");

        /// Response header that is recorded on spans, as http.response.header.NAME.
        ///
        /// Headers that carry credentials are refused.
        response_headers: Vec<HeaderToRecord>, "NAME" = (Vec::new, "none", "cache-control");

        /// What a remote parent that a guest names is to its span: link or adopt.
        ///
        /// With link, the span stays in its request's trace, with a link to the other one. With adopt,
        /// it goes over to the other trace (of a queue's message, say): guests must be trusted. Spans of
        /// an SDK in the guest (wasi:otel) that are of another trace are dropped with link.
        guest_parents: GuestParents, "RELATION" = "link";
    }
}

options! {
    /// What operators see of the server: health, metrics, traces and status.
    pub struct Admin: "admin", "Admin", true, plain {
        /// Address of the admin listener: HOST:PORT or unix:PATH.
        ///
        /// It answers /livez, /readyz, /status, /metrics (Prometheus) and /traces (a viewer, for browsers), to whoever
        /// reaches it: there is no password, so keep it off public networks. With it, metrics are kept and the latest
        /// traces recorded even without an OTLP endpoint (not with otel.exporter none).
        listen: Option<ListenAddr>, "ADDR" = (no_value, "none", "127.0.0.1:8081");

        /// Traces that the admin listener keeps, the latest of those recorded; 0 for none.
        ///
        /// The oldest go first, also where recent-traces-memory is used up.
        recent_traces: usize, "N" = "100";

        /// Memory for the spans of these traces.
        ///
        /// One trace takes a quarter of it at most; what is beyond is left out, counted (/status), and exported all the
        /// same. Log records of these traces take a quarter more.
        recent_traces_memory: ByteSize, "SIZE" = "16MiB";

        /// Name by which the traces are reached, beside addresses and localhost.
        ///
        /// The host of admin.listen is one, too. Pages with traces in them answer to no other name (421), so that no
        /// web page can read them through somebody's browser.
        hosts: Vec<AdminHost>, "HOST" = (Vec::new, "none", "pounce.shop.svc");
    }
}

options! {
    /// What Pounce writes on standard error.
    pub struct Log: "log", "Log", true, plain {
        /// Form of log lines: text or json.
        format: Option<LogFormat>, "FORMAT" = (no_value, "text on a terminal, else json", "json");

        /// Least severe log lines written: error, warn, info, debug or trace.
        ///
        /// What is exported as log records (with otel.endpoint, unless OTEL_LOGS_EXPORTER is none) goes
        /// down to info at least.
        level: LogLevel, "LEVEL" = "info";

        /// Whether each request is a line of the log when it is over.
        ///
        /// Whatever the level. Query and headers are left out, but for User-Agent.
        access: bool, "ON|OFF" = "off";
    }
}

options! {
    /// How `pounce dev` builds what it serves, and what it shows on a terminal. No other command uses it.
    pub struct Dev: "dev", "Development", false, plain {
        /// Command that builds the component, run when sources change.
        ///
        /// sh runs it in the working directory, once at the start and then after each change. What it builds is served
        /// when it has succeeded; while it fails, the last good build is.
        build: Option<String>, "COMMAND" = (no_value, "none", "cargo build --target wasm32-wasip2");

        /// Directory of sources that are watched for --build.
        ///
        /// Left out are hidden directories, target, node_modules, dist, build, __pycache__ and venv below it, and
        /// WebAssembly files (.wasm, .cwasm).
        source: Vec<PathBuf>, "DIR" = (Vec::new, "the working directory", "./src");

        /// Whether each request is shown as the tree of its spans, with bars.
        ///
        /// In place of a line. Spans are then printed, and not sent to an endpoint.
        tree: bool, "ON|OFF" = "off";
    }
}

fn no_value<T>() -> Option<T> {
    None
}

/// Every option, in the order of help and documentation.
pub(crate) fn all() -> impl Iterator<Item = &'static Declared> {
    [Http::OPTIONS, Guest::OPTIONS, OtelOptions::OPTIONS, Admin::OPTIONS, Log::OPTIONS, Dev::OPTIONS]
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn flag_variable_and_key_are_the_same_word() {
        for option in all() {
            let (flag, key) = (option.flag(), option.key());
            let bare = matches!(option.section, "http" | "guest" | "dev");
            assert_eq!(flag, if bare { option.name() } else { key.replace('.', "-") });
            assert_eq!(option.variable(), format!("POUNCE_{}", flag.replace('-', "_").to_uppercase()));
            assert_eq!(option.name(), option.field.replace('_', "-"));
            assert!(key.ends_with(&option.name()));
        }
    }

    #[test]
    fn every_option_has_names_of_its_own() {
        let flags: BTreeSet<_> = all().map(Declared::flag).collect();
        assert_eq!(flags.len(), all().count());
        assert!(!flags.contains("config") && !flags.contains("help"));
    }

    #[test]
    fn every_option_is_documented_in_a_short_sentence() {
        for option in all() {
            let short = &option.paragraphs()[0];
            assert!(short.ends_with('.') && short.len() <= 90, "{}: {short}", option.key());
            assert!(!option.default.is_empty() && !option.example.is_empty(), "{}", option.key());
        }
    }

    #[test]
    fn every_default_reads() {
        let http = Http::default();
        assert_eq!(http.listen, ["127.0.0.1:8080".parse().unwrap()]);
        assert_eq!(http.grace_period, Duration::from_secs(30));
        assert_eq!(Guest::default().isolation, None);
        assert_eq!(OtelOptions::default().exporter.value, Exporter::Otlp);
        assert_eq!(Log::default().level, LogLevel::Info);
    }
}
