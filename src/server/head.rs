//! What a request's head asks of the server itself: what Pounce does not do is refused before a guest is asked.

use http::header::{EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Version, request};

use crate::guest::Failure;

/// Refuses a head that asks for a transfer coding or an expectation that there is not.
pub(super) fn check(head: &request::Parts) -> Result<(), Failure> {
    transfer_codings(&head.headers)?;
    // Of HTTP/1.0 expectations are ignored (RFC 9110 §10.1.1).
    if head.version > Version::HTTP_10 { expectations(&head.headers) } else { Ok(()) }
}

/// Only `chunked` is undone here, and by hyper, which lets through whatever ends in it. Any other coding would reach the
/// guest as if it were the body (RFC 9112 §6.1 and §7.1).
fn transfer_codings(headers: &HeaderMap) -> Result<(), Failure> {
    let mut chunked = 0;
    for coding in members(headers, &TRANSFER_ENCODING) {
        if !coding.eq_ignore_ascii_case(b"chunked") {
            let coding = String::from_utf8_lossy(coding);
            return Err(Failure::not_implemented(format!("the request has the transfer coding {coding}")));
        }
        chunked += 1;
    }
    match chunked {
        0 | 1 => Ok(()),
        _ => Err(Failure::bad_request("the request's body is chunked more than once")),
    }
}

/// `100-continue` is the only one that there is.
fn expectations(headers: &HeaderMap) -> Result<(), Failure> {
    match members(headers, &EXPECT).find(|member| !member.eq_ignore_ascii_case(b"100-continue")) {
        Some(other) => Err(Failure::expectation_failed(&String::from_utf8_lossy(other))),
        None => Ok(()),
    }
}

/// The members of a list, from all lines of its header; empty ones do not count (RFC 9110 §5.6.1).
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).into_iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}
