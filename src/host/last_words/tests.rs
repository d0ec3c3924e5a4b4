//! What real runtimes printed, and what is made of it.

use proptest::prelude::*;

use super::{End, LastWords, Raised};

/// What is told of a guest that wrote `text` and ended so, and what it survived meanwhile.
fn heard(text: &str, end: End) -> (Option<Raised>, Vec<Raised>) {
    let (mut words, mut survived) = (LastWords::new(true), Vec::new());
    for line in text.lines() {
        words.hear(line, |raised| survived.push(raised));
    }
    let of_end = words.of(end);
    words.end(|raised| survived.push(raised));
    (of_end, survived)
}

#[track_caller]
fn expect(text: &str, end: End, kind: Option<&str>, message: &str, stacktrace: &str) {
    let (raised, survived) = heard(text, end);
    let raised = raised.unwrap_or_else(|| panic!("nothing is found in\n{text}"));
    assert_eq!((raised.kind.as_deref(), &*raised.message), (kind, message));
    assert_eq!(raised.stacktrace.unwrap_or_default(), stacktrace);
    assert_eq!(survived, []);
}

const PYTHON_PANIC: &str = "\nthread '<unnamed>' (1) panicked at runtime/src/lib.rs:1280:25:\n\
                            Python function threw an unexpected exception\n\
                            note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";

#[test]
fn an_exception_of_python() {
    let plain = "Traceback (most recent call last):\n  File \"/0/app.py\", line 21, in handle\n  \
                 File \"/0/app.py\", line 58, in inner\nValueError: boom: twice";
    expect(&[plain, PYTHON_PANIC].concat(), End::Trap, Some("ValueError"), "boom: twice", plain);

    let bare = "Traceback (most recent call last):\n  File \"/0/app.py\", line 47, in handle\nAssertionError";
    expect(&[bare, PYTHON_PANIC].concat(), End::Trap, Some("AssertionError"), "", bare);

    let chained = "Traceback (most recent call last):\n  File \"/0/app.py\", line 24, in handle\nKeyError: 'nothing'\n\n\
                   The above exception was the direct cause of the following exception:\n\n\
                   Traceback (most recent call last):\n  File \"/0/app.py\", line 26, in handle\n\
                   app.TooDeep: wrapped\n\nthird line of it\n  indented: too";
    let message = "wrapped\n\nthird line of it\n  indented: too";
    expect(&[chained, PYTHON_PANIC].concat(), End::Trap, Some("app.TooDeep"), message, chained);

    let group = "  + Exception Group Traceback (most recent call last):\n  |   File \"/0/app.py\", line 28, in handle\n  \
                 | ExceptionGroup: several (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n    \
                 | ValueError: one\n    +---------------- 2 ----------------\n    | KeyError: 'two'\n    \
                 +------------------------------------";
    let message = "several (2 sub-exceptions)";
    expect(&[group, PYTHON_PANIC].concat(), End::Trap, Some("ExceptionGroup"), message, group);

    let syntax = "Traceback (most recent call last):\n  File \"/0/app.py\", line 45, in handle\n  \
                  File \"made.py\", line 1\n    x = = 1\n        ^\nSyntaxError: invalid syntax";
    expect(&[syntax, PYTHON_PANIC].concat(), End::Trap, Some("SyntaxError"), "invalid syntax", syntax);

    // One that was logged before, and the one that ended the guest.
    let logged = plain.replace("boom", "only logged");
    let both = [&logged, "\n", bare, PYTHON_PANIC].concat();
    expect(&both, End::Trap, Some("AssertionError"), "", bare);
}

#[test]
fn an_exception_of_python_in_a_task() {
    let panic = r#"thread '<unnamed>' (1) panicked at runtime/src/lib.rs:1345:22:
called `Result::unwrap()` on an `Err` value: PyErr { type: <class 'ValueError'>, value: ValueError('it\'s "boom"'), traceback: Some("Traceback (most recent call last):\n  File \"/0/app.py\", line 64, in inner\n") }
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"#;
    let stack = "Traceback (most recent call last):\n  File \"/0/app.py\", line 64, in inner\n\
                 ValueError: it's \"boom\"";
    expect(panic, End::Trap, Some("ValueError"), "it's \"boom\"", stack);
    for (value, kind, message) in [
        ("app.TooDeep'>, value: TooDeep()", "app.TooDeep", ""),
        ("OSError'>, value: OSError(2, 'No such file')", "OSError", "2, 'No such file'"),
        ("app.Odd'>, value: <odd, value: x>", "app.Odd", "<odd, value: x>"),
    ] {
        let panic =
            format!("thread 'a' panicked at b:1:2:\nPyErr {{ type: <class '{value}, traceback: None }}");
        expect(&panic, End::Trap, Some(kind), message, "");
    }
}

#[test]
fn an_exception_of_quickjs() {
    let panic = r#"thread '<unnamed>' (1) panicked at crates/runtime/src/bindings.rs:416:30:
Call failed 'async export': Value(Exception(
Exception { message: Some("two\nlines \"quoted\""), stack: Some("    at Mistake (/app.js:3:54)\n    at handle (/app.js:18:38)\n") })
)
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace"#;
    let stack = "at Mistake (/app.js:3:54)\nat handle (/app.js:18:38)";
    expect(panic, End::Trap, Some("Error"), "two\nlines \"quoted\"", stack);

    // Its message may be what another runtime printed.
    let traceback =
        "Traceback (most recent call last):\n  File \"/0/app.py\", line 1, in f\nValueError: boom\n";
    let quotes =
        format!("{traceback}thread 'a' panicked at b:1:2:\nException {{ message: Some({PYTHON_PANIC:?}) }}");
    expect(&quotes, End::Trap, Some("Error"), PYTHON_PANIC.trim_end(), "");
}

#[test]
fn a_panic_of_rust_or_go() {
    let rust = "thread '<unnamed>' (1) panicked at trap/kinds.rs:23:21:\nthe guest panicked on purpose\n\
                note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace";
    let message = "thread '<unnamed>' (1) panicked at trap/kinds.rs:23:21:\nthe guest panicked on purpose";
    expect(rust, End::Trap, None, message, "");
    let go = "panic: runtime error: index out of range [5] with length 3\n\n\
              goroutine 1 [running]:\nmain.handle(...)\n\t/src/main.go:10 +0x1d";
    let stack = "goroutine 1 [running]:\nmain.handle(...)\n\t/src/main.go:10 +0x1d";
    let message = "runtime error: index out of range [5] with length 3";
    expect(go, End::Exit, Some("panic"), message, stack);
    expect(go, End::Trap, Some("panic"), message, stack);
}

#[test]
fn a_report_of_starlingmonkey() {
    let plain = "Error while running request handler: boom\nStack:\n  inner@app.js:21:27\n  @app.js:7:21";
    expect(plain, End::Return, Some("Error"), "boom", "inner@app.js:21:27\n@app.js:7:21");

    let long = "Error while running request handler: first\nsecond\nStack:\nthird\nStack:\n  @app.js:7:21";
    expect(long, End::Return, Some("Error"), "first\nsecond\nStack:\nthird", "@app.js:7:21");

    let caused = "Error while running request handler: outer\nStack:\n  @app.js:1:2\n\nCaused by: inner\nStack:\n  \
                  @app.js:3:4\nsomething else";
    expect(caused, End::Return, Some("Error"), "outer", "@app.js:1:2\nCaused by: inner\n@app.js:3:4");

    let script = "Exception while Exception in event listener for fetch\napp.js:3:43 RangeError: too: far\n\
                  Warning: JS event loop terminated without completing the request.";
    expect(script, End::Return, Some("RangeError"), "too: far", "app.js:3:43");

    // It explains an unfinished response; beside a whole one it is only told.
    let unhandled = "Promise rejected but never handled: no Response\nStack:";
    expect(unhandled, End::Return, Some("Error"), "no Response", "");
}

#[test]
fn what_a_runtime_survives_is_told_at_once() {
    let text = "Warning: body ReadableStream closed during body streaming. Exception: \
                (new Mistake(\"in the\\nstream\", \"app.js\", 11))\n\
                Warning: Promise passed to FetchEvent#waitUntil was rejected with error. Pending tasks after that error \
                might not run. Error details:\nin the background\nStack:\n  fail@app.js:14:32\n\
                Warning: Unhandled promise rejections detected after handling incoming request.\n\
                Promise rejected but never handled: nobody\nStack:\n  @app.js:7:21\nand a line of the guest's\n";
    let (of_end, mut survived) = heard(text, End::Trap);
    assert_eq!(of_end, None);
    // The trap took the last one's place; at any other end it is told as well.
    assert_eq!(survived.len(), 2, "{survived:?}");
    survived = heard(
        &[text, "Warning: body ReadableStream closed during body streaming. Exception: 5"].concat(),
        End::Exit,
    )
    .1;
    let told: Vec<_> = survived
        .iter()
        .map(|raised| {
            let kind = raised.kind.as_deref().unwrap_or_default();
            (kind, &*raised.message, raised.stacktrace.as_deref().unwrap_or_default())
        })
        .collect();
    let expected = [
        ("Mistake", "in the\nstream", "app.js:11"),
        ("Error", "in the background", "fail@app.js:14:32"),
        ("Error", "nobody", "@app.js:7:21"),
        ("Error", "5", ""),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_only_printed_explains_no_other_end() {
    let traceback = "Traceback (most recent call last):\n  File \"/0/app.py\", line 1, in f\nValueError: x";
    let report = "Error while running request handler: x\nStack:\n  @app.js:1:2";
    for (text, ends) in [
        (traceback, &[End::Trap, End::Exit, End::Return][..]),
        (report, &[End::Trap, End::Exit]),
        ("thread 'a' panicked at b:1:2:\nno", &[End::Exit, End::Return]),
    ] {
        for end in ends {
            assert_eq!(heard(text, *end), (None, Vec::new()), "{end:?} {text}");
        }
    }
    // A traceback that was logged before a panic of Rust's is not that panic's.
    let mixed = [traceback, "\nthread 'a' panicked at b:1:2:\nno"].concat();
    expect(&mixed, End::Trap, None, "thread 'a' panicked at b:1:2:\nno", "");
}

#[test]
fn a_long_passage_keeps_its_beginning_and_its_end() {
    let frames: String = (0..5000).map(|n| format!("  File \"/0/app.py\", line {n}, in deep\n")).collect();
    let text = format!("Traceback (most recent call last):\n{frames}RecursionError: too deep{PYTHON_PANIC}");
    let raised = heard(&text, End::Trap).0.expect("an exception");
    assert_eq!((raised.kind.as_deref(), &*raised.message), (Some("RecursionError"), "too deep"));
    let stack = raised.stacktrace.expect("a stack");
    assert!(stack.len() <= super::MAX_STACKTRACE && stack.contains("line 0, in deep"), "{stack}");
}

#[test]
fn a_guest_that_reports_without_end_is_bounded() {
    let line = "Warning: body ReadableStream closed during body streaming. Exception: 5\n";
    assert_eq!(heard(&line.repeat(1000), End::Trap).1.len(), super::MAX_SURVIVED);
}

proptest! {
    #[test]
    fn whatever_is_written(lines in prop::collection::vec(any_line(), 0..12)) {
        crate::host::fuzz::last_words(lines.join("\n").as_bytes());
    }
}

/// Anything, and what has a meaning.
fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        ".*",
        "Traceback \\(most recent call last\\):",
        "  File .*",
        "  \\+ Exception Group Traceback \\(most recent call last\\):",
        "During handling of the above exception, another exception occurred:",
        "[A-Z][a-z]{0,5}Error: .{0,9}",
        "thread .a. panicked at .{0,9}",
        "panic: .{0,9}",
        "goroutine .{0,9}",
        "Stack:",
        "  .{0,9}@.{0,9}",
        "Caused by: .{0,9}",
        "Error while running request handler: .{0,9}",
        "Exception while .{0,9}",
        "Promise rejected but never handled: .{0,9}",
        "Warning: body ReadableStream closed during body streaming. Exception: .{0,40}",
        "PyErr \\{ type: <class '.{0,9}'>, value: .{0,9}, traceback: Some\\(\".{0,9}\"\\) \\}",
        "Exception \\{ message: Some\\(\".{0,9}\"\\), stack: Some\\(\".{0,9}\"\\) \\}",
    ]
}
