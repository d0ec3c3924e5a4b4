//! Names of OpenTelemetry as Prometheus takes them: `http.server.request.duration` in `s` is
//! `http_server_request_duration_seconds`.

/// The name of a family without `_total`, which its samples get: the name and the unit, with `_` for what is neither
/// letter nor digit.
pub(super) fn family_name(name: &str, unit: Option<&str>, is_counter: bool) -> String {
    let mut family = rewritten(name);
    if family.starts_with(|c: char| c.is_ascii_digit()) {
        family.insert(0, '_');
    }
    // Said twice, it would stand twice.
    if is_counter && let Some(rest) = family.strip_suffix("_total").filter(|rest| !rest.is_empty()) {
        family.truncate(rest.len());
    }
    if let Some(unit) = unit
        && family != unit
        && !family.ends_with(&format!("_{unit}"))
    {
        family.push('_');
        family.push_str(unit);
    }
    family
}

/// The name of a label. Prometheus keeps those with two leading `_` for itself.
pub(super) fn label_name(key: &str) -> String {
    let name = rewritten(key);
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("key_{name}") } else { name }
}

/// A run of anything but letters and digits is one `_`.
fn rewritten(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    if out.is_empty() { "_".to_owned() } else { out }
}

/// A unit of UCUM as a word, as Prometheus spells units; none for what only annotates (`{request}`) and for `1`.
pub(super) fn unit_word(unit: &str) -> Option<String> {
    // What stands in braces is for people.
    let mut plain = String::new();
    let mut depth = 0u32;
    for c in unit.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    let (of, per) = match plain.split_once('/') {
        Some((of, per)) => (of.trim(), Some(per.trim())),
        None => (plain.trim(), None),
    };
    let word = |unit: &str, words: &[(&str, &'static str)]| {
        let known = words.iter().find(|(short, _)| *short == unit).map(|(_, word)| (*word).to_owned());
        let other = || rewritten(unit).trim_matches('_').to_owned();
        Some(known.unwrap_or_else(other)).filter(|word| !word.is_empty() && unit != "1")
    };
    let (of, per) = (word(of, UNITS), per.and_then(|per| word(per, PER)));
    match (of, per) {
        (of, None) => of,
        (Some(of), Some(per)) => Some(format!("{of}_per_{per}")),
        (None, Some(per)) => Some(format!("per_{per}")),
    }
}

const UNITS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("bit", "bits"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];

const PER: &[(&str, &str)] = &[
    ("s", "second"),
    ("min", "minute"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_words() {
        for (unit, word) in [
            ("s", Some("seconds")),
            ("By", Some("bytes")),
            ("{request}", None),
            ("1", None),
            ("", None),
            ("By/s", Some("bytes_per_second")),
            ("{request}/s", Some("per_second")),
            ("%", Some("percent")),
            ("furlong", Some("furlong")),
            ("m²", Some("m")),
            ("}{", None),
            ("{{a}s", None),
            ("\"\n", None),
        ] {
            assert_eq!(unit_word(unit).as_deref(), word, "{unit:?}");
        }
    }

    #[test]
    fn families_have_their_unit_once_and_no_total() {
        for (name, unit, is_counter, family) in [
            ("http.server.request.duration", Some("seconds"), false, "http_server_request_duration_seconds"),
            ("wait.seconds", Some("seconds"), false, "wait_seconds"),
            ("seconds", Some("seconds"), false, "seconds"),
            ("orders.total", None, true, "orders"),
            ("orders.total", None, false, "orders_total"),
            ("a..b/-c", None, true, "a_b_c"),
            ("total", None, true, "total"),
            ("7up", None, true, "_7up"),
            ("", None, true, "_"),
        ] {
            assert_eq!(family_name(name, unit, is_counter), family, "{name}");
        }
        assert_eq!(label_name("http.route"), "http_route");
        assert_eq!(
            (label_name("7"), label_name("__name__"), label_name("é")),
            ("key_7".into(), "_name_".into(), "_".into())
        );
    }
}
