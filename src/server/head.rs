//! What a request's head asks of the server itself: what Pounce does not do is refused before a guest is asked.

use http::header::{COOKIE, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Version, request};

use crate::config;
use crate::guest::{Failure, FailureKind};

/// How large a request head may be, in both versions of HTTP alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// Bytes of all of it (`http.max-header-size`).
    size: usize,
    /// Lines of headers (`http.max-headers`).
    lines: usize,
}

impl HeadLimits {
    pub(crate) fn new(http: &config::Http) -> Self {
        let size = usize::try_from(http.max_header_size.0).unwrap_or(usize::MAX);
        Self { size, lines: http.max_headers }
    }

    /// Bytes of a head that are read at all. More than are let through, so that most heads that are too large are refused
    /// here, where span, metrics and logs see it; the HTTP libraries refuse the others by themselves, with the same 431.
    pub(super) fn size_to_read(self) -> usize {
        self.size.saturating_mul(2)
    }

    /// Lines of a head that are read at all.
    pub(super) fn lines_to_read(self) -> usize {
        self.lines.saturating_mul(2)
    }

    /// Refuses a head that is too large, or that asks for a transfer coding or an expectation that there is not.
    pub(super) fn check(self, head: &request::Parts) -> Result<(), Failure> {
        let lines = head.headers.len();
        if lines > self.lines {
            let message = format!(
                "the request has {lines} lines of headers, more than {} (http.max-headers)",
                self.lines
            );
            return Err(Failure::new(FailureKind::HeadTooLarge, message));
        }
        let target = target_of(head);
        if target > self.size {
            let message = format!(
                "the request's target has {target} bytes, more than {} (http.max-header-size)",
                self.size
            );
            return Err(Failure::new(FailureKind::TargetTooLong, message));
        }
        let size = size_of(head);
        if size > self.size {
            let message = format!(
                "the request's head has {size} bytes, more than {} (http.max-header-size)",
                self.size
            );
            return Err(Failure::new(FailureKind::HeadTooLarge, message));
        }
        transfer_codings(&head.headers)?;
        // Of HTTP/1.0 expectations are ignored (RFC 9110 §10.1.1).
        if head.version > Version::HTTP_10 { expectations(&head.headers) } else { Ok(()) }
    }
}

/// Bytes of a head, as its version counts them: what HTTP/1.1 puts on the wire, or the list of HTTP/2, with 32 bytes more
/// for each line (RFC 9113 §6.5.2).
fn size_of(head: &request::Parts) -> usize {
    let (line, first) = if head.version >= Version::HTTP_2 {
        // `:method`, `:scheme`, `:authority` and `:path`.
        (32, 4 * 32 + 32)
    } else {
        (": \r\n".len(), "  HTTP/1.1\r\n\r\n".len())
    };
    let lines = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + line);
    head.method.as_str().len() + target_of(head) + first + lines.sum::<usize>()
}

/// Bytes of the target: path, query, and what HTTP/2 and absolute targets have in front of them.
fn target_of(head: &request::Parts) -> usize {
    let text = |part: Option<&str>| part.map_or(0, str::len);
    text(head.uri.path_and_query().map(|target| target.as_str()))
        + text(head.uri.authority().map(|authority| authority.as_str()))
        + text(head.uri.scheme_str())
}

/// Makes one `Cookie` of several, as RFC 9113 §8.2.3 asks for where HTTP/2 ends: its clients send each pair by itself. A
/// client of HTTP/1.1 sends one line only (RFC 6265 §5.4); several come from gateways that have forgotten to join them, and
/// mean the same.
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let pieces = headers.get_all(COOKIE);
    if pieces.iter().nth(1).is_none() {
        return;
    }
    let joined = pieces.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    // What is made of values is one.
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

/// Only `chunked` is undone here, and by hyper, which lets through whatever ends in it. Any other coding would reach the
/// guest as if it were the body (RFC 9112 §6.1 and §7.1).
fn transfer_codings(headers: &HeaderMap) -> Result<(), Failure> {
    let mut chunked = 0;
    for coding in members(headers, &TRANSFER_ENCODING) {
        if !coding.eq_ignore_ascii_case(b"chunked") {
            let message = format!("the request has the transfer coding {}", String::from_utf8_lossy(coding));
            return Err(Failure::new(FailureKind::NotImplemented, message));
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
        Some(other) => {
            let expected = String::from_utf8_lossy(other);
            let message = format!("the request expects {expected:?}; only 100-continue can be met");
            Err(Failure::new(FailureKind::ExpectationFailed, message))
        }
        None => Ok(()),
    }
}

/// The members of a list, from all lines of its header; empty ones do not count (RFC 9110 §5.6.1).
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).into_iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}
