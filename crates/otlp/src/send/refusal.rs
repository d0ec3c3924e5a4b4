//! What an endpoint's own words make of a refusal, beyond its status; and what to do about either.

use super::target::Target;
use crate::settings::Protocol;
use http::StatusCode;

/// A refusal that means the same whatever its status is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request is larger than it takes.
    TooLarge,
    /// It takes cumulative sums and histograms only, and these are deltas.
    Deltas,
    /// It takes nothing at this path.
    Path,
}

impl Refusal {
    /// What an answer of HTTP means, whose words are `text`.
    pub(crate) fn of_status(status: StatusCode, text: &str, to: &Target) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        match status.as_u16() {
            413 => Some(Refusal::TooLarge),
            404 | 405 => Some(Refusal::Path),
            400 if is_of_size(&text) => Some(Refusal::TooLarge),
            400 if is_of_path(&text, to) => Some(Refusal::Path),
            400..600 if is_of_temporality(&text) => Some(Refusal::Deltas),
            _ => None,
        }
    }

    /// What a status of gRPC means, whose words are `text`; `waits` if it asks to be tried again later.
    pub(crate) fn of_code(name: &str, text: &str, waits: bool) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        match name {
            // The library of each language has a code of its own for it: Go, Java and C++ the first, Rust the second.
            "RESOURCE_EXHAUSTED" | "OUT_OF_RANGE" | "INVALID_ARGUMENT" if !waits && is_of_size(&text) => {
                Some(Refusal::TooLarge)
            }
            _ if is_of_temporality(&text) => Some(Refusal::Deltas),
            _ => None,
        }
    }

    /// What to do about it; nothing is to be done about a size, which is seen to.
    pub(crate) fn advice(self, to: &Target) -> Option<String> {
        match self {
            Refusal::TooLarge => None,
            Refusal::Deltas => Some(to.endpoint.names.cumulative.to_owned()),
            Refusal::Path => path_advice(to),
        }
    }
}

/// What to do about a path at which nothing is taken; none where the path is as usual and the signal may be what is not
/// taken.
pub(crate) fn path_advice(to: &Target) -> Option<String> {
    let usual = to.signal.path();
    let word = to.signal.word().to_ascii_uppercase();
    let is_usual = to.url().path().trim_end_matches('/').ends_with(usual);
    // Only the endpoint of one signal can be without it.
    (!is_usual && to.protocol() != Protocol::Grpc).then(|| {
        format!("OTEL_EXPORTER_OTLP_{word}_ENDPOINT is used as it is, path and all: add {usual} to it")
    })
}

fn is_of_size(text: &str) -> bool {
    ["too large", "too big", "larger than max", "exceeds maximum", "exceeds the maximum"]
        .iter()
        .any(|words| text.contains(words))
}

fn is_of_temporality(text: &str) -> bool {
    text.contains("temporality")
}

fn is_of_path(text: &str, to: &Target) -> bool {
    let path = to.url().path();
    text.contains("unsupported path") || (path.len() > 1 && text.contains(&path.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Endpoint, Transport};
    use crate::signal::Signal;

    fn target(url: &str) -> Target {
        let mut endpoint = Endpoint::of(Signal::Metrics, &url.parse().unwrap(), Transport::default());
        endpoint.url = url.parse().unwrap();
        Target { signal: Signal::Metrics, endpoint }
    }

    /// The words of receivers, as they have been seen.
    #[test]
    fn what_receivers_say_is_understood() {
        let to = target("http://c:4318/v1/metrics");
        let http = |status: u16, text| Refusal::of_status(status.try_into().unwrap(), text, &to);
        for (status, text, refusal) in [
            (413, "", Some(Refusal::TooLarge)),
            (400, r#"{"code":3,"message":"http: request body too large"}"#, Some(Refusal::TooLarge)),
            (400, "proto: illegal wireType 7", None),
            (400, r#"unsupported path requested: "/v1/metrics""#, Some(Refusal::Path)),
            (400, "cannot handle /v1/metrics", Some(Refusal::Path)),
            (404, "", Some(Refusal::Path)),
            (
                500,
                "invalid temporality and type combination for metric \"http.server.request.body.size\"",
                Some(Refusal::Deltas),
            ),
            (500, "the disk is full", None),
            (503, "the request is too large a burden", None),
        ] {
            assert_eq!(http(status, text), refusal, "{status} {text}");
        }
        for (name, text, refusal) in [
            // Go, also of what was compressed; Java; Rust.
            ("RESOURCE_EXHAUSTED", "grpc: received message larger than max (4194394 vs. 4194304)", true),
            (
                "RESOURCE_EXHAUSTED",
                "grpc: received message after decompression larger than max 4194304",
                true,
            ),
            ("RESOURCE_EXHAUSTED", "gRPC message exceeds maximum size 4194304: 4194394", true),
            ("OUT_OF_RANGE", "Error, decoded message length too large: found 5000000 bytes", true),
            ("RESOURCE_EXHAUSTED", "RATE_LIMITED: ingestion rate limit (15000000 bytes) exceeded", false),
            ("RESOURCE_EXHAUSTED", "not today", false),
            ("UNAVAILABLE", "the queue is too large", false),
        ] {
            let expected = refusal.then_some(Refusal::TooLarge);
            assert_eq!(Refusal::of_code(name, text, false), expected, "{name} {text}");
            assert_eq!(Refusal::of_code(name, text, true), None, "{name} {text}: it asks to wait");
        }
    }

    #[test]
    fn a_path_that_lacks_its_end_is_told_which_variable_to_mend() {
        let of = |url| Refusal::Path.advice(&target(url));
        let advice = of("http://c:4318/").unwrap();
        assert!(advice.contains("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"), "{advice}");
        assert!(advice.contains("add /v1/metrics to it"), "{advice}");
        assert!(of("http://c:4318/otlp").is_some());
        assert_eq!(of("http://c:4318/otlp/v1/metrics/"), None);
    }
}
