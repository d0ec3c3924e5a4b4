//! How trace context travels in headers, and where to.

use super::{HeaderFormat, Invalid, OutboundRule, Place, Propagators, Setting, Value};

impl Setting for Propagators {
    const LIST: bool = true;

    fn read_all(texts: &[String], place: &Place<'_>) -> Result<Self, Vec<(String, Invalid)>> {
        read_words(texts, |word| HeaderFormat::read(word, place)).map(Self::from_iter)
    }

    fn show_all(&self) -> String {
        show(self.formats())
    }
}

/// The destinations of outgoing requests that get trace context (`otel.propagate-to`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PropagateTo {
    /// Every host that the guest may call.
    #[default]
    All,
    /// Hosts that a rule names; none for an empty list.
    Only(Vec<OutboundRule>),
}

impl Setting for PropagateTo {
    const LIST: bool = true;

    fn read_all(texts: &[String], _: &Place<'_>) -> Result<Self, Vec<(String, Invalid)>> {
        read_words(texts, str::parse).map(Self::Only)
    }

    fn show_all(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Only(rules) => show(rules),
        }
    }
}

/// Entries one by one, or `none` alone.
fn read_words<T>(
    texts: &[String],
    read: impl Fn(&str) -> Result<T, Invalid>,
) -> Result<Vec<T>, Vec<(String, Invalid)>> {
    // One text may hold several, as in the standard variable.
    let words: Vec<&str> = texts
        .iter()
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect();
    if let [only] = words[..]
        && is_none(only)
    {
        return Ok(Vec::new());
    }
    let (mut values, mut flaws) = (Vec::new(), Vec::new());
    for word in words {
        let value = if is_none(word) {
            Err(Invalid::new("does not go with others", "give it alone, or leave it out"))
        } else {
            read(word)
        };
        match value {
            Ok(value) => values.push(value),
            Err(flaw) => flaws.push((format!("`{word}`"), flaw)),
        }
    }
    if flaws.is_empty() { Ok(values) } else { Err(flaws) }
}

/// The word for an empty list.
pub(crate) fn is_none(word: &str) -> bool {
    word.eq_ignore_ascii_case("none")
}

fn show<T: ToString>(values: &[T]) -> String {
    if values.is_empty() {
        return "none".to_owned();
    }
    values.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::vars::Vars;

    fn read<T: Setting>(texts: &[&str]) -> Result<String, usize> {
        let vars = Vars::default();
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        let place = Place { base: "".as_ref(), vars: &vars };
        T::read_all(&texts, &place).map(|value| value.show_all()).map_err(|flaws| flaws.len())
    }

    #[test]
    fn propagators_are_read_once_each_and_none_stands_alone() {
        assert_eq!(read::<Propagators>(&["B3", "tracecontext", "b3"]).unwrap(), "b3, tracecontext");
        assert_eq!(read::<Propagators>(&["b3multi,baggage"]).unwrap(), "b3multi, baggage");
        assert_eq!(read::<Propagators>(&["None"]).unwrap(), "none");
        assert_eq!(read::<Propagators>(&["none", "b3"]), Err(1));
        assert_eq!(read::<Propagators>(&["jaeger", "b4"]), Err(2));
        assert_eq!(Propagators::default().show_all(), "tracecontext, baggage");
    }

    #[test]
    fn destinations_are_rules_or_none() {
        assert_eq!(PropagateTo::default().show_all(), "all");
        assert_eq!(read::<PropagateTo>(&["none"]).unwrap(), "none");
        let both = read::<PropagateTo>(&["*.example.com", "http://127.0.0.1:*"]).unwrap();
        assert_eq!(both, "*.example.com, http://127.0.0.1:*");
        assert_eq!(read::<PropagateTo>(&["none", "x.example", "a b"]), Err(2));
    }
}
