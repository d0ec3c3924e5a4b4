//! Sizes in bytes, and limits that may be absent.

use std::fmt;
use std::str::FromStr;

use super::Invalid;

/// A number of bytes: `64MiB`, `32KiB`, `1GB` or plain `65536`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A number of bytes that must not be exceeded; `0` or `none` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteLimit(pub Option<u64>);

/// Largest first, so that a size is written with the largest unit that divides it.
const BINARY: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const DECIMAL: [(&str, u64); 5] =
    [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000), ("B", 1)];

const HINT: &str = "write bytes, or a whole number with KiB, MiB, GiB, KB, MB or GB: 64MiB";

impl FromStr for ByteSize {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = (&text[..split], text[split..].trim_start());
        if digits.is_empty() {
            return Err(Invalid::new("is not a size", HINT));
        }
        let factor = if unit.is_empty() {
            1
        } else {
            let known = BINARY.iter().chain(&DECIMAL).find(|(name, _)| name.eq_ignore_ascii_case(unit));
            known.ok_or_else(|| Invalid::new("is not a size: its unit is unknown", HINT))?.1
        };
        let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        bytes.map(Self).ok_or_else(|| Invalid::new("is too large a size", "write a size below 16 EiB"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = BINARY.iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor));
        match unit {
            Some((name, factor)) => write!(f, "{}{name}", self.0 / factor),
            None if self.0 == 0 => f.write_str("0"),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl FromStr for ByteLimit {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.trim().eq_ignore_ascii_case("none") {
            return Ok(Self(None));
        }
        match text.parse() {
            Ok(ByteSize(0)) => Ok(Self(None)),
            Ok(ByteSize(bytes)) => Ok(Self(Some(bytes))),
            Err(flaw) => Err(Invalid { hint: format!("{}; 0 or none for no limit", flaw.hint), ..flaw }),
        }
    }
}

impl fmt::Display for ByteLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => ByteSize(bytes).fmt(f),
            None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Option<u64> {
        text.parse().ok().map(|ByteSize(bytes)| bytes)
    }

    #[test]
    fn sizes_are_read_with_binary_decimal_or_no_unit() {
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size("32 kib"), Some(32 << 10));
        assert_eq!(size("1GB"), Some(1_000_000_000));
        assert_eq!(size("65536"), Some(65536));
        assert_eq!(size("7B"), Some(7));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "-1", "1.5GiB", "64M", "64 MiB x", "99999999999999999999", "99999999TiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_written_with_the_largest_exact_unit() {
        assert_eq!(ByteSize(128 << 20).to_string(), "128MiB");
        assert_eq!(ByteSize(1000).to_string(), "1000B");
        assert_eq!(ByteSize(0).to_string(), "0");
    }

    #[test]
    fn a_limit_may_be_absent() {
        assert_eq!("0".parse(), Ok(ByteLimit(None)));
        assert_eq!("None".parse(), Ok(ByteLimit(None)));
        assert_eq!("1KiB".parse(), Ok(ByteLimit(Some(1024))));
        assert_eq!(ByteLimit(None).to_string(), "none");
    }
}
