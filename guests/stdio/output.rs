//! What the guest writes, to stdout and stderr alike:
//!
//! | query | writes |
//! | --- | --- |
//! | none | `a line`, an empty line, bytes that are no UTF-8, terminal escapes, `a line without an end` (without `\n`) |
//! | `?lines=N` | N lines `line 1`, `line 2`, … |
//! | `&length=N` | each of them filled up with `x` to N bytes |
//! | `?only=stdout`, `?only=stderr` | the same to one of them |
//! | `?std=ID` (0.3) | `std ID 0` … `std ID 4` by Rust's std, to stdout and stderr in turns, with a wait of 2 ms after each; nothing else |

use guest_http::Target;

const FIXED: &[u8] = b"a line\n\nno UTF-8: \xff\xfe\nescapes: \x1b[31mred\x1b[0m \x07\na line without an end";

/// The pieces to write, in order.
pub(crate) fn pieces(target: &Target) -> impl Iterator<Item = Vec<u8>> + use<> {
    let lines = target.number("lines", 0);
    let length = target.number("length", 0) as usize;
    let fixed = (lines == 0).then(|| FIXED.to_vec());
    fixed.into_iter().chain((1..=lines).map(move |number| {
        let mut line = format!("line {number}");
        if line.len() < length {
            line.push(' ');
        }
        let mut line = line.into_bytes();
        line.resize(line.len().max(length), b'x');
        line.push(b'\n');
        line
    }))
}

/// Whether to write to this one.
pub(crate) fn wanted(target: &Target, stream: &str) -> bool {
    target.get("only").is_none_or(|only| only == stream)
}
