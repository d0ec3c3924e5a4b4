//! Which calls the guest makes.
//!
//! | parameter | does |
//! | --- | --- |
//! | `url=URL` | where to; may be given several times: call K goes to the K-th, or round again |
//! | `n=N` | how many calls (default: one per URL) |
//! | `how=sync` | one after another (the default) |
//! | `how=concurrent` | all are begun before the first is waited for |
//! | `how=abandon` | all are begun, then given up before the answer |
//! | `how=timeout` | one after another, each with a limit of `ms=` (default 50) for connection and first byte |
//! | `span` | under an entered span `calls` of the guest's own |
//! | `traceparent=VALUE` | sets this header on each; VALUE is it, or `server` (the server span's), `child` (that of a span `child`, not entered), `forged` ([`FORGED`]) |
//! | `baggage=VALUE`, `set.NAME=VALUE` | sets this header on each |
//!
//! Every call has the header `x-call: K`, from 0. Answers `{"server": SPAN-ID, "span": SPAN-ID or null, "traceparent": what
//! was set or null, "results": [{"status": 200} or {"error": "connection_refused"} or {"abandoned": true}]}`.

use guest_http::{Call, Target, error_name};
use pounce_guest::{Instrument, Span, propagation, tracing};
use serde_json::{Value as Json, json};

/// A traceparent of nobody's: valid, and another trace.
const FORGED: &str = "00-deadbeefdeadbeefdeadbeefdeadbeef-deadbeefdeadbeef-01";

/// How the calls are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    InTurn,
    Concurrent,
    Abandon,
}

/// What the query asks for; what is wrong with it, else.
pub(crate) async fn perform(
    target: &Target,
    make: impl AsyncFnOnce(How, Vec<Call>) -> Vec<Json>,
) -> Result<Vec<u8>, String> {
    let urls: Vec<&str> =
        target.query().iter().filter(|(key, _)| key == "url").map(|(_, url)| url.as_str()).collect();
    let how = match target.get("how") {
        None | Some("sync" | "timeout") => How::InTurn,
        Some("concurrent") => How::Concurrent,
        Some("abandon") => How::Abandon,
        Some(other) => return Err(format!("how={other}?\n")),
    };
    let timeout = (target.get("how") == Some("timeout")).then(|| target.number("ms", 50));

    let server = tracing::current_context();
    let child = (target.get("traceparent") == Some("child")).then(|| Span::start("child"));
    let traceparent = target.get("traceparent").map(|value| match value {
        "server" => header(propagation::inject()),
        "child" => child.as_ref().map_or_else(String::new, |span| header(propagation::inject_for(span))),
        "forged" => FORGED.to_owned(),
        other => other.to_owned(),
    });
    let mut headers: Vec<(&str, &str)> = target
        .query()
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix("set.")?, &**value)))
        .collect();
    headers.extend(traceparent.as_deref().map(|value| ("traceparent", value)));
    headers.extend(target.get("baggage").map(|value| ("baggage", value)));

    let mut calls = Vec::new();
    for number in 0..target.number("n", urls.len() as u64) {
        let url = urls.get(number as usize % urls.len().max(1)).ok_or("no url=\n")?;
        let call = Call::get(url).ok_or_else(|| format!("not an http URL: {url}\n"))?;
        let call = Call { timeout, ..call }.header("x-call", number.to_string());
        calls.push(headers.iter().fold(call, |call, (name, value)| call.header(name, value)));
    }

    let mut span_id = None;
    let results = if target.get("span").is_some() {
        let span = Span::start("calls");
        span_id = Some(span.context().span_id);
        make(how, calls).instrument(span).await
    } else {
        make(how, calls).await
    };
    let answer =
        json!({ "server": server.span_id, "span": span_id, "traceparent": traceparent, "results": results });
    Ok(answer.to_string().into_bytes())
}

/// What came of a call.
pub(crate) fn outcome(result: Result<u16, impl std::fmt::Debug>) -> Json {
    match result {
        Ok(status) => json!({ "status": status }),
        Err(error) => json!({ "error": error_name(&error) }),
    }
}

/// What came of a call that was given up.
pub(crate) fn abandoned() -> Json {
    json!({ "abandoned": true })
}

fn header(injected: Vec<(String, String)>) -> String {
    injected.into_iter().find(|(name, _)| name == "traceparent").map(|(_, value)| value).unwrap_or_default()
}
