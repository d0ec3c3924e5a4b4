//! Which form of metrics a client prefers, by its `Accept`.

use http::HeaderMap;
use http::header::ACCEPT;
use pounce_telemetry::MetricsFormat;

/// The value of `Content-Type`.
pub(super) fn content_type(format: MetricsFormat) -> &'static str {
    match format {
        MetricsFormat::Text => "text/plain; version=0.0.4; charset=utf-8",
        MetricsFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
    }
}

/// OpenMetrics where it is preferred to text; text for everybody else, also who takes neither: people look with all
/// kinds of clients.
pub(super) fn preferred(headers: &HeaderMap) -> MetricsFormat {
    let accepted: Vec<_> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Accepted::read)
        .collect();
    let open = quality(&accepted, "application", "openmetrics-text", &["1.0.0", "0.0.1"]);
    let text = quality(&accepted, "text", "plain", &["0.0.4"]);
    if open > text { MetricsFormat::OpenMetrics } else { MetricsFormat::Text }
}

/// One range of media types.
struct Accepted {
    kind: String,
    subtype: String,
    version: Option<String>,
    /// In thousandths.
    quality: u16,
}

impl Accepted {
    fn read(range: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let lower = |text: &str| text.trim().to_ascii_lowercase();
        let mut accepted = Self { kind: lower(kind), subtype: lower(subtype), version: None, quality: 1000 };
        for part in parts {
            let Some((name, value)) = part.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                // What is no number counts as not wanted: the client meant to say less than all.
                "q" => accepted.quality = thousandths(value).unwrap_or(0),
                "version" => accepted.version = Some(value.to_owned()),
                _ => {}
            }
        }
        Some(accepted)
    }

    /// How closely it names the type; none if it does not.
    fn closeness(&self, kind: &str, subtype: &str, versions: &[&str]) -> Option<u8> {
        let is_version = |version: &String| versions.contains(&version.as_str());
        match (self.kind.as_str(), self.subtype.as_str()) {
            ("*", "*") => Some(0),
            (known, "*") if known == kind => Some(1),
            (known, sub) if known == kind && sub == subtype => match &self.version {
                None => Some(2),
                Some(version) if is_version(version) => Some(3),
                Some(_) => None,
            },
            _ => None,
        }
    }
}

/// As the closest range has it; of several that are equally close the one that likes it best.
fn quality(accepted: &[Accepted], kind: &str, subtype: &str, versions: &[&str]) -> u16 {
    let of = |one: &Accepted| Some((one.closeness(kind, subtype, versions)?, one.quality));
    accepted.iter().filter_map(of).max().map_or(0, |(_, quality)| quality)
}

/// `0.75` is 750.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let is_valid = matches!(whole, "0" | "1") && rest.len() <= 3 && rest.bytes().all(|b| b.is_ascii_digit());
    let parsed: u16 = if is_valid { format!("{whole}{rest:0<3}").parse().ok()? } else { return None };
    (parsed <= 1000).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_liked_form_is_served() {
        use MetricsFormat::{OpenMetrics, Text};
        for (accept, wanted) in [
            ("", Text),
            ("*/*", Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", OpenMetrics),
            ("application/openmetrics-text;version=2.0.0, text/plain;q=0.1", Text),
            // Prometheus 2.42, and one of version 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.9", Text),
            ("text/plain;q=0.5, application/openmetrics-text;q=0.5", Text),
            ("application/*;q=0.9, text/plain;q=0.1", OpenMetrics),
            ("application/openmetrics-text;q=0, */*", Text),
            ("*/*, text/plain;q=0", OpenMetrics),
            ("application/openmetrics-text;q=lots, text/plain;q=0.1", Text),
            ("application/openmetrics-text;q=1.5", Text),
            (";;;,/,=", Text),
        ] {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(preferred(&headers), wanted, "{accept}");
        }
    }
}
