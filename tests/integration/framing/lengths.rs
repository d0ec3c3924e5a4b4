//! How long a body is: Content-Length, Transfer-Encoding, both, and neither.

use super::{Case, all, broken, differs, same, sends, with};

const CODING: &str = "hyper undoes chunked alone and hands on what is left, which a guest would take for the body; RFC 9112 \
                      section 6.1 wants 501 for a coding that is not known";

pub(super) fn cases() -> Vec<Case> {
    all([content_lengths(), transfer_encodings(), both()])
}

fn content_lengths() -> Vec<Case> {
    let length = |length: &str| sends(format!("Content-Length: {length}"), "[]");
    vec![
        same("a length", length("2"), "200 keep"),
        same("a length with leading zeros", length("0002"), "200 keep"),
        same("a length within white space", length(" \t2 \t"), "200 keep"),
        same("the same length twice", sends("Content-Length: 2\r\nContent-Length: 2", "[]"), "200 keep"),
        same("two lengths", sends("Content-Length: 2\r\nContent-Length: 3", "[]"), "400 close"),
        same(
            "two lengths, the longer first",
            sends("Content-Length: 3\r\nContent-Length: 2", "[]"),
            "400 close",
        ),
        same("a list of the same length", length("2, 2"), "400 close"),
        same("a list of two lengths", length("2, 3"), "400 close"),
        same("a length with a comma", length("2,"), "400 close"),
        same("an empty length", length(""), "400 close"),
        same("a length with a plus", length("+2"), "400 close"),
        same("a negative length", length("-2"), "400 close"),
        same("a length in hexadecimal", length("0x2"), "400 close"),
        same("a length with a point", length("2.0"), "400 close"),
        same("a length with an exponent", length("2e0"), "400 close"),
        same("a length with a space in it", length("2 2"), "400 close"),
        same("a length with an underscore", length("0_2"), "400 close"),
        same("a length in digits of another script", length("２"), "400 close"),
        same("a length of 2 to the power of 64", length("18446744073709551616"), "400 close"),
        same("a folded length", sends("Content-Length:\r\n 2", "[]"), "400 close"),
        same("a length whose name ends with a space", sends("Content-Length : 2", "[]"), "400 close"),
        same(
            "a GET with a body",
            b"GET /read HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n[]",
            "200 keep",
        ),
        same("a GET with an empty body", with("Content-Length: 0"), "200 keep"),
        same("a body that nobody reads", [with("Content-Length: 5"), b"hello".to_vec()].concat(), "200 keep"),
        same(
            "more than the length is another request, here of the method XXPOST",
            sends("Content-Length: 2", "[]XX"),
            "200 keep",
        ),
        same(
            "no length is no body, and what follows is no request",
            [with("X: y"), b"[]".to_vec()].concat(),
            "200 400 close",
        ),
        broken("less than the length", sends("Content-Length: 3", "[]")).cut(),
        same("HTTP/1.0 with a length", b"POST /read HTTP/1.0\r\nContent-Length: 2\r\n\r\n[]", "200 close"),
    ]
}

fn transfer_encodings() -> Vec<Case> {
    let coded = |coding: &str| sends(format!("Transfer-Encoding: {coding}"), "2\r\n[]\r\n0\r\n\r\n");
    vec![
        same("chunked", coded("chunked"), "200 keep"),
        same("chunked in capitals", coded("CHUNKED"), "200 keep"),
        same("chunked within white space", coded(" \tchunked \t"), "200 keep"),
        same("chunked after an empty member", coded(", chunked"), "200 keep"),
        same("chunked before an empty member", coded("chunked,"), "400 close"),
        differs(
            "chunked twice",
            coded("chunked, chunked"),
            "400 close",
            "200 keep",
            "a body is chunked once (RFC 9112 section 7.1)",
        ),
        differs(
            "chunked in two lines",
            sends("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "2\r\n[]\r\n0\r\n\r\n"),
            "400 close",
            "200 keep",
            "a body is chunked once (RFC 9112 section 7.1)",
        ),
        differs("gzip, then chunked", coded("gzip, chunked"), "501 close", "200 keep", CODING),
        differs("identity, then chunked", coded("identity, chunked"), "501 close", "200 keep", CODING),
        differs("an unknown coding, then chunked", coded("cow, chunked"), "501 close", "200 keep", CODING),
        differs(
            "gzip and chunked in two lines",
            sends("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", "2\r\n[]\r\n0\r\n\r\n"),
            "501 close",
            "200 keep",
            CODING,
        ),
        same("chunked, then gzip: no end can be found", coded("chunked, gzip"), "400 close"),
        same(
            "chunked and gzip in two lines",
            sends("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip", ""),
            "400 close",
        ),
        same("gzip alone", coded("gzip"), "400 close"),
        same("identity alone", coded("identity"), "400 close"),
        same("no coding", coded(""), "400 close"),
        same("a coding that ends in chunked", coded("xchunked"), "400 close"),
        same("chunked with a parameter", coded("chunked;q=1"), "400 close"),
        same("chunked in quotes", coded("\"chunked\""), "400 close"),
        same("chunked with a vertical tab", coded("\x0bchunked"), "400 close"),
        same("a space before the colon", sends("Transfer-Encoding : chunked", "0\r\n\r\n"), "400 close"),
        same(
            "chunked in HTTP/1.0",
            b"POST /read HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400 close",
        ),
        same(
            "an underscore in the name: another header",
            sends("Transfer_Encoding: chunked\r\nContent-Length: 2", "[]"),
            "200 keep",
        ),
    ]
}

fn both() -> Vec<Case> {
    let chunked = "2\r\n[]\r\n0\r\n\r\n";
    vec![
        same(
            "a length, then chunked: chunked counts, and the connection ends",
            sends("Content-Length: 3\r\nTransfer-Encoding: chunked", chunked),
            "200 close",
        ),
        same(
            "chunked, then a length: likewise",
            sends("Transfer-Encoding: chunked\r\nContent-Length: 3", chunked),
            "200 close",
        ),
        same(
            "chunked beside a length that is none",
            sends("Transfer-Encoding: chunked\r\nContent-Length: x", chunked),
            "200 close",
        ),
        same(
            "a length that is none beside chunked",
            sends("Content-Length: x\r\nTransfer-Encoding: chunked", chunked),
            "400 close",
        ),
        differs(
            "a length and two codings",
            sends("Content-Length: 3\r\nTransfer-Encoding: gzip, chunked", chunked),
            "501 close",
            "200 close",
            CODING,
        ),
    ]
}
