//! Trace and span ids: their types, their text form and a fast random source that never gives zero.

use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

/// Id of a trace: 16 bytes, which are not all zero in a valid trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// Id of a span: 8 bytes, which are not all zero in a valid span.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

impl TraceId {
    /// A new random id, from a generator of the calling thread that the operating system has seeded.
    #[must_use]
    pub fn random() -> Self {
        with_source(|source| {
            let (high, low) = (source.high.u64(..), source.low.u64(1..));
            TraceId(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
        })
    }

    /// The last 56 bits, which W3C Trace Context level 2 calls random: samplers decide on them.
    #[must_use]
    pub fn randomness(self) -> u64 {
        (u128::from_be_bytes(self.0) & 0x00ff_ffff_ffff_ffff) as u64
    }

    /// Whether all bytes are zero, which is no valid id.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == [0; 16]
    }
}

impl SpanId {
    /// A new random id, from a generator of the calling thread that the operating system has seeded.
    #[must_use]
    pub fn random() -> Self {
        with_source(|source| SpanId(source.low.u64(1..).to_be_bytes()))
    }

    /// Whether all bytes are zero, which is no valid id.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == [0; 8]
    }
}

/// Two generators, because one has only 64 bits of state: ids of a large fleet would then meet by chance.
struct Source {
    high: fastrand::Rng,
    low: fastrand::Rng,
}

fn with_source<T>(take: impl FnOnce(&mut Source) -> T) -> T {
    thread_local! {
        // Each `RandomState` holds keys from the operating system, so a hash under it is a good seed.
        static SOURCE: RefCell<Source> = RefCell::new(Source {
            high: fastrand::Rng::with_seed(RandomState::new().hash_one("high")),
            low: fastrand::Rng::with_seed(RandomState::new().hash_one("low")),
        });
    }
    SOURCE.with_borrow_mut(take)
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes `bytes` as lower-case hex into `out`, which is twice as long.
pub fn write_hex(bytes: &[u8], out: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Reads exactly `N` bytes of lower-case hex; upper case, signs and any other length are refused.
#[must_use]
pub fn read_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    let mut wrong = 0;
    // Ids are read eight digits at a time, which takes half the time of one by one.
    let ((eights, pairs), (fours, last)) = (text.as_chunks::<8>(), bytes.as_chunks_mut::<4>());
    for (four, eight) in fours.iter_mut().zip(eights) {
        let (value, flaw) = read_eight(*eight);
        wrong |= flaw;
        *four = value.to_be_bytes();
    }
    for (byte, pair) in last.iter_mut().zip(pairs.chunks_exact(2)) {
        let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
        wrong |= u64::from((high | low) & 0xf0);
        *byte = high << 4 | (low & 15);
    }
    (wrong == 0).then_some(bytes)
}

/// The value of eight digits, all bytes of a register at once; it counts only if the second number is zero.
fn read_eight(digits: [u8; 8]) -> (u32, u64) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let text = u64::from_be_bytes(digits);
    // Only letters have bit 6, and their low bits begin at 1 for ten.
    let values = (text & (0x0f * EACH)) + 9 * ((text >> 6) & EACH);
    // Right is what would be written like this: no byte overflows, as no value is above 24.
    let above_nine = ((values + 6 * EACH) >> 4) & EACH;
    let written = values + 0x30 * EACH + 0x27 * above_nine;
    let wrong = (written ^ text) | (values & (0xf0 * EACH));
    let pairs = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
    ((fours | fours >> 16) as u32, wrong)
}

/// Value of each lower-case hex digit; 0xff for every other byte.
const NIBBLES: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        table[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    table
};

macro_rules! hex_text {
    ($id:ident, $digits:literal) => {
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; $digits];
                write_hex(&self.0, &mut text);
                f.pad(std::str::from_utf8(&text).expect("hex digits are ASCII"))
            }
        }
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl $id {
            /// Reads the lower-case hex form; `None` for anything else, and for zero.
            pub fn from_hex(text: &[u8]) -> Option<Self> {
                read_hex(text).map($id).filter(|id| !id.is_zero())
            }
        }
    };
}
hex_text!(TraceId, 32);
hex_text!(SpanId, 16);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_differ_on_all_threads() {
        let make = || (0..10_000).map(|_| (TraceId::random(), SpanId::random())).collect::<Vec<_>>();
        let threads = [std::thread::spawn(make), std::thread::spawn(make)];
        let all: Vec<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
        assert_eq!(all.iter().map(|(trace, _)| *trace).collect::<HashSet<_>>().len(), 20_000);
        assert_eq!(all.iter().map(|(_, span)| *span).collect::<HashSet<_>>().len(), 20_000);
        assert!(all.iter().all(|(trace, span)| !trace.is_zero() && !span.is_zero()));
    }

    #[test]
    fn digits_read_alike_eight_at_a_time_and_one_by_one() {
        for at in 0..8 {
            for byte in 0..=255 {
                let mut text = *b"0af76519";
                text[at] = byte;
                let pairs = [0, 2, 4, 6].map(|pair| read_hex::<1>(&text[pair..pair + 2]));
                let one_by_one =
                    pairs.iter().all(Option::is_some).then(|| pairs.map(|pair| pair.unwrap()[0]));
                assert_eq!(read_hex::<4>(&text), one_by_one, "{text:?}");
            }
        }
        for text in [b"0123456789abcdef".to_vec(), b"fedcba9876543210".to_vec(), vec![b'o'; 16]] {
            let expected =
                std::str::from_utf8(&text).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
            assert_eq!(read_hex::<8>(&text).map(u64::from_be_bytes), expected);
        }
    }

    #[test]
    fn text_is_lower_case_and_padded_with_zeros() {
        let id = SpanId([0, 1, 0xab, 0, 0, 0, 0, 0xff]);
        assert_eq!(id.to_string(), "0001ab00000000ff");
        assert_eq!(SpanId::from_hex(b"0001ab00000000ff"), Some(id));
        for wrong in
            [&b"0001AB00000000ff"[..], b"001ab00000000ff", b"+001ab00000000ff", b"0000000000000000", b""]
        {
            assert_eq!(SpanId::from_hex(wrong), None);
        }
    }
}
