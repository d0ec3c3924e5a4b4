//! Lengths of time, and timeouts that may be absent.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Invalid;

/// A length of time allowed: `30s`, `500ms`, `2m`, `1h`; `0` or `none` (here `None`) is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timeout(pub Option<Duration>);

impl From<Duration> for Timeout {
    /// No limit for no time at all, as in texts.
    fn from(time: Duration) -> Self {
        Self((!time.is_zero()).then_some(time))
    }
}

/// Largest first, so that a length is written with the largest unit that divides it.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Long enough for any server, short enough that adding it to a clock can't overflow.
const LONGEST_MS: u64 = 365 * 24 * 3_600_000;

const HINT: &str = "write a whole number with ms, s, m or h: 500ms, 30s, 2m, 1h";

/// Reads a length of time; `0` needs no unit.
pub(crate) fn read_duration(text: &str) -> Result<Duration, Invalid> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = (&text[..split], text[split..].trim_start());
    if digits.is_empty() {
        return Err(Invalid::new("is not a duration", HINT));
    }
    let number = digits.parse::<u64>().ok();
    let factor = match UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() && number == Some(0) => 1,
        None if unit.is_empty() => {
            return Err(Invalid::new("is not a duration: it has no unit", HINT));
        }
        None => return Err(Invalid::new("is not a duration: its unit is unknown", HINT)),
    };
    number
        .and_then(|number| number.checked_mul(factor))
        .filter(|ms| *ms <= LONGEST_MS)
        .map(Duration::from_millis)
        .ok_or_else(|| Invalid::new("is too long", "write a duration of a year (8760h) at most"))
}

/// Writes a length of time as [`read_duration`] reads it (whole milliseconds).
pub(crate) fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match UNITS.iter().find(|(_, factor)| ms != 0 && ms.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", ms / factor),
        None => "0s".to_owned(),
    }
}

impl FromStr for Timeout {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.trim().eq_ignore_ascii_case("none") {
            return Ok(Self(None));
        }
        match read_duration(text) {
            Ok(duration) => Ok(Self(Some(duration).filter(|d| !d.is_zero()))),
            Err(flaw) => Err(Invalid { hint: format!("{}; 0 or none for no limit", flaw.hint), ..flaw }),
        }
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => f.write_str(&show_duration(duration)),
            None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(read_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(read_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(read_duration("2 M"), Ok(Duration::from_secs(120)));
        assert_eq!(read_duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(read_duration("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "30", "s", "-1s", "1.5s", "1d", "1m30s", "99999999999999999999s", "9999999h"] {
            assert!(read_duration(text).is_err(), "{text}");
        }
        assert!(read_duration("30").unwrap_err().what.contains("no unit"));
    }

    #[test]
    fn a_timeout_may_be_absent() {
        assert_eq!("none".parse(), Ok(Timeout(None)));
        assert_eq!("0".parse(), Ok(Timeout(None)));
        assert_eq!("0ms".parse(), Ok(Timeout(None)));
        assert_eq!("90s".parse::<Timeout>().unwrap().to_string(), "90s");
        assert_eq!("120s".parse::<Timeout>().unwrap().to_string(), "2m");
    }
}
