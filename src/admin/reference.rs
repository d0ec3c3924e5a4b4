//! `docs/metrics.md`: every metric of Pounce's own with its unit, its attributes, and what it says.
//!
//! Built in tests only: they compare it with the committed file, and write that with `BLESS=1`.

use pounce_telemetry::metrics::host::{ALL, Definition};

const HEAD: &str = "\
# Metrics

<!-- Made from the instruments in crates/telemetry/src/metrics/host/definitions.rs by `make bless`: change it there. -->

Pounce counts the following by itself, every request, sampled or not, in the scope `pounce`. It is
sent where [telemetry goes](telemetry.md#sending), once a minute unless
`OTEL_METRIC_EXPORT_INTERVAL` says otherwise, and shown under the second name on
[`/metrics`](operating.md#the-admin-listener) of the admin listener. An attribute is there where it
is known: a request without a route has no `http.route`, one that did not fail no `error.type`. With
several components, what belongs to one is counted for it ([how](routing.md#several-components)).

Metrics that guests record are in the scope `pounce.guest`
([what a guest can say](tracing.md#what-a-guest-can-say)). Rules for alerts, and a dashboard, are in
[`ops`](operating.md#alerts-and-a-dashboard).
";

/// Heads of the parts.
const PARTS: [&str; 3] = ["Requests, and calls of guests", "The server and its guests", "Telemetry itself"];

const BUCKETS: &str = "
## Buckets

Upper ends of the buckets of histograms; `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`
can ask for exponential ones in their place.

| of | buckets |
| --- | --- |
";

/// The whole page.
fn page() -> String {
    let mut text = HEAD.to_owned();
    for (nth, head) in PARTS.iter().enumerate() {
        text.push_str(&format!("\n## {head}\n\n| metric | what it says |\n| --- | --- |\n"));
        ALL.iter().filter(|definition| part(definition) == nth).for_each(|one| text.push_str(&row(one)));
    }
    text.push_str(BUCKETS);
    let mut told = Vec::new();
    for Definition { bounds, .. } in ALL.iter().filter(|definition| !definition.bounds.is_empty()) {
        if !told.contains(bounds) {
            told.push(*bounds);
            let of = ALL.iter().filter(|definition| definition.bounds == *bounds).map(|one| one.name);
            let ends: Vec<_> = bounds.iter().map(f64::to_string).collect();
            text.push_str(&format!("| {} | {} |\n", coded(of), ends.join(", ")));
        }
    }
    text
}

/// The part that a metric stands in.
fn part(definition: &Definition) -> usize {
    let begins = |prefix| definition.name.starts_with(prefix);
    match () {
        () if begins("http.") => 0,
        () if begins("otel.") || begins("pounce.telemetry.") => 2,
        () => 1,
    }
}

fn row(definition: &Definition) -> String {
    let Definition { name, unit, description, kind, attributes, .. } = definition;
    let (shown, kind) = (definition.prometheus_name(), kind.name());
    let by = if attributes.is_empty() { "" } else { " by " };
    let attributes = coded(attributes.iter().copied());
    format!("| `{name}`<br>`{shown}` | {description}<br>{kind} in `{unit}`{by}{attributes} |\n")
}

/// Names, as code.
fn coded<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_committed_page_is_what_the_instruments_say() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
        crate::config::blessed::matches(&path, &super::page());
    }
}
