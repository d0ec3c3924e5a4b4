//! What has come of an upload and waits to be read, in about as much memory as it has bytes.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Bytes of a block that small frames are copied into. A frame keeps the buffer alive into which the socket was read, 8
/// KiB or more: one of a single byte would cost thousands.
const BLOCK: usize = 4096;

/// Bytes in order.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    whole: VecDeque<Bytes>,
    /// What follows them, copied.
    last: BytesMut,
}

impl Pieces {
    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.last.is_empty()
    }

    /// Adds the bytes of a frame.
    pub(super) fn push(&mut self, frame: Bytes) {
        if frame.is_empty() {
            return;
        }
        // Nothing to copy it to, and probably read next.
        if frame.len() >= BLOCK || self.is_empty() {
            self.seal();
            self.whole.push_back(frame);
            return;
        }
        if self.last.capacity() - self.last.len() < frame.len() {
            self.seal();
            self.last = BytesMut::with_capacity(BLOCK);
        }
        self.last.extend_from_slice(&frame);
    }

    /// Takes the bytes that came first.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.whole.pop_front().or_else(|| (!self.last.is_empty()).then(|| self.last.split().freeze()))
    }

    fn seal(&mut self) {
        if !self.last.is_empty() {
            self.whole.push_back(self.last.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_come_out_in_the_order_in_which_they_went_in(
            steps in prop::collection::vec((0usize..10_000, any::<bool>()), 0..100)
        ) {
            let (mut pieces, mut pushed, mut popped) = (Pieces::default(), Vec::new(), Vec::new());
            for (at, (size, pops)) in steps.into_iter().enumerate() {
                let frame = vec![u8::try_from(at % 251).unwrap_or(0); size];
                pushed.extend_from_slice(&frame);
                pieces.push(frame.into());
                if pops {
                    popped.extend_from_slice(&pieces.pop().unwrap_or_default());
                }
                prop_assert_eq!(pieces.is_empty(), pushed.len() == popped.len());
            }
            while let Some(piece) = pieces.pop() {
                popped.extend_from_slice(&piece);
            }
            prop_assert_eq!(pushed, popped);
        }
    }

    #[test]
    fn tiny_frames_are_kept_together() {
        let mut pieces = Pieces::default();
        for _ in 0..100_000 {
            pieces.push(Bytes::from_static(b"x"));
        }
        assert!(pieces.whole.len() <= 1 + 100_000 / BLOCK, "{} of them", pieces.whole.len());
    }
}
