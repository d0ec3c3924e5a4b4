//! What must hold of what guests print as they fail, for any bytes: driven by the property tests and by `fuzz/`; built for
//! those alone. Panics where it does not hold.

use super::last_words::{End, LastWords, MAX_KIND, MAX_MESSAGE, MAX_STACKTRACE, Raised};

/// What a guest writes to stderr: nothing panics, all that is made of it is bounded, and an exception is read back as it was
/// raised, whatever was written before it and whatever its message is.
pub fn last_words(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for end in [End::Trap, End::Exit, End::Return] {
        let mut words = LastWords::new(true);
        words.hear_all(&text);
        words.of(end).iter().for_each(is_bounded);
    }

    // In one line, as Python and StarlingMonkey print it; they begin nothing new then.
    let message: String = text.lines().collect::<Vec<_>>().join(" ");
    let message = message.trim_end();
    let python = format!(
        "Traceback (most recent call last):\n  File \"app.py\", line 1, in f\nValueError: {message}\n\
         thread 'a' panicked at runtime/src/lib.rs:1:2:\nPython function threw an unexpected exception"
    );
    is_read_back(&text, &python, End::Trap, "ValueError", message);
    let reported = format!("Error while running request handler: {message}\nStack:\n  f@app.js:1:2");
    is_read_back("", &reported, End::Return, "Error", message);

    // Quoted, over as many lines as there are.
    let message = text.trim_end();
    let quickjs =
        format!("thread 'a' panicked at b:1:2:\nException {{ message: Some({message:?}), stack: None }}");
    is_read_back(&text, &quickjs, End::Trap, "Error", message);
}

fn is_read_back(before: &str, text: &str, end: End, kind: &str, message: &str) {
    let mut words = LastWords::new(true);
    words.hear_all(before);
    words.hear_all(text);
    let raised = words.of(end).expect("an exception");
    is_bounded(&raised);
    assert_eq!(raised.kind.as_deref(), Some(kind));
    // The middle of a long passage is left out.
    if text.len() < MAX_MESSAGE {
        assert_eq!(raised.message, message);
    }
}

fn is_bounded(raised: &Raised) {
    assert!(raised.kind.as_ref().is_none_or(|kind| kind.len() <= MAX_KIND));
    assert!(raised.message.len() <= MAX_MESSAGE);
    assert!(raised.stacktrace.as_ref().is_none_or(|trace| trace.len() <= MAX_STACKTRACE));
}

impl LastWords {
    fn hear_all(&mut self, text: &str) {
        text.lines().for_each(|line| self.hear(line, |raised| is_bounded(&raised)));
    }
}
