//! Requests a second.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use super::{Invalid, Place, Value};

/// Requests a second, and how many may come at once: `50`, `50/200` (`http.rate-limit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// Requests a second, in the long run.
    pub per_second: NonZeroU32,
    /// Requests that may come at once after a pause; as many as in a second where it is not said.
    pub burst: NonZeroU32,
}

/// One in each microsecond: nobody's limit is higher.
const MOST: u32 = 1_000_000;

const HINT: &str = "write requests a second, and how many may come at once: 50 or 50/200; none for no limit";

impl FromStr for RateLimit {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = |text: &str| {
            let number: NonZeroU32 = text.trim().parse().map_err(|_| Invalid::new("is not a rate", HINT))?;
            let is_known = number.get() <= MOST;
            is_known.then_some(number).ok_or_else(|| Invalid::new("is too high a rate", HINT))
        };
        let (rate, burst) = match text.split_once('/') {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (text, None),
        };
        let per_second = number(rate)?;
        let burst = burst.map(number).transpose()?.unwrap_or(per_second);
        Ok(Self { per_second, burst })
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.per_second, self.burst)
    }
}

/// Where no limit may be set, too: `none` or `0`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rate(pub Option<RateLimit>);

impl Value for Rate {
    fn read(text: &str, _: &Place<'_>) -> Result<Self, Invalid> {
        match text.trim() {
            "0" => Ok(Self(None)),
            none if none.eq_ignore_ascii_case("none") => Ok(Self(None)),
            limit => limit.parse().map(Some).map(Self),
        }
    }

    fn show(&self) -> String {
        self.0.map_or_else(|| "none".to_owned(), |limit| limit.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_with_or_without_a_burst() {
        let shown = |text: &str| text.parse().map(|limit: RateLimit| limit.to_string()).ok();
        assert_eq!(shown("50").as_deref(), Some("50/50"));
        assert_eq!(shown(" 50 / 200 ").as_deref(), Some("50/200"));
        for text in ["", "0", "-1", "1.5", "50/", "/5", "50/0", "1/2/3", "1000001", "50r/s"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
