//! A part of a request, cut out of its protobuf as it stands.
//!
//! What is counted, and never cut, are the *items*: spans, log records, points of metrics. Whatever stands around an item
//! (its resource, its scope, the metric of a point) goes with each part that has one.

use super::open;
use crate::signal::Signal;
use crate::wire::{self, Malformed, Wire};
use std::ops::Range;

/// The fields that lead from a request to its items, each in the message of the one before; all are below 16.
type Path = &'static [&'static [u32]];

/// `resource_spans`, `scope_spans`, `spans`; those of log records have the same numbers.
const TO_ITEMS: Path = &[&[1], &[2], &[2]];
/// `resource_metrics`, `scope_metrics`, `metrics`; `gauge`, `sum`, `histogram`, `exponential_histogram` or `summary`; and
/// `data_points`.
const TO_POINTS: Path = &[&[1], &[2], &[2], &[5, 7, 9, 10, 11], &[1]];

fn path(signal: Signal) -> Path {
    match signal {
        Signal::Traces | Signal::Logs => TO_ITEMS,
        Signal::Metrics => TO_POINTS,
    }
}

/// Bytes of each item of a request, in their order.
///
/// # Errors
/// `request` is no protobuf.
pub(super) fn lengths(signal: Signal, request: &[u8]) -> Result<Vec<usize>, Malformed> {
    let mut lengths = Vec::new();
    measure(path(signal), request, &mut lengths)?;
    Ok(lengths)
}

/// A request with those items of `request` alone whose place is within `range`.
///
/// # Errors
/// `request` is no protobuf.
pub(super) fn of(signal: Signal, request: &[u8], range: &Range<usize>) -> Result<Vec<u8>, Malformed> {
    let mut part = Vec::new();
    keep(path(signal), request, range, &mut 0, &mut part)?;
    Ok(part)
}

fn measure(path: Path, mut message: &[u8], lengths: &mut Vec<usize>) -> Result<(), Malformed> {
    let [numbers, rest @ ..] = path else { return Ok(()) };
    while !message.is_empty() {
        match wire::next(&mut message)? {
            (number, Wire::Bytes(content)) if numbers.contains(&number) => match rest {
                [] => lengths.push(content.len()),
                _ => measure(rest, content, lengths)?,
            },
            _ => {}
        }
    }
    Ok(())
}

/// Copies `message` to `out`, without items out of `range` and without what would have none left; `place` is that of its
/// first item, and in the end that of the item behind its last.
fn keep(
    path: Path,
    mut message: &[u8],
    range: &Range<usize>,
    place: &mut usize,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let [numbers, rest @ ..] = path else { return Ok(()) };
    while !message.is_empty() {
        let from_here = message;
        let (number, content) = wire::next(&mut message)?;
        let whole = &from_here[..from_here.len() - message.len()];
        match content {
            Wire::Bytes(content) if numbers.contains(&number) => {
                let first = *place;
                let mut inner = Vec::new();
                match rest {
                    [] => *place += 1,
                    _ => keep(rest, content, range, place, &mut inner)?,
                }
                let has_some = first < range.end && range.start < *place;
                match rest {
                    _ if !has_some => {}
                    [] => out.extend_from_slice(whole),
                    _ => {
                        open(out, number as u8, inner.len());
                        out.append(&mut inner);
                    }
                }
            }
            _ => out.extend_from_slice(whole),
        }
    }
    Ok(())
}
