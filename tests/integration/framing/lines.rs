//! Request lines: methods, targets, versions, and the white space between them.

use super::{Case, all, differs, same};

const NOT_A_TARGET: &str = "a target that is nothing but an authority is for CONNECT (RFC 9112 section 3.2.3): no guest \
                            could be told a path";

/// `GET` with this target.
fn target(target: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET ", target.as_ref(), b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat()
}

/// This request line.
fn line(line: impl AsRef<[u8]>) -> Vec<u8> {
    [line.as_ref(), b"\r\nHost: a\r\n\r\n"].concat()
}

pub(super) fn cases() -> Vec<Case> {
    all([methods(), targets(), versions()])
}

fn methods() -> Vec<Case> {
    vec![
        same("a plain request", line("GET /?seen HTTP/1.1"), "200 keep"),
        same("a method in small letters is another method", line("get /?seen HTTP/1.1"), "200 keep"),
        same(
            "a method of all kinds of token characters",
            line("M-!#$%&'*+.^_`|~1 /?seen HTTP/1.1"),
            "200 keep",
        ),
        same("a method with a parenthesis", line("G(T /?seen HTTP/1.1"), "400 close"),
        same("a method with a colon", line("GET: /?seen HTTP/1.1"), "400 close"),
        same("a method with NUL", line(b"GE\0T /?seen HTTP/1.1"), "400 close"),
        same("a method with a byte beyond ASCII", line(b"GE\xffT /?seen HTTP/1.1"), "400 close"),
        same("no method", line(" /?seen HTTP/1.1"), "400 close"),
        same("a method of 1000 bytes", line(format!("{} /?seen HTTP/1.1", "M".repeat(1000))), "200 keep"),
        same("HEAD", line("HEAD /?seen HTTP/1.1"), "200 keep"),
        same("TRACE", line("TRACE /?seen HTTP/1.1"), "200 keep"),
        same("two spaces after the method", line("GET  /?seen HTTP/1.1"), "400 close"),
        same("a tab after the method", line("GET\t/?seen HTTP/1.1"), "400 close"),
        same("a space before the method", line(" GET /?seen HTTP/1.1"), "400 close"),
        same("an empty line before the request", line("\r\nGET /?seen HTTP/1.1"), "200 keep"),
        same("a bare LF before the request", line("\nGET /?seen HTTP/1.1"), "200 keep"),
        same(
            "five empty lines before the request",
            line(format!("{}GET /?seen HTTP/1.1", "\r\n".repeat(5))),
            "200 keep",
        ),
        same("a bare CR before the request", line("\rGET /?seen HTTP/1.1"), "400 close"),
        differs(
            "CONNECT",
            b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
            "501 keep",
            "200 close",
            "wasi:http has no tunnels; the answer says so and the connection goes on",
        ),
    ]
}

fn targets() -> Vec<Case> {
    vec![
        same("a space in the target", target("/a b?seen"), "400 close"),
        same("a tab in the target", target("/a\tb?seen"), "400 close"),
        same("NUL in the target", target(b"/a\0b?seen"), "400 close"),
        same("DEL in the target", target(b"/a\x7fb?seen"), "400 close"),
        same("bytes beyond ASCII in the target", target("/ä?seen"), "200 keep"),
        same("a malformed escape in the target", target("/%zz?seen"), "200 keep"),
        same("a backslash in the target", target("/a\\b?seen"), "200 keep"),
        same("a quote in the target", target("/a\"b?seen"), "200 keep"),
        same("a fragment in the target", target("/?seen#there"), "200 keep"),
        same("dot segments in the target", target("/a/../../b?seen"), "200 keep"),
        same("a target that begins with two slashes", target("//b?seen"), "200 keep"),
        same("a target without a slash", target("?seen"), "400 close"),
        differs("a target that is a word", target("seen"), "400 keep", "200 keep", NOT_A_TARGET),
        differs("a target that is a host and a port", target("a:80"), "400 keep", "200 keep", NOT_A_TARGET),
        same("an absolute target", target("http://a/?seen"), "200 keep"),
        same("an absolute target without a path", target("http://a?seen"), "200 keep"),
        same("an absolute target of another port", target("http://a:81/?seen"), "200 keep"),
        same(
            "an absolute target of https: the scheme is the connection's",
            target("https://a/?seen"),
            "200 keep",
        ),
        same("an absolute target of another scheme: likewise", target("ftp://a/?seen"), "200 keep"),
        same("an absolute target without a host", target("http:///?seen"), "400 close"),
        differs(
            "an absolute target with user information",
            target("http://user@a/?seen"),
            "400 keep",
            "200 keep",
            "RFC 9110 section 4.2.4 has such a target treated as a mistake: it is made to be misread",
        ),
        same("no target", line("GET HTTP/1.1"), "400 close"),
        same("a target of 16 000 bytes", target(format!("/{}?seen", "x".repeat(16_000))), "200 keep"),
        differs(
            "a target of 70 000 bytes",
            target(format!("/{}?seen", "x".repeat(70_000))),
            "431 close",
            "414 close",
            "twice http.max-header-size is all that is read: hyper sees no end of the target and calls the head too large",
        ),
        differs(
            "a target of 40 000 bytes",
            target(format!("/{}?seen", "x".repeat(40_000))),
            "414 keep",
            "200 keep",
            "http.max-header-size is 32 KiB by default, of which hyper knows nothing; RFC 9112 section 3 wants 414",
        ),
    ]
}

fn versions() -> Vec<Case> {
    vec![
        same("HTTP/1.0 ends the connection", line("GET /?seen HTTP/1.0"), "200 close"),
        same("HTTP/1.2", line("GET /?seen HTTP/1.2"), "400 close"),
        same("HTTP/2.0 in a request line", line("GET /?seen HTTP/2.0"), "400 close"),
        same("HTTP/0.9 by name", line("GET /?seen HTTP/0.9"), "400 close"),
        same("HTTP/0.9: no version at all", b"GET /?seen\r\n\r\n", "400 close"),
        same("a version in small letters", line("GET /?seen http/1.1"), "400 close"),
        same("a version of two digits", line("GET /?seen HTTP/1.10"), "400 close"),
        same("a version without a dot", line("GET /?seen HTTP/11"), "400 close"),
        same("a version of another protocol", line("GET /?seen ICY/1.1"), "400 close"),
        same("a space after the version", line("GET /?seen HTTP/1.1 "), "400 close"),
        same("two spaces before the version", line("GET /?seen  HTTP/1.1"), "400 close"),
        same("a tab before the version", line("GET /?seen\tHTTP/1.1"), "400 close"),
        same("the request line ends with a bare LF", b"GET /?seen HTTP/1.1\nHost: a\r\n\r\n", "200 keep"),
        same("the request line ends with a bare CR", b"GET /?seen HTTP/1.1\rHost: a\r\n\r\n", "400 close"),
        same("every line ends with a bare LF", b"GET /?seen HTTP/1.1\nHost: a\n\n", "200 keep"),
    ]
}
