//! What came back on a connection, as cases tell it.

/// The statuses in `answer`, in their order, and whether the last request on the connection was answered. `to_head` says
/// that the first response has no body, whatever its head says.
pub(super) fn told(answer: &str, to_head: bool) -> String {
    let mut rest = answer;
    let mut words = Vec::new();
    let mut is_kept = false;
    while let Some((head, after)) = rest.split_once("\r\n\r\n") {
        let status = head.split(' ').nth(1).unwrap_or("?");
        assert!(head.starts_with("HTTP/1."), "no response: {rest:?} in {answer:?}");
        let has_body = !(status.starts_with('1') || status == "204" || (to_head && words.is_empty()));
        let (body, after) = if has_body { split_body(head, after) } else { (String::new(), after) };
        rest = after;
        if body.contains("?seen&last") {
            is_kept = true;
        } else {
            words.push(status);
        }
    }
    words.push(if is_kept { "keep" } else { "close" });
    words.join(" ")
}

/// The body of the response with this head, and what follows it.
fn split_body<'a>(head: &str, after: &'a str) -> (String, &'a str) {
    let field = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    if field("transfer-encoding") == Some("chunked") {
        let (mut body, mut rest) = (String::new(), after);
        while let Some((size, data)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).expect("the size of a chunk");
            let end = (size + 2).min(data.len());
            body.push_str(&data[..size.min(data.len())]);
            rest = &data[end..];
            if size == 0 {
                break;
            }
        }
        return (body, rest);
    }
    let length = field("content-length").map_or(after.len(), |length| length.parse().expect("a length"));
    let (body, rest) = after.split_at(length.min(after.len()));
    (body.to_owned(), rest)
}
