//! Tests the way to endpoints step by step (name, TCP, proxy, TLS), sends one batch of each signal over the exporter's
//! own client, and says what to do where it ends: what is found here is what the exporter meets.

mod advice;
mod certificate;
mod port;
mod step;
mod steps;
mod tls;

pub use port::{Speaks, speaks_here};
pub use step::{Outcome, Step};

use crate::batch::Batch;
use crate::net::Proxies;
use crate::send::{Accepted, Client, Failed, Pools, Target, for_people, on_one_line};
use crate::settings::{Endpoint, Protocol};
use crate::signal::Signal;
use advice::Trouble;
use std::time::{Duration, Instant};
use steps::{Probe, Way};
use tokio::task::JoinSet;

/// Longest time for one step, where the settings allow more or set none.
const LONGEST_STEP: Duration = Duration::from_secs(10);

/// What is sent of one signal, and where.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The signal.
    pub signal: Signal,
    /// Where it is sent.
    pub endpoint: Endpoint,
    /// The request.
    pub batch: Batch,
    /// What is in it, as the subject of `taken`: `a span was`.
    pub what: String,
}

/// What was found on the way of one signal.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The signal.
    pub signal: Signal,
    /// The endpoint, without secrets.
    pub url: String,
    /// The form in which the sample was sent.
    pub protocol: Protocol,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What to do, where the sample did not arrive.
    pub advice: Option<String>,
}

/// Sends each of `samples` once, and tests the way to its endpoint before. Steps that lead to the same place in the same
/// way are tried once. Takes at most some ten seconds a step.
pub async fn probe(samples: Vec<Sample>, proxies: &Proxies) -> Vec<Finding> {
    let pools = Pools::new(proxies.clone());
    let mut probes: Vec<(Signal, Way, Probe)> = Vec::new();
    let mut found = Vec::new();
    let mut sending = JoinSet::new();
    for (index, Sample { signal, endpoint, batch, what }) in samples.into_iter().enumerate() {
        let to = Target { signal, endpoint };
        let connections = pools.of(&to);
        let way = Way::new(&to, &connections, limit(&to));
        let (mut steps, trouble) = match probes.iter().find(|(_, other, _)| other.is_same(&way)) {
            // A way that another signal has taken already is told once.
            Some((first, _, probe)) => (vec![as_for(*first, probe)], probe.trouble.clone()),
            None => {
                let probe = steps::walk(&way).await;
                let told = (probe.steps.clone(), probe.trouble.clone());
                probes.push((signal, way.clone(), probe));
                told
            }
        };
        match &trouble {
            Some(_) => steps.push(Step::new("send", Outcome::Skipped, "not tried", None)),
            None => {
                let client = Client::new(connections, to.clone());
                sending.spawn(async move {
                    let since = Instant::now();
                    let result = send(&client, batch).await;
                    (index, since.elapsed(), result)
                });
            }
        }
        found.push((to, way, what, steps, trouble.map(Trouble::Way)));
    }
    let mut asked: Vec<(Way, Speaks)> = Vec::new();
    while let Some(Ok((index, took, result))) = sending.join_next().await {
        let (to, way, what, steps, trouble) = &mut found[index];
        let (outcome, text, why) = match result {
            Ok(accepted) if accepted.page || accepted.rejected > 0 => {
                (Outcome::Failed, refused(&accepted, to.signal), Some(Trouble::Refused(accepted)))
            }
            Ok(accepted) => (Outcome::Worked, format!("{what} taken{}", says(&accepted)), None),
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
    let takes_some = found.iter().any(|(.., trouble)| trouble.is_none());
    let findings = found.into_iter().map(|(to, way, _, steps, trouble)| Finding {
        signal: to.signal,
        url: for_people(to.url()),
        protocol: to.protocol(),
        steps,
        advice: trouble.map(|trouble| advice::of(&trouble, &to, &way, takes_some)),
    });
    findings.collect()
}

fn limit(to: &Target) -> Duration {
    to.endpoint.timeout.map_or(LONGEST_STEP, |limit| limit.min(LONGEST_STEP))
}

async fn send(client: &Client, batch: Batch) -> Result<Accepted, Failed> {
    let payload = client.payload(batch.body)?;
    // Where the settings set no limit, somebody waits here all the same.
    let limit = LONGEST_STEP * 2;
    match tokio::time::timeout(limit, client.post(&payload)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Failed::no_answer(limit)),
    }
}

fn as_for(first: Signal, probe: &Probe) -> Step {
    let outcome = if probe.trouble.is_some() { Outcome::Failed } else { Outcome::Worked };
    Step::new("connect", outcome, format!("as for {}", first.word()), None)
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
    let message = on_one_line(&accepted.message);
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
