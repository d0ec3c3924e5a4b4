//! Fields of protobuf as they stand in a message, read without knowing which message it is.

use prost::encoding::{WireType, decode_key, decode_varint};

/// Error of bytes that are not the protobuf of OTLP.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf")]
pub struct Malformed;

/// The content of a field.
#[derive(Clone, Copy)]
pub(crate) enum Wire<'a> {
    /// A varint, or a fixed number of 32 or 64 bits.
    Number(u64),
    /// What has a length: text, bytes, a message, or numbers packed together.
    Bytes(&'a [u8]),
}

/// Takes the next field, its number and its content, off the start of `from`, which is not empty.
///
/// # Errors
/// `from` does not begin with a field, or with one of a kind that OTLP has not.
pub(crate) fn next<'a>(from: &mut &'a [u8]) -> Result<(u32, Wire<'a>), Malformed> {
    let (number, wire) = decode_key(from).map_err(|_| Malformed)?;
    let wire = match wire {
        WireType::Varint => Wire::Number(decode_varint(from).map_err(|_| Malformed)?),
        WireType::ThirtyTwoBit => Wire::Number(fixed::<4>(from)?),
        WireType::SixtyFourBit => Wire::Number(fixed::<8>(from)?),
        WireType::LengthDelimited => {
            let len = decode_varint(from).map_err(|_| Malformed)?;
            let len = usize::try_from(len).map_err(|_| Malformed)?;
            let (bytes, rest) = from.split_at_checked(len).ok_or(Malformed)?;
            *from = rest;
            Wire::Bytes(bytes)
        }
        // Groups are of a protobuf before OTLP.
        WireType::StartGroup | WireType::EndGroup => return Err(Malformed),
    };
    Ok((number, wire))
}

/// Takes a number of `N` bytes, of which there are eight at most, off the start of `from`.
///
/// # Errors
/// `from` is shorter than that.
pub(crate) fn fixed<const N: usize>(from: &mut &[u8]) -> Result<u64, Malformed> {
    let (bytes, rest) = from.split_first_chunk::<N>().ok_or(Malformed)?;
    *from = rest;
    Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}
