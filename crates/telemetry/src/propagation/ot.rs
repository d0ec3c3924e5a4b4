//! The member `ot` of a `tracestate`, in which samplers of OpenTelemetry tell each other what they did: `ot=th:8;rv:…`.
//!
//! `th` is the threshold that the random bits of a sampled trace have reached, and so how many traces it stands for; `rv`
//! are random bits that count in place of the trace id's. Other entries are passed on as they came. The rules are those
//! of OpenTelemetry's specification, "TraceState Handling" and "Probability Sampling".

use super::w3c::{MAX_MEMBERS, shorten};
use crate::context::TraceState;

/// What the member begins with.
pub(super) const KEY: &str = "ot=";
const THRESHOLD: &str = "th:";
const RANDOMNESS: &str = "rv:";
/// Bytes of the member's value.
const MAX_VALUE: usize = 256;
/// Hex digits of random bits, and of a threshold that ends in no zero.
const DIGITS: usize = 14;
/// One more than the random bits can be: there are 56 of them.
const RANGE: u64 = 1 << 56;

/// The share of traces that a sampler keeps, as the least random bits of those it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Threshold {
    least: u64,
    /// The state of a trace that starts with it; made once, since every sampled trace has it.
    state: TraceState,
}

impl Threshold {
    /// The threshold of a share above 0 and below 1; of one too small for 56 bits the smallest that there is.
    pub(crate) fn of_ratio(ratio: f64) -> Self {
        let kept = (ratio * RANGE as f64).round() as u64;
        let least = RANGE - kept.clamp(1, RANGE);
        let digits = format!("{least:0DIGITS$x}");
        // Trailing zeros are left out, but for that of zero itself.
        let digits = match digits.trim_end_matches('0') {
            "" => "0",
            digits => digits,
        };
        Threshold { least, state: TraceState::checked([KEY, THRESHOLD, digits].concat()) }
    }

    /// Whether a trace with these random bits is kept.
    pub(crate) fn admits(&self, randomness: u64) -> bool {
        randomness >= self.least
    }
}

impl TraceState {
    /// The random bits that count in place of the trace id's, if any are given.
    pub(crate) fn randomness(&self) -> Option<u64> {
        u64::from_str_radix(entry(self.ot()?, RANDOMNESS)?, 16).ok()
    }

    /// This state with `threshold` in place of its own, if it has one.
    pub(crate) fn with_threshold(self, threshold: Option<&Threshold>) -> Self {
        let threshold = threshold.map(|threshold| &threshold.state);
        if self.is_empty() {
            return threshold.cloned().unwrap_or_default();
        }
        let own = self.ot().unwrap_or_default();
        let digits = threshold.and_then(|state| entry(state.ot()?, THRESHOLD));
        if entry(own, THRESHOLD) == digits {
            return self;
        }
        let mut value = digits.map(|digits| [THRESHOLD, digits].concat()).unwrap_or_default();
        let is_random = |entry: &&str| entry.starts_with(RANDOMNESS);
        let others = || own.split(';').filter(|entry| !entry.is_empty() && !entry.starts_with(THRESHOLD));
        // Random bits first: what comes last may find no room.
        for entry in others().filter(is_random).chain(others().filter(|entry| !is_random(entry))) {
            if value.len() + 1 + entry.len() <= MAX_VALUE {
                value.extend([if value.is_empty() { "" } else { ";" }, entry]);
            }
        }
        self.with_ot(&value)
    }

    /// This state, with the member of `other` if it has none itself.
    pub(crate) fn or_ot_of(self, other: &TraceState) -> Self {
        match other.ot() {
            Some(value) if self.ot().is_none() => self.with_ot(value),
            _ => self,
        }
    }

    /// This state with this value of the member, or without the member where the value is empty. What was changed last
    /// stands at the left, as W3C has it; others give way from the right where there is no room.
    fn with_ot(&self, value: &str) -> Self {
        let member = [KEY, value].concat();
        let own = (!value.is_empty()).then_some(&*member);
        let others = self.members().filter(|member| !member.starts_with(KEY));
        let mut members: Vec<&str> = own.into_iter().chain(others).take(MAX_MEMBERS).collect();
        shorten(&mut members, usize::from(own.is_some()));
        TraceState::checked(members.join(","))
    }

    /// The value of the member.
    fn ot(&self) -> Option<&str> {
        self.members().find_map(|member| member.strip_prefix(KEY))
    }

    fn members(&self) -> impl Iterator<Item = &str> {
        self.as_str().split(',').filter(|member| !member.is_empty())
    }
}

/// What an entry of a sound value holds.
fn entry<'a>(value: &'a str, key: &str) -> Option<&'a str> {
    value.split(';').find_map(|entry| entry.strip_prefix(key))
}

/// Whether the value of a member keeps to the rules. The Collector drops spans that have one which does not.
pub(super) fn is_sound(value: &str) -> bool {
    let is_entry = |(at, entry): (usize, &str)| {
        let Some((key, content)) = entry.split_once(':') else { return false };
        let is_same = |before: &str| before.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        is_key(key) && is_content(key, content) && !value.split(';').take(at).any(is_same)
    };
    value.len() <= MAX_VALUE && value.split(';').enumerate().all(is_entry)
}

fn is_key(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_lowercase())
        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_content(key: &str, content: &str) -> bool {
    let is_hex = || content.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match key {
        "th" => (1..=DIGITS).contains(&content.len()) && is_hex(),
        "rv" => content.len() == DIGITS && is_hex(),
        _ => content.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)),
    }
}

#[cfg(test)]
mod tests;
