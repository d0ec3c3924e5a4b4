//! What is left of a request's body that nobody reads: a little of it is taken all the same, so that the client gets to
//! see its response; where that will not be enough, the response says that the connection ends with it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::idle::Upload;
use super::inbound::is_last;
use super::incoming::Incoming;
use crate::guest::{Arrival, Failure, FailureKind, Rest};

/// How long is waited for the next bytes of what nobody reads. To close the connection at once would reset it, and the
/// client's kernel might throw the response away unread; to reset the stream at once is what RFC 9113 §8.1 allows, and
/// makes curl 7.88 throw it away.
const PAUSE: Duration = Duration::from_secs(2);
/// Pauses in which something has come that are waited for in all: a client on a slow network gets as far as its
/// announced length, one that sends byte after byte does not stay for ever.
const PAUSES: usize = 15;
/// How many bytes are read of what nobody wants. Small bodies leave the connection fit for the next request; for the rest
/// of a large one, a new connection costs less than reading on would. (Go's server stops after 256 KiB, nginx has no
/// limit but time.)
const SWALLOW_MOST: u64 = 1024 * 1024;

/// Whether an HTTP/1 connection has to end with the response, because what is left of the body will not be read: the head
/// of the response then says so, and a client can stop sending (RFC 9112 §9.6). After a `failure` the guest reads no
/// further; a client that `waits_to_continue` may send its body or not, once it has the response.
pub(super) fn ends_connection(arrival: &Arrival, failure: Option<&Failure>, waits_to_continue: bool) -> bool {
    let left = arrival.rest();
    if left == Rest::Nothing {
        return false;
    }
    // What a client has not sent in all its time is not waited for.
    let is_late = matches!(failure.map(|failure| &failure.kind), Some(FailureKind::ClientTimeout));
    if is_late || arrival.fault().is_some() {
        return true;
    }
    let is_little = is_little(left);
    if failure.is_some() || arrival.is_let_go() {
        return !is_little || (waits_to_continue && !arrival.has_begun());
    }
    // A guest that answers first may read still. Most that leave a large body alone until then never do.
    !arrival.has_begun() && matches!(left, Rest::Bytes(bytes) if bytes > SWALLOW_MOST)
}

fn is_little(left: Rest) -> bool {
    matches!(left, Rest::Bytes(bytes) if bytes <= SWALLOW_MOST)
}

/// Waits for the little that a client is still to send of a body that nobody reads, so that it can send it all before it
/// has the response. For HTTP/2: once curl 7.88 has the response it reads nothing more, and so never learns that there is
/// room for the rest that it insists on sending. A client is not waited for any longer than a pause once it `is_pressed`,
/// since others wait for its place.
pub(super) async fn settled(arrival: &Arrival, waits_to_continue: bool, is_pressed: impl Fn() -> bool) {
    let is_swallowed = arrival.is_let_go() && (!waits_to_continue || arrival.has_begun());
    if is_swallowed && is_little(arrival.rest()) {
        // However it ends, the response follows.
        tokio::select! {
            () = arrival.upload_over() => {}
            () = stands_still(arrival, is_pressed) => {}
        }
    }
}

/// Resolves when nothing has come of the body for a pause, or it takes too long altogether. Of a body whose length is not
/// known nobody can tell, so that a pause is all it gets.
async fn stands_still(arrival: &Arrival, is_pressed: impl Fn() -> bool) {
    for _ in 0..PAUSES {
        let before = arrival.rest();
        tokio::time::sleep(PAUSE).await;
        if arrival.rest() == before || is_pressed() {
            return;
        }
    }
}

/// Reads what is left of a body, for a while and not too much of it.
pub(super) struct Leftover {
    pub(super) body: Incoming,
    /// Tells the connection's clock that this is no head.
    pub(super) upload: Option<Upload>,
    pub(super) arrival: Arrival,
    /// Its stream alone ends when it is not read any further.
    pub(super) is_h2: bool,
}

impl Leftover {
    /// Reads on in a task of its own.
    pub(super) fn swallow(self) {
        // Outside a runtime only when the server is gone already.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let Self { mut body, upload: _upload, arrival, is_h2 } = self;
            let time_is_up = async {
                arrival.response_over().await;
                stands_still(&arrival, || false).await;
            };
            tokio::select! {
                () = read(&mut body, &arrival, is_h2) => {}
                () = time_is_up => {}
            }
            arrival.end_upload();
        });
    }
}

async fn read(body: &mut Incoming, arrival: &Arrival, is_h2: bool) {
    let mut room = SWALLOW_MOST;
    while let Some(Ok(frame)) = body.frame().await {
        if is_last(&frame, body) {
            arrival.complete();
            return;
        }
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        arrival.came(length);
        match room.checked_sub(length) {
            Some(left) => room = left,
            // The reset that follows asks the client to stop.
            None if is_h2 => return,
            // Not read any further, but not closed yet either: the client gets the rest of the time to see its response.
            None => std::future::pending().await,
        }
    }
}
