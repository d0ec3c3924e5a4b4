//! Whether what a connection was given has gone to its socket.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How often a connection has begun to send what it was given, and how far it has come. Over HTTP/2 its task and those of its
/// streams run beside each other: what a stream gives while the task is at work may have to wait for the next time.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    begun: AtomicUsize,
    /// The last time that left nothing unsent.
    done: AtomicUsize,
    /// The socket was written to, and not flushed yet.
    is_open: AtomicBool,
    /// There is no socket: who asks for a response has what it was given.
    is_local: bool,
}

impl Flushes {
    /// Flushes of requests that come over no connection.
    pub(super) fn local() -> Self {
        Self { is_local: true, ..Self::default() }
    }

    /// Whether there is no socket that has to be flushed.
    pub(super) fn is_local(&self) -> bool {
        self.is_local
    }

    /// The connection begins to send all that it was given so far.
    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::AcqRel);
    }

    /// The socket is written to.
    pub(super) fn write(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    /// The socket is flushed.
    pub(super) fn flush(&self) {
        self.is_open.store(false, Ordering::Release);
    }

    /// The connection has sent what the socket took.
    pub(super) fn end(&self) {
        if !self.is_open.load(Ordering::Acquire) {
            self.done.store(self.begun.load(Ordering::Acquire), Ordering::Release);
        }
    }

    /// A moment, for [`since`](Self::since).
    pub(super) fn now(&self) -> usize {
        self.begun.load(Ordering::Acquire)
    }

    /// Whether all that was given before that moment has been sent.
    pub(super) fn since(&self, moment: usize) -> bool {
        self.done.load(Ordering::Acquire) > moment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_has_gone_when_a_flush_that_began_later_is_done() {
        let flushes = Flushes::default();
        flushes.begin();
        let given = flushes.now();
        flushes.end();
        assert!(!flushes.since(given), "that one had begun before");
        flushes.begin();
        flushes.write();
        flushes.end();
        assert!(!flushes.since(given), "the socket has not taken it");
        flushes.begin();
        flushes.flush();
        flushes.end();
        assert!(flushes.since(given) && !flushes.since(flushes.now()));
    }
}
