//! All that a guest can say wrong: names, numbers, times, contexts that are none, and more than there is room for.

use super::{deed, deed_at, guest, trace_id};
use crate::support::{Abi, for_both_abis};

for_both_abis!(
    names_are_cut_and_harmless,
    routes_are_cut_and_harmless,
    numbers_that_are_none_arrive_as_they_are,
    odd_times_are_put_right,
    contexts_made_up_tear_no_trace_apart,
    metrics_and_logs_without_end_are_counted,
    baggage_without_end_is_bounded,
    contexts_are_extracted_from_anything,
    everything_at_once,
    a_developer_is_told_nonsense_as_well,
);

async fn names_are_cut_and_harmless(abi: Abi) {
    let done = deed(abi, "/names").await;
    let own = done.own("");
    assert_eq!(own.len(), 6);
    for span in own.iter().chain([&done.server()]) {
        assert!(!span.name.is_empty() && span.name.len() <= 256, "{:?}", span.name);
        assert!(span.events.iter().all(|event| event.name.len() <= 256));
    }
    assert!(own.iter().any(|span| span.name == "unnamed"), "no span can do without a name");
    assert!(done.said("attributes dropped") > 0);
}

async fn routes_are_cut_and_harmless(abi: Abi) {
    let done = deed(abi, "/routes").await;
    let route = done.server().text("http.route");
    assert!((1..=256).contains(&route.len()), "{route:?}");
    assert_eq!(done.server().name, format!("GET {route}"));
}

async fn numbers_that_are_none_arrive_as_they_are(abi: Abi) {
    let done = deed(abi, "/numbers").await;
    for (key, value) in [
        ("nan", "NaN"),
        ("infinity", "inf"),
        ("negative.infinity", "-inf"),
        ("negative.zero", "-0.0"),
        ("greatest", "1.7976931348623157e308"),
        ("least", "2.2250738585072014e-308"),
        ("list.nan", "[NaN, NaN]"),
        ("int.least", "-9223372036854775808"),
    ] {
        assert_eq!(done.server().attributes[key].to_string(), value, "{key}");
    }
}

async fn odd_times_are_put_right(abi: Abi) {
    let done = deed(abi, "/times").await;
    let (server, own) = (done.server(), done.own("at odd times"));
    assert_eq!(own.len(), 6);
    for span in own {
        assert!(server.start - 1_000_000_000 <= span.start, "{} before {}", span.start, server.start);
        assert!(span.start <= span.end && span.end <= server.end, "{} after {}", span.end, server.end);
        assert_eq!(span.events.len(), 2);
    }
}

async fn contexts_made_up_tear_no_trace_apart(abi: Abi) {
    let done = deed(abi, "/forged").await;
    let (forged, under) = (done.own("forged"), done.own("under forged"));
    assert_eq!((forged.len(), under.len()), (11, 11));
    let server = &done.server().span_id;
    assert!(forged.iter().all(|span| span.trace_id == trace_id(0) && span.parent == *server));
    assert!(under.iter().all(|span| forged.iter().any(|parent| parent.span_id == span.parent)));
    let linked = forged.iter().filter(|span| span.links.len() == 1).count();
    assert_eq!((linked, done.said("telemetry calls of guests that were invalid or over a limit")), (4, 7));
    // A state of 1 MiB is none.
    assert!(forged.iter().flat_map(|span| &span.links).all(|link| link.trace_state.len() <= 512));
}

/// Neither is recorded yet; that is no reason to fall over, nor to be silent.
async fn metrics_and_logs_without_end_are_counted(abi: Abi) {
    for (path, said) in [
        ("/metrics-bomb?n=20000", "measurements dropped beyond what a request may make"),
        ("/logs-bomb?n=10000", "dropped beyond what a request may emit"),
    ] {
        let done = deed(abi, path).await;
        assert_eq!(done.spans.len(), 1, "{path}");
        assert!(done.exit.stderr.contains(said), "{path}: {}", done.exit);
    }
}

async fn baggage_without_end_is_bounded(abi: Abi) {
    let done = deed(abi, "/baggage?n=10000").await;
    let kept = done.server().int("baggage.kept").expect("a number");
    assert!((0..=64).contains(&kept), "{kept} entries");
}

async fn contexts_are_extracted_from_anything(abi: Abi) {
    let done = deed(abi, "/extract").await;
    assert_eq!((done.spans.len(), done.server().failed()), (1, false));
}

async fn everything_at_once(abi: Abi) {
    let done = deed(abi, "/?n=2000").await;
    assert_eq!(done.spans.len(), 1001, "the server span and as many as a request may have");
    assert_eq!(done.server().int("http.response.status_code"), Some(200));
}

/// Whatever a guest says, it harms neither the server nor the terminal of who develops it.
async fn a_developer_is_told_nonsense_as_well(abi: Abi) {
    for path in ["/names", "/?n=2000"] {
        let done = deed_at(guest(abi).dev().flag("--log-format", "text"), path).await;
        assert!(!done.spans.is_empty(), "{path}");
        let stderr = &done.exit.stderr;
        assert!(!stderr.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{path}: {stderr:?}");
    }
}
