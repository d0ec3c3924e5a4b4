//! Connections: which of them last, several requests on one, and expectations.

use super::{Case, all, differs, same, sends, with};

const EXPECTED: &str = "hyper looks for 100-continue alone; RFC 9110 section 10.1.1 has 417 for what cannot be met, and the \
                        body that may or may not follow ends the connection";

pub(super) fn cases() -> Vec<Case> {
    all([ends(), several(), expectations()])
}

fn ends() -> Vec<Case> {
    vec![
        same("close", with("Connection: close"), "200 close"),
        same("close in capitals", with("Connection: CLOSE"), "200 close"),
        same("close in a list", with("Connection: x, close"), "200 close"),
        same("close, then keep-alive", with("Connection: close\r\nConnection: keep-alive"), "200 close"),
        same("keep-alive, then close", with("Connection: keep-alive, close"), "200 close"),
        same("keep-alive", with("Connection: keep-alive"), "200 keep"),
        same("a name that is no header", with("Connection: @"), "200 keep"),
        same("the Host is named as the connection's own", with("Connection: host"), "200 keep"),
        differs(
            "HTTP/1.0 with keep-alive",
            b"GET /?seen HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "200 close",
            "200 keep",
            "the guest tells no length and HTTP/1.0 has no chunks, so that the end of the connection is the body's",
        ),
        same("an upgrade that nobody makes", with("Connection: upgrade\r\nUpgrade: websocket"), "200 keep"),
        same(
            "an upgrade to HTTP/2",
            with("Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"),
            "200 keep",
        ),
        same("nothing", b"", "close").cut(),
        same("an empty line", b"\r\n", "close").cut(),
        same("half a request line", b"GET /?se", "close").cut(),
        same("half a head", b"GET /?seen HTTP/1.1\r\nHost: a\r\n", "close").cut(),
        same("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400 close"),
        same("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n", "400 close"),
        same("zeros", [0; 100], "400 close"),
    ]
}

fn several() -> Vec<Case> {
    let one = with("X: y");
    let two = |second: &[u8]| [&one[..], second].concat();
    vec![
        same("two requests at once", two(&one), "200 200 keep"),
        same("an empty line between two requests", two(&[b"\r\n", &one[..]].concat()), "200 200 keep"),
        same("a malformed request after a good one", two(b"GET / HTTP/9.9\r\n\r\n"), "200 400 close"),
        same("a good request after a malformed one", [b"X : y\r\n\r\n", &one[..]].concat(), "400 close"),
        same(
            "a good request after a head that is malformed",
            [&with("X : y")[..], &one].concat(),
            "400 close",
        ),
        same("a request after one that closes", [&with("Connection: close")[..], &one].concat(), "200 close"),
        same(
            "a request after a body that nobody reads",
            [&with("Content-Length: 5")[..], b"hello", &one].concat(),
            "200 200 keep",
        ),
        same(
            "a body that looks like a request",
            [&with(format!("Content-Length: {}", one.len()))[..], &one].concat(),
            "200 keep",
        ),
        same(
            "two bodies that are read",
            [sends("Content-Length: 2", "[]"), sends("Transfer-Encoding: chunked", "2\r\n[]\r\n0\r\n\r\n")]
                .concat(),
            "200 200 keep",
        ),
        differs(
            "a chunked body that nobody reads",
            [&with("Transfer-Encoding: chunked")[..], b"5\r\nhello\r\n0\r\n\r\n"].concat(),
            "200 close",
            "200 keep",
            "nobody knows how much is left when the head must say whether it will be read; hyper happens to have it all",
        ),
    ]
}

fn expectations() -> Vec<Case> {
    vec![
        same(
            "100-continue, and a body that is read",
            sends("Expect: 100-continue\r\nContent-Length: 2", "[]"),
            "100 200 keep",
        ),
        same(
            "100-continue in capitals",
            sends("Expect: 100-CONTINUE\r\nContent-Length: 2", "[]"),
            "100 200 keep",
        ),
        same("100-continue without a body", with("Expect: 100-continue"), "200 keep"),
        same(
            "100-continue in HTTP/1.0",
            b"POST /read HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n[]",
            "200 close",
        ),
        differs(
            "another expectation",
            sends("Expect: a-miracle\r\nContent-Length: 2", "[]"),
            "417 close",
            "200 keep",
            EXPECTED,
        ),
        differs(
            "another expectation in a list",
            sends("Expect: 100-continue, a-miracle\r\nContent-Length: 2", "[]"),
            "417 close",
            "200 keep",
            EXPECTED,
        ),
        same(
            "another expectation in HTTP/1.0",
            b"POST /read HTTP/1.0\r\nExpect: a-miracle\r\nContent-Length: 2\r\n\r\n[]",
            "200 close",
        ),
    ]
}
