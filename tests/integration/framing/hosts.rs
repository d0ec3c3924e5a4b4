//! Hosts: a guest is told which one is asked for, so there must be one.

use super::{Case, differs, same};

const ONE_HOST: &str = "RFC 9112 section 3.2 wants 400: two servers in a row might believe different lines";
const A_HOST: &str = "RFC 9112 section 3.2 wants 400 for a Host that is none, or for none where the version wants one; \
                      hyper leaves that to its user";

/// A request with these header lines alone.
fn hosts(lines: impl AsRef<[u8]>) -> Vec<u8> {
    [b"GET /?seen HTTP/1.1\r\n", lines.as_ref(), b"\r\n\r\n"].concat()
}

/// A request with this Host.
fn host(host: impl AsRef<[u8]>) -> Vec<u8> {
    hosts([b"Host: ", host.as_ref()].concat())
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        same("a host with a port", host("a:81"), "200 keep"),
        same("an address", host("192.0.2.1:80"), "200 keep"),
        same("an IPv6 address", host("[2001:db8::1]:80"), "200 keep"),
        same("white space around the host", host("  a \t "), "200 keep"),
        differs("no Host", b"GET /?seen HTTP/1.1\r\n\r\n", "400 keep", "200 keep", A_HOST),
        differs("an empty Host", host(""), "400 keep", "200 keep", A_HOST),
        differs("two hosts", hosts("Host: a\r\nHost: b"), "400 keep", "200 keep", ONE_HOST),
        differs("one host twice", hosts("Host: a\r\nHost: a"), "400 keep", "200 keep", ONE_HOST),
        differs("two hosts in one line", host("a, b"), "400 keep", "200 keep", A_HOST),
        differs("a host with user information", host("user@a"), "400 keep", "200 keep", A_HOST),
        differs("a host with a path", host("a/b"), "400 keep", "200 keep", A_HOST),
        differs("a host with a space", host("a b"), "400 keep", "200 keep", A_HOST),
        differs("a host with a scheme", host("http://a"), "400 keep", "200 keep", A_HOST),
        differs("a host beyond ASCII", host("ä"), "400 keep", "200 keep", A_HOST),
        differs("a port that is no number", host("a:b"), "400 keep", "200 keep", A_HOST),
        differs("a port that is none", host("a:99999"), "400 keep", "200 keep", A_HOST),
        differs("a port of an IPv6 address that is none", host("[::1]:x"), "400 keep", "200 keep", A_HOST),
        differs("a port without a host", host(":80"), "400 keep", "200 keep", A_HOST),
        same("an empty port", host("a:"), "200 keep"),
        differs(
            "an absolute target with a port that is none",
            b"GET http://a:b/?seen HTTP/1.1\r\nHost: a\r\n\r\n",
            "400 keep",
            "200 keep",
            A_HOST,
        ),
        differs("half of an IPv6 address", host("[::1"), "400 keep", "200 keep", A_HOST),
        same(
            "an absolute target beside another Host",
            b"GET http://b/?seen HTTP/1.1\r\nHost: a\r\n\r\n",
            "200 keep",
        ),
        same("an absolute target without Host", b"GET http://b/?seen HTTP/1.1\r\n\r\n", "200 keep"),
        same("HTTP/1.0 without Host", b"GET /?seen HTTP/1.0\r\n\r\n", "200 close"),
        differs(
            "HTTP/1.0 with two hosts",
            b"GET /?seen HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            "400 close",
            "200 close",
            ONE_HOST,
        ),
    ]
}
