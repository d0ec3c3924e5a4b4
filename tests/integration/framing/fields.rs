//! Header lines: names, values, line ends, folds, and how many there may be.

use super::{Case, all, differs, same, with};

pub(super) fn cases() -> Vec<Case> {
    all([names_and_values(), line_ends(), numbers()])
}

fn names_and_values() -> Vec<Case> {
    vec![
        same("a header", with("X: y"), "200 keep"),
        same("an empty value", with("X:"), "200 keep"),
        same("white space around a value", with("X: \t y \t "), "200 keep"),
        same("no white space before a value", with("X:y"), "200 keep"),
        same("a tab within a value", with("X: y\tz"), "200 keep"),
        same("bytes beyond ASCII in a value", with(b"X: \xff\xfe"), "200 keep"),
        same("an underscore in a name", with("X_Y: z"), "200 keep"),
        same("a name of 1000 bytes", with(format!("{}: y", "X".repeat(1000))), "200 keep"),
        same("a name of all kinds of token characters", with("!#$%&'*+-.^_`|~9: y"), "200 keep"),
        same("a space before the colon", with("X : y"), "400 close"),
        same("a tab before the colon", with("X\t: y"), "400 close"),
        same("a space in a name", with("X Y: z"), "400 close"),
        same("no name", with(": y"), "400 close"),
        same("no colon", with("X"), "400 close"),
        same("a parenthesis in a name", with("X(: y"), "400 close"),
        same("a name in quotes", with("\"X\": y"), "400 close"),
        same("NUL in a name", with(b"X\0: y"), "400 close"),
        same("bytes beyond ASCII in a name", with("Ä: y"), "400 close"),
        same("NUL in a value", with(b"X: y\0z"), "400 close"),
        same("a control character in a value", with(b"X: y\x01z"), "400 close"),
        same("DEL in a value", with(b"X: y\x7fz"), "400 close"),
    ]
}

fn line_ends() -> Vec<Case> {
    vec![
        same("a line that ends with a bare LF", with("X: y\nZ: z"), "200 keep"),
        same("a bare CR in a value", with("X: y\rZ: z"), "400 close"),
        same("a line that ends with two CR", with("X: y\r\r\nZ: z"), "400 close"),
        same("a folded line", with("X: y\r\n z"), "400 close"),
        same("a line folded with a tab", with("X: y\r\n\tz"), "400 close"),
        same("a folded line after a bare LF", with("X: y\n z"), "400 close"),
        same("white space before the first line", b"GET /?seen HTTP/1.1\r\n Host: a\r\n\r\n", "400 close"),
        same("the head ends with a bare LF", b"GET /?seen HTTP/1.1\r\nHost: a\r\n\n", "200 keep"),
        same("the head ends with CR CR LF", b"GET /?seen HTTP/1.1\r\nHost: a\r\n\r\r\n", "400 close"),
    ]
}

fn numbers() -> Vec<Case> {
    let lines = |n: usize| with(["X: y"].repeat(n).join("\r\n"));
    vec![
        same("100 lines", lines(99), "200 keep"),
        differs(
            "101 lines",
            lines(100),
            "431 keep",
            "431 close",
            "up to twice http.max-headers are read, so that what is refused is seen in logs, metrics and spans",
        ),
        same("201 lines", lines(200), "431 close"),
        same("a value of 16 000 bytes", with(format!("X: {}", "y".repeat(16_000))), "200 keep"),
        differs(
            "a value of 40 000 bytes",
            with(format!("X: {}", "y".repeat(40_000))),
            "431 keep",
            "200 keep",
            "http.max-header-size is 32 KiB by default, of which hyper knows nothing",
        ),
        differs(
            "a value of 200 000 bytes",
            with(format!("X: {}", "y".repeat(200_000))),
            "431 close",
            "200 keep",
            "twice http.max-header-size is all that is read; hyper reads 400 KiB",
        ),
    ]
}
