//! What must hold of the headers that strangers send, for any bytes: driven by the property tests and by `fuzz/`. Each
//! function panics where it does not hold.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pounce_telemetry::propagation::{MAX_BAGGAGE, MAX_BAGGAGE_MEMBERS};
use pounce_telemetry::settings::{HeaderFormat, Propagators, RouteRatio, Sampling};
use pounce_telemetry::{Baggage, Caller, Propagator, Sampler, SpanContext, TraceId, TraceState};

const SAMPLED: u8 = SpanContext::SAMPLED;

/// `traceparent` and `tracestate`: what is read is right, and reads back the same once written.
///
/// The first line of the input is the parent, each further one a field of the state.
pub fn trace_context(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    append(&mut headers, "traceparent", lines.next());
    lines.for_each(|line| append(&mut headers, "tracestate", Some(line)));
    survives(HeaderFormat::TraceContext, &headers);
}

/// `b3` and the several headers: the same. One line each, in the order of single header, trace, span, decision, debug.
pub fn b3(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in ["b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags", "x-b3-parentspanid"] {
        append(&mut headers, name, lines.next().filter(|line| !line.is_empty()));
    }
    survives(HeaderFormat::B3, &headers);
    survives(HeaderFormat::B3Multi, &headers);
}

fn append(headers: &mut HeaderMap, name: &'static str, value: Option<&[u8]>) {
    if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
        headers.append(HeaderName::from_static(name), value);
    }
}

fn survives(format: HeaderFormat, headers: &HeaderMap) {
    let propagator = Propagator::new(&Propagators::from_iter([format]));
    let Caller { context: Some(context), sampled } = propagator.extract(headers) else {
        return;
    };
    assert!(!context.trace_id.is_zero() && !context.span_id.is_zero(), "an id is zero");
    assert_eq!(context.flags & !(SAMPLED | SpanContext::RANDOM), 0, "an unknown flag");
    assert_eq!(sampled.unwrap_or_default(), context.is_sampled(), "two decisions");
    assert!(context.trace_state.as_str().split(',').count() <= 32, "too many members");

    // Into what a guest may have copied from its caller: nothing of that may stay.
    let mut written = headers.clone();
    propagator.inject(&context, &Baggage::default(), &mut written);
    let again = Caller { context: Some(context.clone()), sampled: Some(context.is_sampled()) };
    assert_eq!(propagator.extract(&written), again, "reads back otherwise");
    for name in written.keys() {
        assert_eq!(written.get_all(name).iter().count(), 1, "{name} twice");
        assert!(propagator.fields().any(|field| field == name), "{name} is not said to be ours");
    }
}

/// `tracestate` and paths as samplers see them: each line of the input is the pattern of a route, the last one the path
/// of a request. A pattern without parameters is for its path, whatever else there is.
pub fn sampling(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (patterns, path) = text.rsplit_once('\n').unwrap_or((&text, ""));
    let route = |path: &str, ratio| RouteRatio { method: None, path: path.to_owned(), ratio };
    let decide = |routes: Vec<RouteRatio>, path: &str| {
        let sampler = Sampler::new(&Sampling { routes, ..Sampling::default() });
        sampler.decide(TraceId([0; 16]), Caller::default(), &Method::GET, path).flags & SAMPLED != 0
    };
    let patterns: Vec<&str> = patterns.split('\n').collect();
    decide(patterns.iter().map(|pattern| route(pattern, 0.5)).collect(), path);
    for plain in patterns.iter().filter(|pattern| pattern.starts_with('/') && !pattern.contains(['{', '}'])) {
        let others = patterns.iter().filter(|other| *other != plain).map(|other| route(other, 1.0));
        let routes: Vec<_> = std::iter::once(route(plain, 0.0)).chain(others).collect();
        assert!(!decide(routes.clone(), plain), "{routes:?} does not decide for {plain}");
    }

    // Randomness is 56 bits, whatever stands in the state.
    let mut headers = HeaderMap::new();
    append(&mut headers, "traceparent", Some(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"));
    append(&mut headers, "tracestate", input.split(|byte| *byte == b'\n').next());
    let propagator = Propagator::new(&Propagators::from_iter([HeaderFormat::TraceContext]));
    let caller = propagator.extract(&headers);
    let of_ratio = |ratio| {
        let decision =
            Sampler::new(&Sampling::share(ratio)).decide(TraceId([7; 16]), caller.clone(), &Method::GET, "/");
        let state = decision.trace_state;
        assert_eq!(TraceState::parse(state.as_str()), state, "a state that is not read as it is written");
        let ot = state.as_str().split(',').find_map(|member| member.strip_prefix("ot="));
        let has_threshold = ot.is_some_and(|ot| ot.split(';').any(|entry| entry.starts_with("th:")));
        let is_share = decision.flags & SAMPLED != 0 && ratio < 1.0;
        assert_eq!(has_threshold, is_share, "the share is told where one has decided, and nowhere else");
        decision.flags & SAMPLED != 0
    };
    assert!(of_ratio(1.0) && !of_ratio(0.0), "all or nothing is no question of chance");
    assert!(!of_ratio(0.25) || of_ratio(0.75), "what a small share has, a large one has, too");
}

/// `baggage`: what is kept is within the limits, is kept again, and can be added to. Each line is a field; what is
/// set comes from the input, too.
pub fn baggage(input: &[u8]) {
    let propagator = Propagator::new(&Propagators::from_iter([HeaderFormat::Baggage]));
    let mut headers = HeaderMap::new();
    input.split(|byte| *byte == b'\n').for_each(|line| append(&mut headers, "baggage", Some(line)));
    let (mut baggage, dropped) = propagator.baggage(&headers);
    let given = headers.values().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let given = given.filter(|member| !member.iter().all(|byte| matches!(byte, b' ' | b'\t'))).count();
    let entries = baggage.entries();
    assert_eq!(entries.len() + dropped as usize, given, "a member is lost, and not counted");
    carried(&propagator, &baggage);

    // Names and values that resemble those that are there.
    let text = String::from_utf8_lossy(input);
    let (name, value) = text.split_once('=').unwrap_or((&text, ""));
    let name = entries.first().map_or(name, |(name, _)| name);
    let before = baggage.clone();
    if baggage.set(name, value) {
        let is_set = |(other, _): &&(String, String)| other == name;
        let set: Vec<_> = baggage.entries().iter().filter(is_set).cloned().collect();
        assert_eq!(set, [(name.to_owned(), value.to_owned())], "set otherwise");
        let others = |entries: Vec<(String, String)>| {
            entries.into_iter().filter(|entry| !is_set(&entry)).collect::<Vec<_>>()
        };
        assert_eq!(others(baggage.entries()), others(before.entries()), "others changed");
        carried(&propagator, &baggage);
    } else {
        assert_eq!(baggage, before, "refused, and changed");
    }
}

fn carried(propagator: &Propagator, baggage: &Baggage) {
    let mut written = HeaderMap::new();
    propagator.inject_baggage(baggage, &mut written);
    let wire = written.get("baggage").map_or(&b""[..], HeaderValue::as_bytes);
    assert!(wire.len() <= MAX_BAGGAGE && baggage.entries().len() <= MAX_BAGGAGE_MEMBERS, "over a limit");
    assert_eq!(propagator.baggage(&written), (baggage.clone(), 0), "reads back otherwise");
}
