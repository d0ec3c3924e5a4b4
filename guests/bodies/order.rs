//! What the guest writes, and how it ends that, by the query.
//!
//! | parameter | means |
//! | --- | --- |
//! | `status=200` | the response's status |
//! | `length=N` | the `Content-Length` that the head promises (default: none) |
//! | `write=5,4` | pieces of so many bytes, one after another (default: none) |
//! | `trailers` | trailers behind them: `x-end: yes` |
//! | `pause=MS` | waits so long before the end |
//! | `then=finish` | how it ends, see [`Ending`] |
//! | `linger=MS` | works on for so long after the end |
//! | `to=URL` | all that is the body of a POST to this URL; the response says what came of it |
//! | `pass=URL` | nothing of all that: GETs the URL and passes on status, headers and body |

use guest_http::{Call, Target};

/// How a body ends.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    /// Well: no matter how much was written.
    Finish,
    /// It is let go of unfinished. In 0.3 the stream ends, and whether that was all is never said.
    Drop,
    /// It is left open, for ever.
    Leak,
    /// In a trap.
    Trap,
    /// The guest exits, without a complaint.
    Exit,
}

/// What to do.
pub(crate) struct Order {
    pub(crate) status: u16,
    pub(crate) length: Option<String>,
    pub(crate) pieces: Vec<usize>,
    pub(crate) trailers: bool,
    pub(crate) pause: u64,
    pub(crate) ending: Ending,
    pub(crate) linger: u64,
    pub(crate) to: Option<Call>,
    pub(crate) pass: Option<Call>,
}

impl Order {
    pub(crate) fn of(target: &Target) -> Self {
        let pieces = target.get("write").unwrap_or_default();
        Self {
            status: target.number("status", 200) as u16,
            length: target.get("length").map(str::to_owned),
            pieces: pieces.split(',').filter_map(|size| size.parse().ok()).collect(),
            trailers: target.get("trailers").is_some(),
            pause: target.number("pause", 0),
            ending: match target.get("then") {
                Some("drop") => Ending::Drop,
                Some("leak") => Ending::Leak,
                Some("trap") => Ending::Trap,
                Some("exit") => Ending::Exit,
                _ => Ending::Finish,
            },
            linger: target.number("linger", 0),
            to: Call::named(target, "to"),
            pass: Call::named(target, "pass"),
        }
    }
}
