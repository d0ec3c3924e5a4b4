//! Headers of all formats of trace context and baggage that we know of, written by us or not.
//!
//! They are removed from what guests send before ours are written: a guest that hands on its caller's headers would
//! otherwise tell of two traces, or tell somebody of a trace who is not to know. The formats are those that
//! `OTEL_PROPAGATORS` names anywhere, and Datadog's.

use http::{HeaderMap, HeaderName};

/// Takes every one of them out of `headers`.
pub(super) fn remove(headers: &mut HeaderMap) {
    let known: Vec<HeaderName> = headers.keys().filter(|name| is_known(name.as_str())).cloned().collect();
    for name in known {
        headers.remove(name);
    }
}

/// Whether a header of this name, in lower case, carries trace context or baggage.
fn is_known(name: &str) -> bool {
    match name {
        // W3C Trace Context, W3C Baggage.
        "traceparent" | "tracestate" | "baggage" => true,
        // B3 in one header.
        "b3" => true,
        // Jaeger.
        "uber-trace-id" | "jaeger-debug-id" | "jaeger-baggage" => true,
        // AWS X-Ray.
        "x-amzn-trace-id" => true,
        _ => PREFIXES.iter().any(|prefix| name.starts_with(prefix)),
    }
}

const PREFIXES: [&str; 5] = [
    // B3 in several headers.
    "x-b3-",
    // Datadog.
    "x-datadog-",
    // Baggage of Jaeger.
    "uberctx-",
    // OpenTracing's example, `ottrace`, and its baggage.
    "ot-tracer-",
    "ot-baggage-",
];

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn every_format_goes_and_everything_else_stays() {
        let known = [
            "traceparent",
            "tracestate",
            "baggage",
            "b3",
            "x-b3-traceid",
            "x-b3-spanid",
            "x-b3-parentspanid",
            "x-b3-sampled",
            "x-b3-flags",
            "uber-trace-id",
            "uberctx-user",
            "jaeger-debug-id",
            "jaeger-baggage",
            "x-amzn-trace-id",
            "x-datadog-trace-id",
            "x-datadog-parent-id",
            "x-datadog-sampling-priority",
            "x-datadog-origin",
            "x-datadog-tags",
            "ot-tracer-traceid",
            "ot-tracer-spanid",
            "ot-tracer-sampled",
            "ot-baggage-user",
        ];
        let others = [
            "accept",
            "b3x",
            "trace-parent",
            "x-b3",
            "x-request-id",
            "x-trace-id",
            "x-amzn-requestid",
            "uberctx",
        ];
        let mut headers = HeaderMap::new();
        for name in known.iter().chain(&others) {
            headers.append(*name, HeaderValue::from_static("1"));
            headers.append(*name, HeaderValue::from_static("2"));
        }
        remove(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        let mut expected = others;
        expected.sort_unstable();
        assert_eq!(left, expected);
        assert_eq!(headers.len(), 2 * others.len());
    }
}
