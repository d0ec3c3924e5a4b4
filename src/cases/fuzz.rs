//! What must hold of patterns, assignments and case files, whatever they are: driven by the property tests and by `fuzz/`;
//! built for those alone. Panics where it does not hold.

use std::path::Path;

use super::expect::Times;
use super::matching::assign;
use super::pattern::Pattern;
use super::read;

/// A pattern: agrees with a slower reading of the same rules, and its escaped form stands for the text alone.
pub fn pattern(written: &str, text: &str) {
    let pattern = Pattern::new(written);
    assert_eq!(pattern.to_string(), written);
    let mut tokens = Vec::new();
    let mut rest = written.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek().copied()) {
            ('\\', Some(next @ ('*' | '\\'))) => {
                tokens.push(Some(next));
                rest.next();
            }
            ('*', _) => tokens.push(None),
            (c, _) => tokens.push(Some(c)),
        }
    }
    // The table of all prefixes: its size is the product of the lengths.
    let text_chars: Vec<char> = text.chars().collect();
    if tokens.len() * text_chars.len() < 1 << 16 {
        let mut row = vec![true];
        row.resize(text_chars.len() + 1, false);
        for token in &tokens {
            let mut next = vec![token.is_none() && row[0]];
            for (at, c) in text_chars.iter().enumerate() {
                next.push(match token {
                    None => row[at + 1] || next[at],
                    Some(token) => token == c && row[at],
                });
            }
            row = next;
        }
        assert_eq!(pattern.matches(text), row[text_chars.len()], "{written:?} {text:?}");
    }
    let own = Pattern::new(&Pattern::escape(text));
    assert!(!own.has_star() && own.matches(text), "{text:?}");
    assert_eq!(own.matches(written), written == text);
}

/// An assignment: nothing that does not fit, nothing beyond its number, and in order if asked for. No order at all is
/// never worse than one order.
pub fn assignment(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let count = usize::from(first % 5);
    let wants: Vec<Times> = (0..count)
        .map(|at| rest.get(at).map_or(0, |byte| usize::from(*byte)))
        .map(|byte| Times { least: byte % 3, most: byte % 3 + byte / 3 % 3 })
        .collect();
    let bits = rest.get(count..).unwrap_or_default();
    let came = bits.len().min(12);
    let fits = |want: usize, one: usize| bits[one] >> want & 1 == 1;
    let required = |of: &[Option<usize>]| {
        let count = |want| of.iter().filter(|of| **of == Some(want)).count();
        wants.iter().enumerate().map(|(want, times)| count(want).min(times.least)).sum::<usize>()
    };
    let mut found = Vec::new();
    for is_ordered in [true, false] {
        let of = assign(&wants, came, is_ordered, fits);
        assert_eq!(of.len(), came);
        for (one, want) in of.iter().enumerate().filter_map(|(one, want)| Some((one, (*want)?))) {
            assert!(fits(want, one));
        }
        for (want, times) in wants.iter().enumerate() {
            assert!(of.iter().filter(|of| **of == Some(want)).count() <= times.most);
        }
        let placed: Vec<_> = of.iter().flatten().collect();
        assert!(!is_ordered || placed.is_sorted());
        found.push((required(&of), placed.len()));
    }
    assert!(found[1].0 >= found[0].0, "{found:?}");
}

/// A case file: no text makes the reader panic, and every mistake has a place and a hint.
pub fn case_file(text: &str) {
    if let Err(mistakes) = read::parse(text, Path::new("cases.toml")) {
        assert!(!mistakes.is_empty());
        for mistake in mistakes {
            assert!(mistake.place.starts_with("cases.toml:") && !mistake.hint.is_empty(), "{mistake}");
        }
    }
}
