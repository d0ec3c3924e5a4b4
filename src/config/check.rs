//! Settings that are values, but can't work.

use super::Config;
use super::mistake::Wrong;
use super::value::{ByteSize, Endpoint, Protocol, ProxyProtocol, sample_route_conflict};

/// Far more than a machine holds, and few enough for a semaphore.
const MOST: usize = 10_000_000;

/// More would not fit into the memory that they may take.
const MOST_TRACES: usize = 100_000;

/// A trace of a few requests, and far more than anybody looks at.
const SMALLEST_RING: ByteSize = ByteSize(1 << 20);
const LARGEST_RING: ByteSize = ByteSize(4 << 30);

/// hyper's read buffer can't be smaller.
const SMALLEST_HEADER: ByteSize = ByteSize(8 << 10);
const LARGEST_HEADER: ByteSize = ByteSize(16 << 20);

/// Twice as many are read, and the map that holds them has room for 24 576.
const MOST_HEADERS: usize = 10_000;

/// One page of linear memory.
const PAGE: ByteSize = ByteSize(64 << 10);

/// A batch or two.
const SMALLEST_SPOOL: ByteSize = ByteSize(8 << 20);

/// That a server would listen nowhere: of use only to programs that call it (`App::call`).
pub(crate) fn nowhere_to_listen(config: &Config) -> Option<Wrong> {
    (config.http.listen.is_empty() && config.inherited == 0).then(|| Wrong {
        key: "http.listen",
        what: "there is no address to listen on".to_owned(),
        hint: "name one, such as 127.0.0.1:8080".into(),
    })
}

/// Everything in `config` that can't work.
pub(crate) fn check(config: &Config) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, key, what: String, hint: String| {
        if !holds {
            wrong.push(Wrong { key, what, hint: hint.into() });
        }
    };
    let (http, guest) = (&config.http, &config.guest);

    for (index, addr) in http.listen.iter().enumerate() {
        let earlier = http.listen[..index].iter().find(|earlier| earlier.collides(addr));
        let told = earlier.map(|earlier| format!("`{addr}` takes what `{earlier}` has taken already"));
        must(told.is_none(), "http.listen", told.unwrap_or_default(), "name each address once".to_owned());
    }
    if let Some(admin) = &config.admin.listen {
        let taken = http.listen.iter().find(|addr| addr.collides(admin));
        let told = taken.map(|addr| {
            format!("`{admin}` is where clients are served: --listen (http.listen) has `{addr}`")
        });
        let hint = "give --admin-listen (admin.listen) an address of its own, such as 127.0.0.1:8081";
        must(told.is_none(), "admin.listen", told.unwrap_or_default(), hint.to_owned());
    }

    if let Some(endpoint) = &config.otel.endpoint {
        let holds = !endpoint.is_bare() || config.otel.transport.protocol == Protocol::Grpc;
        let flaw = Endpoint::no_scheme();
        must(holds, "otel.endpoint", format!("`{endpoint}` {}", flaw.what), flaw.hint);
    }
    if let Some((kind, what, hint)) = config.otel.transport.flaw() {
        must(false, kind.option().unwrap_or_default(), what, hint.to_owned());
    }

    let counts = [
        ("http.max-connections", http.max_connections),
        ("http.max-in-flight", http.max_in_flight),
        ("http.max-in-flight-per-peer", http.max_in_flight_per_peer.unwrap_or(1)),
        ("guest.reuse", guest.reuse),
        ("guest.concurrency", guest.concurrency),
    ];
    for (key, count) in counts {
        let hint = format!("set it to a number from 1 to {MOST}");
        must((1..=MOST).contains(&count), key, format!("{count} is out of range"), hint);
    }

    let hint = format!("set it to a number from 1 to {MOST_HEADERS}");
    must(
        (1..=MOST_HEADERS).contains(&http.max_headers),
        "http.max-headers",
        format!("{} is out of range", http.max_headers),
        hint,
    );

    let sizes = [
        ("http.max-header-size", http.max_header_size, SMALLEST_HEADER, LARGEST_HEADER),
        ("guest.max-memory", guest.max_memory, PAGE, ByteSize(u64::MAX)),
        ("guest.max-total-memory", guest.max_total_memory, PAGE, ByteSize(u64::MAX)),
        ("otel.spool-max", config.otel.spool_max, SMALLEST_SPOOL, ByteSize(u64::MAX)),
        ("admin.recent-traces-memory", config.admin.recent_traces_memory, SMALLEST_RING, LARGEST_RING),
    ];
    for (key, size, least, most) in sizes {
        must(size >= least, key, format!("{size} is too small"), format!("set it to {least} or more"));
        must(size <= most, key, format!("{size} is too large"), format!("set it to {most} or less"));
    }
    let traces = config.admin.recent_traces;
    let hint = format!("set it to a number from 0 to {MOST_TRACES}");
    must(traces <= MOST_TRACES, "admin.recent-traces", format!("{traces} is out of range"), hint);
    wrong.extend(super::tls::flaws(http));
    wrong.extend(super::route::conflicts(&http.route, &config.names()));
    wrong.extend(super::components::conflicts(config));
    if http.proxy_protocol != ProxyProtocol::Off && http.trusted_proxies.is_empty() {
        wrong.push(Wrong {
            key: "http.proxy-protocol",
            what: "nobody is believed who could speak it".to_owned(),
            hint: "name the proxies that do in http.trusted-proxies, such as 10.0.0.0/8".into(),
        });
    }
    if let Some((quoted, flaw)) = sample_route_conflict(&config.otel.sample_routes) {
        wrong.push(Wrong {
            key: "otel.sample-route",
            what: format!("{quoted} {}", flaw.what),
            hint: flaw.hint.into(),
        });
    }
    wrong
}
