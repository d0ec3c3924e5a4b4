//! The messages that a new user meets in the first hour: each says what happened, why, and what to do next. They are compared
//! as a whole with `snapshots/messages/`; `BLESS=1` writes them, to be read before they are committed.

mod requests;
mod start;

use crate::support::guest::root;

/// Compares what was said with the committed snapshot of this name.
fn matches(name: &str, said: &str) {
    let path = root().join("tests/integration/snapshots/messages").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        return std::fs::write(&path, said).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(said, committed, "{} is other than committed; BLESS=1 writes it", path.display());
}

/// `text` without what is other each time: ids, addresses, times, and where code lies.
fn settled(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut words: Vec<String> = Vec::new();
        // Newer versions of Rust tell a thread's number.
        for word in line.replace(" (1) panicked at", " panicked at").split(' ') {
            // `1.24 ms`, whatever the number, and however far it stands from the word before.
            if ["µs", "ms", "s"].contains(&word)
                && words.last().is_some_and(|last| last.parse::<f64>().is_ok())
            {
                words.pop();
                while words.last().is_some_and(String::is_empty) {
                    words.pop();
                }
                words.push("TIME".to_owned());
            } else {
                words.push(settle(word));
            }
        }
        out.push_str(words.join(" ").trim_end());
        out.push('\n');
    }
    out
}

fn settle(word: &str) -> String {
    let is_hex =
        |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if let Some((before, id)) = word.rsplit_once("/traces/")
        && is_hex(id, 32)
    {
        return format!("{}/traces/TRACE", settle(before));
    }
    if is_hex(bare, 32) || bare.strip_prefix("trace_id=").is_some_and(|id| is_hex(id, 32)) {
        return word[..word.len() - 32].to_owned() + "TRACE";
    }
    if let Some(id) = bare.strip_prefix("span_id=").filter(|id| is_hex(id, 16)) {
        return word.replace(id, "SPAN");
    }
    if is_hex(word, 8) {
        return "TRACE".to_owned();
    }
    if let Some(at) = word.find("127.0.0.1:") {
        let rest = &word[at + 10..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        return format!("{}127.0.0.1:PORT{}", &word[..at], &rest[digits..]);
    }
    let is_time = word.ends_with('Z') && word.contains('T') && word.contains(':');
    if is_time { "TIME".to_owned() } else { word.to_owned() }
}

#[test]
fn what_is_other_each_time_is_left_out() {
    let line =
        "4bf92f35 │ at http://127.0.0.1:8080/a?b, GET  / 500    1.24 ms  4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(settled(line), "TRACE │ at http://127.0.0.1:PORT/a?b, GET  / 500 TIME  TRACE\n");
}
