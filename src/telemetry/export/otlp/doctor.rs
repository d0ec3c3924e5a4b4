//! `pounce doctor`: the way of telemetry step by step, then test items of each signal over the exporter's own client, so
//! that what is said here is what serving does.

mod advice;
mod certificate;
mod port;
mod probe;
mod sample;
mod tls;

use super::super::batch::{Batch, Envelope};
use super::answer::{Accepted, Failed};
use super::{Pools, Route, Settings, client};
use crate::config::{self, Protocol};
use crate::telemetry::export::signal::Signal;
use crate::telemetry::resource;
use probe::{Probe, Way};
use sample::Sample;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

pub(crate) use port::{Speaks, speaks_here};

/// Longest time for one step, where the settings allow more or set none.
const LONGEST_STEP: Duration = Duration::from_secs(10);

/// What was found of all signals that are in force.
pub(crate) struct Findings {
    /// Of the test span, in hexadecimal digits.
    pub(crate) trace_id: String,
    pub(crate) signals: Vec<Finding>,
}

/// What was found of one signal.
pub(crate) struct Finding {
    /// `traces`, `metrics` or `logs`.
    pub(crate) signal: &'static str,
    /// The endpoint, without secrets.
    pub(crate) url: String,
    pub(crate) protocol: Protocol,
    pub(crate) steps: Vec<Step>,
    /// What to do, where the test items did not arrive.
    pub(crate) advice: Option<String>,
}

/// One thing that has to work.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) text: String,
    /// None where there was nothing to wait for.
    pub(crate) took: Option<Duration>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Worked,
    Failed,
    /// It was not tried, as it was before, or would be in vain.
    Skipped,
}

impl Step {
    fn new(name: &'static str, outcome: Outcome, text: impl Into<String>, since: Option<Instant>) -> Self {
        Step { name, outcome, text: text.into(), took: since.map(|since| since.elapsed()) }
    }
}

/// Why an item did not arrive.
enum Trouble {
    /// On the way to the endpoint.
    Way(probe::Trouble),
    /// The exporter's own request failed; what the port speaks instead, where that may be the reason.
    Sending(Failed, Option<Speaks>),
    /// It answered, and took nothing.
    Refused(Accepted),
}

/// Tests every signal that goes to an endpoint; of none if none does.
///
/// `component` names the service where nothing else does.
pub(crate) async fn examine(otel: &config::Otel, component: &str) -> Findings {
    let resource = resource::encode(otel, component).into();
    let Settings { proxies, traces, metrics, logs } = Settings::new(otel, component, &resource);
    let of_host = Envelope::of_host(&resource);
    let pools = Pools { proxies, made: Mutex::default() };
    let sample = Sample::new();
    let routes =
        [traces.map(|(route, _)| route), metrics.map(|(route, ..)| route), logs.map(|(route, _)| route)];
    let mut probes: Vec<(&'static str, Way, Probe)> = Vec::new();
    let mut found = Vec::new();
    let mut sending = JoinSet::new();
    for (index, route) in routes.iter().flatten().enumerate() {
        let connections = pools.of(route);
        let way = Way::new(route, &connections, limit(route));
        let (mut steps, trouble) = match probes.iter().find(|(_, other, _)| other.is_same(&way)) {
            // The same way, which is told once.
            Some((first, _, probe)) => (vec![as_for(first, probe)], probe.trouble.clone()),
            None => {
                let probe = probe::walk(&way).await;
                let told = (probe.steps.clone(), probe.trouble.clone());
                probes.push((name(route.signal), way.clone(), probe));
                told
            }
        };
        match &trouble {
            Some(_) => steps.push(Step::new("send", Outcome::Skipped, "not tried", None)),
            None => {
                // What is sent of the other signals is mostly guests'.
                let envelope = if route.signal == Signal::Traces { &route.envelope } else { &of_host };
                let batch = sample.batch(route.signal, envelope, &otel.metrics);
                let client = route.client(&pools);
                sending.spawn(async move {
                    let since = Instant::now();
                    let result = send(&client, batch).await;
                    (index, since.elapsed(), result)
                });
            }
        }
        found.push((route, way, steps, trouble.map(Trouble::Way)));
    }
    let mut asked: Vec<(Way, Speaks)> = Vec::new();
    while let Some(Ok((index, took, result))) = sending.join_next().await {
        let (route, way, steps, trouble) = &mut found[index];
        let (outcome, text, why) = match result {
            Ok(accepted) if accepted.page || accepted.rejected > 0 => {
                (Outcome::Failed, refused(&accepted, route.signal), Some(Trouble::Refused(accepted)))
            }
            Ok(accepted) => {
                let text = format!("{} taken{}", items(route.signal, &otel.metrics), says(&accepted));
                (Outcome::Worked, text, None)
            }
            Err(failed) => {
                let known = asked.iter().find(|(other, _)| other.is_same(way)).map(|(_, speaks)| *speaks);
                let speaks = match known {
                    _ if failed.answered => None,
                    Some(speaks) => Some(speaks),
                    None => {
                        let speaks = port::speaks(way).await;
                        asked.push((way.clone(), speaks));
                        Some(speaks)
                    }
                };
                (Outcome::Failed, plain(&failed.error), Some(Trouble::Sending(failed, speaks)))
            }
        };
        steps.push(Step { name: "send", outcome, text, took: Some(took) });
        *trouble = why;
    }
    let takes_some = found.iter().any(|(_, _, _, trouble)| trouble.is_none());
    let signals = found.into_iter().map(|(route, way, steps, trouble)| Finding {
        signal: name(route.signal),
        url: client::for_people(&route.url),
        protocol: route.transport.protocol,
        steps,
        advice: trouble.map(|trouble| advice::of(&trouble, route, &way, takes_some)),
    });
    Findings { signals: signals.collect(), trace_id: sample.trace_id() }
}

fn limit(route: &Route) -> Duration {
    route.timeout.0.map_or(LONGEST_STEP, |limit| limit.min(LONGEST_STEP))
}

async fn send(client: &client::Client, batch: Option<Batch>) -> Result<Accepted, Failed> {
    let body = batch.map(|batch| batch.body).unwrap_or_default();
    let payload = client.payload(body)?;
    // Where the settings set no limit, somebody waits here all the same.
    let limit = LONGEST_STEP * 2;
    match tokio::time::timeout(limit, client.post(&payload)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Failed::no_answer(limit)),
    }
}

fn as_for(first: &str, probe: &Probe) -> Step {
    let outcome = if probe.trouble.is_some() { Outcome::Failed } else { Outcome::Worked };
    Step::new("connect", outcome, format!("as for {first}"), None)
}

/// How the endpoint took nothing, or not all.
fn refused(accepted: &Accepted, signal: Signal) -> String {
    match (accepted.page, signal) {
        (true, _) => "answered with a page of HTML".to_owned(),
        (false, Signal::Metrics) => {
            format!("answered, and rejected {} points{}", accepted.rejected, says(accepted))
        }
        (false, Signal::Traces | Signal::Logs) => format!("answered, and rejected it{}", says(accepted)),
    }
}

/// What the endpoint says beside its answer.
fn says(accepted: &Accepted) -> String {
    let message = super::answer::on_one_line(&accepted.message);
    message.map(|message| format!("{SAYS}{message}")).unwrap_or_default()
}

/// An error without the exporter's advice, which is in parentheses: here there is a line for it.
fn plain(error: &str) -> String {
    // Advice is a sentence; `(SendRequest)`, `(16)` and `(os error 111)` are no advice.
    let is_advice =
        |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase()) && !rest.starts_with("os error");
    let (ours, theirs) = error.split_at(error.find(SAYS).unwrap_or(error.len()));
    let mut parentheses = ours.match_indices(" (").map(|(at, _)| ours.split_at(at));
    let advice = parentheses.find(|(_, rest)| is_advice(&rest[2..]));
    format!("{}{theirs}", advice.map_or(ours, |(before, _)| before))
}

/// What stands before the endpoint's own words.
const SAYS: &str = "; it says: ";

fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "traces",
        Signal::Metrics => "metrics",
        Signal::Logs => "logs",
    }
}

/// What was sent, as the subject of `taken`.
fn items(signal: Signal, export: &config::MetricsExport) -> String {
    let kind = match export.temporality {
        config::Temporality::Cumulative => "cumulative",
        config::Temporality::Delta | config::Temporality::LowMemory => "delta",
    };
    let buckets = match export.histograms {
        config::HistogramAggregation::Explicit => "",
        config::HistogramAggregation::Exponential => "exponential ",
    };
    match signal {
        Signal::Traces => "a span was".to_owned(),
        Signal::Metrics => format!("a {kind} sum, a {kind} {buckets}histogram and a gauge were"),
        Signal::Logs => "a log record was".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_without_their_advice_but_with_the_endpoints_words() {
        let error = "the endpoint answered 403 Forbidden (check `otel.headers`); it says: no (really)";
        assert_eq!(plain(error), "the endpoint answered 403 Forbidden; it says: no (really)");
        for error in ["it broke off", "client error (Connect): refused (os error 111)", "answered CODE (16)"]
        {
            assert_eq!(plain(error), error);
        }
    }
}
