//! Text in quotes, as Rust, Python and JavaScript print it.

/// The text that begins at the quote at the start of `source`, without its escapes, and what follows it. Without a closing
/// quote (the output was cut) it goes on to the end.
pub(super) fn read(source: &str) -> Option<(String, &str)> {
    let quote = source.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut text = String::new();
    let mut rest = source[1..].chars();
    loop {
        match rest.next() {
            None => return Some((text, "")),
            Some(c) if c == quote => return Some((text, rest.as_str())),
            Some('\\') => text.extend(unescape(&mut rest)),
            Some(c) => text.push(c),
        }
    }
}

/// The character that an escape stands for, after its backslash.
fn unescape(rest: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        'x' => hex(rest, 2)?,
        'u' if rest.as_str().starts_with('{') => {
            let (digits, after) = rest.as_str()[1..].split_once('}')?;
            let c = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
            *rest = after.chars();
            c?
        }
        'u' => hex(rest, 4)?,
        'U' => hex(rest, 8)?,
        other => other,
    })
}

fn hex(rest: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let code = rest.as_str().get(..digits).and_then(|digits| u32::from_str_radix(digits, 16).ok())?;
    rest.nth(digits - 1);
    Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn escapes_stand_for_their_characters() {
        for (source, text, rest) in [
            (r#""plain", and more"#, "plain", ", and more"),
            (r#"'it\'s' )"#, "it's", " )"),
            (r#""a\nb\t\\ \x41 \u00e4 \u{1f600} \U0001f600""#, "a\nb\t\\ A ä 😀 😀", ""),
            (r#""cut off"#, "cut off", ""),
            (r#""bad \xzz \u{zz} \ud800 \q""#, "bad zz  \u{fffd} q", ""),
            ("\"\"", "", ""),
        ] {
            assert_eq!(read(source), Some((text.to_owned(), rest)), "{source}");
        }
        assert_eq!(read("no quote"), None);
        assert_eq!(read(""), None);
    }
}
