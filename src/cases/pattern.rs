//! Texts in which `*` stands for anything.

use std::fmt;

/// A text to be compared with another: `*` stands for any characters, none among them, `\*` for a star and `\\` for a
/// backslash. Any other backslash is itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    written: String,
    /// The texts between the stars, one more than there are stars.
    parts: Vec<String>,
}

impl Pattern {
    pub(crate) fn new(written: &str) -> Self {
        let mut parts = vec![String::new()];
        let mut rest = written.chars().peekable();
        while let Some(c) = rest.next() {
            let escaped = rest.peek().copied().filter(|next| c == '\\' && matches!(next, '*' | '\\'));
            match (c, escaped, parts.last_mut()) {
                (_, Some(escaped), Some(part)) => {
                    part.push(escaped);
                    rest.next();
                }
                ('*', None, _) => parts.push(String::new()),
                (c, None, Some(part)) => part.push(c),
                (_, _, None) => {}
            }
        }
        Self { written: written.to_owned(), parts }
    }

    /// The pattern that matches `text` and nothing else, as it is written.
    pub(crate) fn escape(text: &str) -> String {
        // A backslash needs one only where it would take the next character along.
        text.replace('\\', "\\\\").replace('*', "\\*")
    }

    /// Whether it stands for more than one text.
    pub(crate) fn has_star(&self) -> bool {
        self.parts.len() > 1
    }

    /// Whether it stands for every text.
    pub(crate) fn is_anything(&self) -> bool {
        self.has_star() && self.parts.iter().all(String::is_empty)
    }

    /// Whether it stands for `text`. Takes time in proportion to both lengths, whatever the two are.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = &self.parts[..] else {
            return self.parts.first().is_some_and(|only| only == text);
        };
        let Some(rest) = text.strip_prefix(&**first) else { return false };
        let Some(mut rest) = rest.strip_suffix(&**last) else { return false };
        // Of each part the first place where it stands leaves most for the others.
        for part in middle {
            match rest.find(&**part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        let cases: [(&str, &[&str], &[&str]); 8] = [
            ("abc", &["abc"], &["", "ab", "abcd"]),
            ("", &[""], &["a"]),
            ("*", &["", "a", "a\nb"], &[]),
            ("a*", &["a", "abc"], &["", "ba"]),
            ("*a", &["a", "ba"], &["ab"]),
            ("a*b*c", &["abc", "a1b2c", "abbc"], &["acb", "ab", "abcd"]),
            ("ab*ba", &["abba", "abxba"], &["aba", "ab"]),
            (r"\*\\*", &[r"*\", r"*\x"], &[r"a\", "*"]),
        ];
        for (written, yes, no) in cases {
            let pattern = Pattern::new(written);
            assert_eq!(pattern.to_string(), written);
            yes.iter().for_each(|text| assert!(pattern.matches(text), "{written} {text:?}"));
            no.iter().for_each(|text| assert!(!pattern.matches(text), "{written} {text:?}"));
        }
        assert!(Pattern::new("**").is_anything() && !Pattern::new(r"\*").has_star());
    }

    proptest::proptest! {
        #[test]
        fn what_holds_of_all_patterns_holds(written in "[ab*\\\\]{0,12}", text in "[ab*\\\\]{0,12}") {
            crate::cases::fuzz::pattern(&written, &text);
        }
    }
}
