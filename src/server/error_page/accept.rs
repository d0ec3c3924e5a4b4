//! Which form of an error page a client wants (RFC 9110 §12.5.1).

use http::HeaderMap;
use http::header::ACCEPT;

/// Entries of `Accept` that are read.
const MAX_ENTRIES: usize = 64;

/// The forms that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Html,
    Json,
    Text,
}

impl Form {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    /// The form that `Accept` names with the most weight, the first of equal ones. One that is only covered by a range
    /// (`*/*`, as curl sends it) is not asked for: text is for everybody.
    pub(super) fn preferred(headers: &HeaderMap) -> Self {
        let texts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let entries = texts.flat_map(|text| text.split(',')).take(MAX_ENTRIES);
        let mut best: Option<(f32, Self)> = None;
        for entry in entries {
            let mut parts = entry.split(';').map(str::trim);
            let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "text/html" | "application/xhtml+xml" => Self::Html,
                "application/json" | "application/problem+json" => Self::Json,
                "text/plain" => Self::Text,
                _ => continue,
            };
            let weight = parts.find_map(|part| {
                let (name, weight) = part.split_once('=')?;
                name.trim().eq_ignore_ascii_case("q").then(|| weight.trim().parse().unwrap_or(0.0))
            });
            let weight: f32 = weight.unwrap_or(1.0);
            if weight > 0.0 && best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, form));
            }
        }
        best.map_or(Self::Text, |(_, form)| form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_they_ask_for() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        for (accept, form) in [
            (browser, Form::Html),
            ("*/*", Form::Text),
            ("", Form::Text),
            ("application/json", Form::Json),
            ("application/json, text/plain, */*", Form::Json),
            ("text/html;q=0.1, application/json;q=0.2", Form::Json),
            ("TEXT/HTML ; Q=1", Form::Html),
            ("text/html;q=0", Form::Text),
            ("text/html;q=x", Form::Text),
            ("image/png", Form::Text),
        ] {
            let headers = [(ACCEPT, accept.parse().unwrap())].into_iter().collect();
            assert_eq!(Form::preferred(&headers), form, "{accept}");
        }
        assert_eq!(Form::preferred(&HeaderMap::new()), Form::Text);
    }
}
