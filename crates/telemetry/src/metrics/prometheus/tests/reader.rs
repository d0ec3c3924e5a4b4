//! A strict reader of both formats, written from their specifications and not from the writer.

use std::collections::HashSet;

/// What a page holds.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) families: Vec<String>,
    pub(super) samples: usize,
}

/// Reads a page, or says what is wrong with it.
pub(super) fn read(page: &str, is_open: bool) -> Result<Read, String> {
    let body = match is_open {
        true => page.strip_suffix("# EOF\n").ok_or("no # EOF at the end")?,
        false => page,
    };
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let mut read = Read::default();
    let (mut family, mut kind) = (String::new(), String::new());
    let (mut names, mut series) = (HashSet::new(), HashSet::new());
    let mut last_bucket: Option<(String, f64, f64)> = None;
    for line in body.split_terminator('\n') {
        let wrong = |why: &str| Err(format!("{why}: {line:?}"));
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.splitn(3, ' ');
            let (word, name, rest) =
                (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next().unwrap_or(""));
            if !is_name(name) {
                return wrong("no name");
            }
            match word {
                "HELP" => {
                    unescape(rest, is_open)?;
                    family = if is_open {
                        name.to_owned()
                    } else {
                        name.strip_suffix("_total").unwrap_or(name).to_owned()
                    };
                    kind.clear();
                    if !names.insert(name.to_owned()) {
                        return wrong("a family twice");
                    }
                }
                "TYPE" if kind.is_empty() && name.starts_with(&family) => {
                    kind = rest.to_owned();
                    // `a_total` is a gauge of that name, unless it is the older format's counter.
                    if kind != "counter" && !is_open {
                        family = name.to_owned();
                    }
                    read.families.push(if family == "target_info" {
                        "target".to_owned()
                    } else {
                        family.clone()
                    });
                }
                "UNIT" if is_open && family == name && name.ends_with(&format!("_{rest}")) => {}
                _ => return wrong("an odd line"),
            }
            continue;
        }
        let (name, labels, value, has_exemplar) = sample(line, is_open)?;
        let suffix = name.strip_prefix(family.as_str()).ok_or(format!("not of {family}: {line:?}"))?;
        let allowed: &[&str] = match (kind.as_str(), is_open) {
            ("counter", _) => &["_total"],
            ("info", true) => &["_info"],
            ("gauge", _) => &[""],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            _ => return wrong("a sample of no kind"),
        };
        if !allowed.contains(&suffix) {
            return wrong("a sample with another name");
        }
        if has_exemplar && !matches!(suffix, "_total" | "_bucket") {
            return wrong("an exemplar where none may be");
        }
        let plain: Vec<_> = labels.iter().filter(|(key, _)| key != "le").collect();
        let key = format!("{name}{labels:?}");
        if !series.insert(key) {
            return wrong("a series twice");
        }
        if suffix == "_bucket" {
            let le =
                labels.iter().filter(|(key, _)| key == "le").map(|(_, le)| number(le)).collect::<Vec<_>>();
            let [Some(le)] = le[..] else { return wrong("a bucket without one le") };
            let group = format!("{plain:?}");
            if let Some((last_group, last_le, last)) = &last_bucket
                && *last_group == group
                && (*last_le >= le || *last > value)
            {
                return wrong("buckets out of order");
            }
            last_bucket = if le == f64::INFINITY { None } else { Some((group, le, value)) };
        } else if labels.iter().any(|(key, _)| key == "le") && kind == "histogram" {
            return wrong("le where none may be");
        }
        if kind == "counter" && value < 0.0 {
            return wrong("a counter below nothing");
        }
        read.samples += 1;
    }
    if last_bucket.is_some() {
        return Err("a histogram without a last bucket".to_owned());
    }
    Ok(read)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        // What Rust reads beyond the formats.
        text if text.contains("inf") || text.contains("nan") || text.contains('_') => None,
        text => text.parse().ok(),
    }
}

fn unescape(text: &str, quotes: bool) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\\') => out.push('\\'),
                Some('n') => out.push('\n'),
                Some('"') if quotes => out.push('"'),
                other => return Err(format!("an odd escape {other:?} in {text:?}")),
            },
            '"' if quotes => return Err(format!("a bare quote in {text:?}")),
            c => out.push(c),
        }
    }
    Ok(out)
}

type Labels = Vec<(String, String)>;

/// The labels between braces, and what follows them.
fn labels(text: &str) -> Result<(Labels, &str), String> {
    let mut rest = text.strip_prefix('{').ok_or(format!("no brace: {text:?}"))?;
    let mut found: Labels = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((found, after));
        }
        if !found.is_empty() {
            rest = rest.strip_prefix(',').ok_or(format!("no comma: {rest:?}"))?;
        }
        let (key, value) = rest.split_once("=\"").ok_or(format!("no label: {rest:?}"))?;
        if !is_name(key) || key.starts_with("__") || found.iter().any(|(known, _)| known == key) {
            return Err(format!("the label {key:?} in {text:?}"));
        }
        let mut escaped = false;
        let end = value.char_indices().find(|(_, c)| {
            let is_end = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            is_end
        });
        let (end, _) = end.ok_or(format!("no closing quote: {value:?}"))?;
        found.push((key.to_owned(), unescape(&value[..end], true)?));
        rest = &value[end + 1..];
    }
}

/// Name, labels, value, and whether an exemplar follows.
fn sample(line: &str, is_open: bool) -> Result<(String, Labels, f64, bool), String> {
    let brace = line.find('{').ok_or(format!("no labels: {line:?}"))?;
    let name = &line[..brace];
    if !is_name(name) {
        return Err(format!("no name: {line:?}"));
    }
    let (labels, rest) = labels(&line[brace..])?;
    let rest = rest.strip_prefix(' ').ok_or(format!("no space: {line:?}"))?;
    let (value, exemplar) =
        rest.split_once(" # ").map_or((rest, None), |(value, exemplar)| (value, Some(exemplar)));
    let value = number(value).ok_or(format!("no number: {line:?}"))?;
    if let Some(exemplar) = exemplar {
        let (of, rest) = self::labels(exemplar)?;
        let size: usize = of.iter().map(|(key, value)| key.chars().count() + value.chars().count()).sum();
        let numbers: Vec<_> = rest.trim_start().split(' ').map(number).collect();
        if !is_open || size > 128 || numbers.len() != 2 || numbers.contains(&None) {
            return Err(format!("an odd exemplar: {line:?}"));
        }
    }
    Ok((name.to_owned(), labels, value, exemplar.is_some()))
}
