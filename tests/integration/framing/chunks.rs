//! Bodies in chunks: sizes, extensions, line ends, trailers. The guest reads, so that a flaw is found while it runs.

use super::{Case, all, same, sends};

/// This body in chunks.
fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    sends("Transfer-Encoding: chunked", body)
}

/// A chunked body that is malformed.
fn broken(what: &'static str, body: impl AsRef<[u8]>) -> Case {
    super::broken(what, chunked(body))
}

pub(super) fn cases() -> Vec<Case> {
    all([sizes(), extensions(), ends(), trailers()])
}

fn sizes() -> Vec<Case> {
    vec![
        same("a chunk", chunked("2\r\n[]\r\n0\r\n\r\n"), "200 keep"),
        same("two chunks", chunked("1\r\n[\r\n1\r\n]\r\n0\r\n\r\n"), "200 keep"),
        same("a size in capitals", chunked("A\r\n[        ]\r\n0\r\n\r\n"), "200 keep"),
        same("a size in small letters", chunked("a\r\n[        ]\r\n0\r\n\r\n"), "200 keep"),
        same("a size with leading zeros", chunked("0002\r\n[]\r\n000\r\n\r\n"), "200 keep"),
        same("a space after a size", chunked("2 \r\n[]\r\n0\r\n\r\n"), "200 keep"),
        same("a tab after a size", chunked("2\t\r\n[]\r\n0\r\n\r\n"), "200 keep"),
        broken("a space before a size", " 2\r\n[]\r\n0\r\n\r\n"),
        broken("a size with a plus", "+2\r\n[]\r\n0\r\n\r\n"),
        broken("a negative size", "-2\r\n[]\r\n0\r\n\r\n"),
        broken("a size with 0x", "0x2\r\n[]\r\n0\r\n\r\n"),
        broken("a size with an underscore", "0_2\r\n[]\r\n0\r\n\r\n"),
        broken("a size that is no number", "g\r\n[]\r\n0\r\n\r\n"),
        broken("no size", "\r\n[]\r\n0\r\n\r\n"),
        broken("a size of 2 to the power of 64", "10000000000000000\r\n[]\r\n0\r\n\r\n"),
        broken("a size with NUL", b"2\0\r\n[]\r\n0\r\n\r\n"),
        broken("a size and a comma", "2,\r\n[]\r\n0\r\n\r\n"),
    ]
}

fn extensions() -> Vec<Case> {
    vec![
        same("an extension", chunked("2;a\r\n[]\r\n0\r\n\r\n"), "200 keep"),
        same("an extension with a value", chunked("2;a=b;c=\"d\"\r\n[]\r\n0;e\r\n\r\n"), "200 keep"),
        same("white space before an extension", chunked("2 ;a\r\n[]\r\n0\r\n\r\n"), "200 keep"),
        broken("a bare LF in an extension", "2;a\nb\r\n[]\r\n0\r\n\r\n"),
        broken("an extension that ends with a bare CR", "2;a\r[]\r\n0\r\n\r\n"),
        broken("an extension of 20 000 bytes", format!("2;{}\r\n[]\r\n0\r\n\r\n", "a".repeat(20_000))),
    ]
}

fn ends() -> Vec<Case> {
    vec![
        broken("a size that ends with a bare LF", "2\n[]\r\n0\r\n\r\n"),
        broken("a size that ends with a bare CR", "2\r[]\r\n0\r\n\r\n"),
        broken("a chunk that ends with a bare LF", "2\r\n[]\n0\r\n\r\n"),
        broken("a chunk without an end", "2\r\n[]0\r\n\r\n"),
        broken("a chunk longer than its size", "2\r\n[]  \r\n0\r\n\r\n"),
        broken("the end of the connection in a chunk", "3\r\n[]").cut(),
        broken("the end of the connection after a chunk", "2\r\n[]\r\n").cut(),
        broken("the end of the connection in the last chunk", "2\r\n[]\r\n0\r\n").cut(),
    ]
}

fn trailers() -> Vec<Case> {
    vec![
        same("a trailer", chunked("2\r\n[]\r\n0\r\nX: y\r\n\r\n"), "200 keep"),
        same(
            "a trailer that frames",
            chunked("2\r\n[]\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\n"),
            "200 keep",
        ),
        same("a trailer that names a host", chunked("2\r\n[]\r\n0\r\nHost: b\r\n\r\n"), "200 keep"),
        broken("a trailer without a colon", "2\r\n[]\r\n0\r\nX\r\n\r\n"),
        broken("a trailer with a space before the colon", "2\r\n[]\r\n0\r\nX : y\r\n\r\n"),
        broken("a folded trailer", "2\r\n[]\r\n0\r\nX: y\r\n z\r\n\r\n"),
        broken("a trailer with NUL", b"2\r\n[]\r\n0\r\nX: y\0\r\n\r\n"),
        broken("the next request in place of the last empty line", "2\r\n[]\r\n0\r\n"),
        broken("300 trailers", format!("2\r\n[]\r\n0\r\n{}\r\n", "X: y\r\n".repeat(300))),
    ]
}
