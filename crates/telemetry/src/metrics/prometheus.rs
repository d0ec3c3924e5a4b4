//! Metrics as a page for Prometheus: the text format 0.0.4, or OpenMetrics 1.0.0 with exemplars.
//!
//! Names, units and labels follow OpenTelemetry's rules for Prometheus: what Prometheus does not take becomes `_`, the
//! unit and `_total` are appended, the scope is a label, the resource is `target_info`. A guest names instruments and
//! labels as it likes, so nothing here trusts them: each name is rewritten, each text escaped, and no two families or
//! series of a page are the same. Of two that would be, the host's stays, else the first by name; the other is left out
//! and counted.
//!
//! Why not the crate `prometheus-client`: it writes OpenMetrics only, while scrapers without it ask for 0.0.4; its
//! registry has families of typed labels that are known when the program is built, and atomics of its own beside ours;
//! and it writes the names that it is given. What is left of it would be escaping.

use super::prometheus_names::{family_name, label_name, unit_word};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use otlp::{exemplar, metric, number_data_point};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

/// The metrics of one scope. Points are cumulative.
pub(crate) struct Scope<'a> {
    /// `otel_scope_name`.
    pub(crate) name: &'a str,
    pub(crate) metrics: Vec<otlp::Metric>,
}

/// A page, and what could not be on it.
pub(crate) struct Page {
    pub(crate) text: String,
    /// Metrics, by scope and name, that are left out in whole or in part: their names, or the labels of some of their
    /// points, are those of others once they are rewritten.
    pub(crate) collided: BTreeSet<(String, String)>,
}

/// What Prometheus calls the kind of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// All metrics that are one family: of one scope, with one name and kind.
struct Family<'a> {
    scope: &'a str,
    /// As OpenTelemetry has it.
    original: &'a str,
    kind: Kind,
    unit: Option<String>,
    help: &'a str,
    /// By their labels.
    series: BTreeMap<String, Series<'a>>,
}

enum Series<'a> {
    Number(&'a otlp::NumberDataPoint),
    Histogram(&'a otlp::HistogramDataPoint),
    /// Its buckets depend on what came in, and would be other series at each scrape: only the totals are shown.
    Exponential(&'a otlp::ExponentialHistogramDataPoint),
}

/// Writes the page of `scopes`, of which those that come first have the right of way.
pub(crate) fn page(format: Format, resource: &[KeyValue], scopes: &[Scope<'_>]) -> Page {
    let mut page = Page { text: String::new(), collided: BTreeSet::new() };
    let mut taken = HashSet::new();
    page.info(format, resource, &mut taken);
    for scope in scopes {
        let mut families: BTreeMap<String, Family<'_>> = BTreeMap::new();
        let mut metrics: Vec<_> = scope.metrics.iter().collect();
        metrics.sort_by(|one, other| one.name.cmp(&other.name));
        for metric in metrics {
            let Some(kind) = kind_of(metric) else { continue };
            let unit = unit_word(&metric.unit);
            let name = family_name(&metric.name, unit.as_deref(), kind == Kind::Counter);
            let family = families.entry(name).or_insert_with(|| Family {
                scope: scope.name,
                original: &metric.name,
                kind,
                unit,
                help: &metric.description,
                series: BTreeMap::new(),
            });
            // A large metric comes in parts of the same name; another that is merely called so has its own.
            if family.original != metric.name || family.kind != kind {
                page.collided.insert((scope.name.to_owned(), metric.name.clone()));
                continue;
            }
            if !family.add(metric) {
                page.collided.insert((scope.name.to_owned(), metric.name.clone()));
            }
        }
        for (name, family) in families {
            let names = family.kind.names(&name);
            if names.iter().any(|name| taken.contains(name)) {
                page.collided.insert((scope.name.to_owned(), family.original.to_owned()));
                continue;
            }
            taken.extend(names);
            family.write(&name, format, &mut page.text);
        }
    }
    if format == Format::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    page
}

impl Page {
    /// The resource, as the labels of a series that is always 1.
    fn info(&mut self, format: Format, resource: &[KeyValue], taken: &mut HashSet<String>) {
        let labels = labels(None, resource, false);
        let family = if format == Format::OpenMetrics { "target" } else { "target_info" };
        let kind = if format == Format::OpenMetrics { "info" } else { "gauge" };
        head(
            &mut self.text,
            family,
            kind,
            None,
            "What runs here: the resource of all its telemetry.",
            format,
        );
        put(&mut self.text, format_args!("target_info{{{labels}}} 1\n"));
        taken.extend(["target", "target_info"].map(str::to_owned));
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }

    /// Every name that a reader of either format may take for one of this family's.
    fn names(self, family: &str) -> Vec<String> {
        let suffixes: &[&str] = match self {
            Kind::Counter => &["", "_total", "_created"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
        };
        suffixes.iter().map(|suffix| format!("{family}{suffix}")).collect()
    }
}

fn kind_of(metric: &otlp::Metric) -> Option<Kind> {
    Some(match metric.data.as_ref()? {
        metric::Data::Sum(sum) if sum.is_monotonic => Kind::Counter,
        metric::Data::Sum(_) | metric::Data::Gauge(_) => Kind::Gauge,
        metric::Data::Histogram(_) | metric::Data::ExponentialHistogram(_) => Kind::Histogram,
        metric::Data::Summary(_) => return None,
    })
}

/// Points in the order of their keys.
fn in_order<T>(points: &[T], attributes: impl Fn(&T) -> &Vec<KeyValue>) -> impl Iterator<Item = &T> {
    let keys =
        |point: &T| attributes(point).iter().map(|attribute| attribute.key.clone()).collect::<Vec<_>>();
    let mut points: Vec<_> = points.iter().collect();
    points.sort_by_cached_key(|point| keys(point));
    points.into_iter()
}

impl<'a> Family<'a> {
    /// Adds the points of a metric; false if some have the labels of others, and are left out.
    fn add(&mut self, metric: &'a otlp::Metric) -> bool {
        let is_histogram = self.kind == Kind::Histogram;
        let mut is_whole = true;
        let mut add = |attributes: &'a [KeyValue], series: Series<'a>| {
            let labels = labels(Some(self.scope), attributes, is_histogram);
            match self.series.entry(labels) {
                std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(series)),
                std::collections::btree_map::Entry::Occupied(_) => is_whole = false,
            }
        };
        // In an order of their own, so that of points that are the same here it is always the same one that stays.
        match &metric.data {
            Some(metric::Data::Sum(otlp::Sum { data_points, .. }))
            | Some(metric::Data::Gauge(otlp::Gauge { data_points })) => {
                in_order(data_points, |point| &point.attributes)
                    .for_each(|point| add(&point.attributes, Series::Number(point)));
            }
            Some(metric::Data::Histogram(histogram)) => {
                in_order(&histogram.data_points, |point| &point.attributes)
                    .for_each(|point| add(&point.attributes, Series::Histogram(point)));
            }
            Some(metric::Data::ExponentialHistogram(histogram)) => {
                in_order(&histogram.data_points, |point| &point.attributes)
                    .for_each(|point| add(&point.attributes, Series::Exponential(point)));
            }
            Some(metric::Data::Summary(_)) | None => {}
        }
        is_whole
    }

    fn write(&self, name: &str, format: Format, out: &mut String) {
        let of_counter = format!("{name}_total");
        let of_samples = if self.kind == Kind::Counter { &of_counter } else { name };
        // The older format calls a counter by the name of its samples.
        let family = if format == Format::Text { of_samples } else { name };
        let help = match self.help.trim() {
            "" => format!("`{}` of the scope `{}`.", self.original, self.scope),
            help => help.to_owned(),
        };
        head(out, family, self.kind.word(), self.unit.as_deref(), &help, format);
        let exemplars = format == Format::OpenMetrics;
        for (labels, series) in &self.series {
            match series {
                Series::Number(point) => {
                    put(out, format_args!("{of_samples}{{{labels}}} "));
                    number(out, point.value.as_ref());
                    if exemplars && self.kind == Kind::Counter {
                        exemplar_of(out, point.exemplars.iter());
                    }
                    out.push('\n');
                }
                Series::Histogram(point) => histogram(out, name, labels, point, exemplars),
                Series::Exponential(point) => {
                    put(out, format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {}", point.count));
                    if exemplars {
                        exemplar_of(out, point.exemplars.iter());
                    }
                    out.push('\n');
                    totals(out, name, labels, point.sum, point.count);
                }
            }
        }
    }
}

fn histogram(
    out: &mut String,
    name: &str,
    labels: &str,
    point: &otlp::HistogramDataPoint,
    has_exemplars: bool,
) {
    let mut count = 0u64;
    let bounds = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
    let mut below = f64::NEG_INFINITY;
    for (at, bound) in bounds.enumerate() {
        count = count.saturating_add(point.bucket_counts.get(at).copied().unwrap_or(0));
        // The last bucket holds all, also where a guest's buckets do not add up.
        let shown = if bound == f64::INFINITY { point.count } else { count.min(point.count) };
        put(out, format_args!("{name}_bucket{{{labels},le=\""));
        double(out, bound);
        put(out, format_args!("\"}} {shown}"));
        if has_exemplars {
            let is_here = |value: f64| below < value && value <= bound;
            exemplar_of(
                out,
                point.exemplars.iter().filter(|exemplar| value_of(exemplar).is_some_and(is_here)),
            );
        }
        out.push('\n');
        below = bound;
    }
    totals(out, name, labels, point.sum, point.count);
}

fn totals(out: &mut String, name: &str, labels: &str, sum: Option<f64>, count: u64) {
    if let Some(sum) = sum {
        put(out, format_args!("{name}_sum{{{labels}}} "));
        double(out, sum);
        out.push('\n');
    }
    put(out, format_args!("{name}_count{{{labels}}} {count}\n"));
}

fn value_of(exemplar: &otlp::Exemplar) -> Option<f64> {
    match exemplar.value.as_ref()? {
        exemplar::Value::AsDouble(double) => Some(*double).filter(|double| double.is_finite()),
        exemplar::Value::AsInt(int) => Some(*int as f64),
    }
}

/// The latest of `exemplars` that belongs to a span.
fn exemplar_of<'a>(out: &mut String, exemplars: impl Iterator<Item = &'a otlp::Exemplar>) {
    let of_span = exemplars.filter(|one| one.trace_id.len() == 16 && one.span_id.len() == 8);
    let Some(latest) = of_span.max_by_key(|one| one.time_unix_nano) else { return };
    let Some(value) = value_of(latest) else { return };
    out.push_str(" # {trace_id=\"");
    latest.trace_id.iter().for_each(|byte| put(out, format_args!("{byte:02x}")));
    out.push_str("\",span_id=\"");
    latest.span_id.iter().for_each(|byte| put(out, format_args!("{byte:02x}")));
    out.push_str("\"} ");
    double(out, value);
    let millis = latest.time_unix_nano / 1_000_000;
    put(out, format_args!(" {}.{:03}", millis / 1000, millis % 1000));
}

/// The lines before the samples of a family.
fn head(out: &mut String, family: &str, kind: &str, unit: Option<&str>, help: &str, format: Format) {
    put(out, format_args!("# HELP {family} "));
    escape(out, help, format == Format::OpenMetrics);
    put(out, format_args!("\n# TYPE {family} {kind}\n"));
    if format == Format::OpenMetrics
        && let Some(unit) = unit.filter(|unit| family.ends_with(&format!("_{unit}")))
    {
        put(out, format_args!("# UNIT {family} {unit}\n"));
    }
}

/// What stands between the braces. Of keys that are the same once they are rewritten, the values stand together, as
/// OpenTelemetry has it.
fn labels(scope: Option<&str>, attributes: &[KeyValue], is_histogram: bool) -> String {
    let mut sorted: Vec<_> = attributes.iter().collect();
    sorted.sort_by(|one, other| one.key.cmp(&other.key));
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for attribute in sorted {
        let mut name = label_name(&attribute.key);
        // Ours, whatever a guest says.
        if (is_histogram && name == "le") || (scope.is_some() && name.starts_with("otel_scope_")) {
            name.insert_str(0, "key_");
        }
        let value = text_of(attribute.value.as_ref());
        labels
            .entry(name)
            .and_modify(|known| {
                known.push(';');
                known.push_str(&value);
            })
            .or_insert(value);
    }
    if let Some(scope) = scope {
        labels.insert("otel_scope_name".to_owned(), scope.to_owned());
    }
    let mut out = String::new();
    for (name, value) in labels {
        let comma = if out.is_empty() { "" } else { "," };
        put(&mut out, format_args!("{comma}{name}=\""));
        escape(&mut out, &value, true);
        out.push('"');
    }
    out
}

/// A value as the text of a label; what has parts is JSON, as OpenTelemetry has it.
fn text_of(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        value => json_of(value).to_string(),
    }
}

fn json_of(value: Option<&any_value::Value>) -> serde_json::Value {
    use base64::Engine as _;
    let inner = |value: &AnyValue| json_of(value.value.as_ref());
    match value {
        Some(any_value::Value::StringValue(text)) => text.as_str().into(),
        Some(any_value::Value::BoolValue(bool)) => (*bool).into(),
        Some(any_value::Value::IntValue(int)) => (*int).into(),
        Some(any_value::Value::DoubleValue(double)) => match serde_json::Number::from_f64(*double) {
            Some(number) => number.into(),
            None => double.to_string().into(),
        },
        Some(any_value::Value::BytesValue(bytes)) => {
            base64::engine::general_purpose::STANDARD.encode(bytes).into()
        }
        Some(any_value::Value::ArrayValue(array)) => array.values.iter().map(inner).collect(),
        Some(any_value::Value::KvlistValue(list)) => {
            let entries = list.values.iter();
            let entry = |entry: &KeyValue| {
                let value = entry.value.as_ref().map_or(serde_json::Value::Null, inner);
                (entry.key.clone(), value)
            };
            serde_json::Value::Object(entries.map(entry).collect())
        }
        // The other forms that the protocol has are of profiles, and none of ours.
        _ => serde_json::Value::Null,
    }
}

/// Escapes a text; other control characters than the line end may stand in it, but confuse people and some readers.
fn escape(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
}

fn number(out: &mut String, value: Option<&number_data_point::Value>) {
    match value {
        Some(number_data_point::Value::AsInt(int)) => put(out, format_args!("{int}")),
        Some(number_data_point::Value::AsDouble(value)) => double(out, *value),
        None => out.push_str("NaN"),
    }
}

/// The shortest form that reads back as the same number; a whole one has its `.0`, as OpenMetrics wants it in `le`, in
/// both formats, so that the series do not depend on what the scraper asks for.
fn double(out: &mut String, value: f64) {
    match value {
        f64::INFINITY => out.push_str("+Inf"),
        f64::NEG_INFINITY => out.push_str("-Inf"),
        value => put(out, format_args!("{value:?}")),
    }
}

/// Writing to a string does not fail.
fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests;
