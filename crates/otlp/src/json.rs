//! OTLP as JSON, made of OTLP as protobuf: what is encoded once serves every protocol.
//!
//! `opentelemetry-proto` can do this too, but writes an infinite number as `null`, and `null` for what is absent, which
//! some receivers refuse. Here only what is there is written, by the rules of the protocol: ids in hex, other bytes in
//! base64, names in lower camel case, enums as numbers, integers of 64 bits as text. The tests read the result with
//! `opentelemetry-proto`.

mod schema;
#[cfg(test)]
mod tests;

use crate::signal::Signal;
pub use crate::wire::Malformed;
use crate::wire::{self, Wire};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::encoding::decode_varint;
use schema::{Field, Kind, Message};

/// Messages inside each other; protobuf decoders take no more.
const MAX_DEPTH: u32 = 100;

/// The JSON of `request`, an `ExportTraceServiceRequest` or that of another signal. Fields that the protocol does not
/// know are left out.
///
/// # Errors
/// `request` is not such a message.
pub fn of_request(signal: Signal, request: &[u8]) -> Result<Vec<u8>, Malformed> {
    // Hex and base64, names and quotes: twice to thrice as long.
    let mut out = Vec::with_capacity(request.len() * 3);
    let message = match signal {
        Signal::Traces => &schema::TRACES,
        Signal::Metrics => &schema::METRICS,
        Signal::Logs => &schema::LOGS,
    };
    object(&mut out, message, request, MAX_DEPTH)?;
    Ok(out)
}

fn object(out: &mut Vec<u8>, message: &Message, mut from: &[u8], depth: u32) -> Result<(), Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    // Elements of a list may stand apart from each other: gathered first.
    let mut found: Vec<(u32, Wire<'_>)> = Vec::new();
    while !from.is_empty() {
        found.push(wire::next(&mut from)?);
    }
    let is_choice =
        |number: u32| message.fields.iter().any(|field| field.number == number && field.is_choice);
    let chosen = found.iter().map(|(number, _)| *number).rfind(|number| is_choice(*number));
    out.push(b'{');
    let mut comma = false;
    for field in message.fields {
        if field.is_choice && chosen != Some(field.number) {
            continue;
        }
        let mut wires = found.iter().filter(|(number, _)| *number == field.number).map(|(_, wire)| *wire);
        let Some(last) = wires.clone().next_back() else {
            continue;
        };
        if std::mem::replace(&mut comma, true) {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b"\":");
        if field.is_list {
            out.push(b'[');
            let mut first = true;
            wires.try_for_each(|wire| element(out, field, wire, depth, &mut first))?;
            out.push(b']');
        } else {
            value(out, field.kind, last, depth)?;
        }
    }
    out.push(b'}');
    Ok(())
}

/// An element of a list, or several numbers packed together.
fn element(
    out: &mut Vec<u8>,
    field: &Field,
    wire: Wire<'_>,
    depth: u32,
    first: &mut bool,
) -> Result<(), Malformed> {
    let mut one = |wire| {
        if !std::mem::take(first) {
            out.push(b',');
        }
        value(out, field.kind, wire, depth)
    };
    match (wire, field.kind) {
        (Wire::Bytes(mut packed), Kind::Fixed64 | Kind::Double | Kind::Uint64) => {
            while !packed.is_empty() {
                let number = match field.kind {
                    Kind::Uint64 => decode_varint(&mut packed).map_err(|_| Malformed)?,
                    _ => wire::fixed::<8>(&mut packed)?,
                };
                one(Wire::Number(number))?;
            }
            Ok(())
        }
        _ => one(wire),
    }
}

fn value(out: &mut Vec<u8>, kind: Kind, wire: Wire<'_>, depth: u32) -> Result<(), Malformed> {
    match (kind, wire) {
        (Kind::Text, Wire::Bytes(bytes)) => json(out, std::str::from_utf8(bytes).map_err(|_| Malformed)?),
        (Kind::Hex, Wire::Bytes(bytes)) => {
            let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default() as u8;
            out.push(b'"');
            out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
            out.push(b'"');
        }
        (Kind::Base64, Wire::Bytes(bytes)) => json(out, &STANDARD.encode(bytes)),
        (Kind::Message(message), Wire::Bytes(bytes)) => object(out, message, bytes, depth)?,
        (Kind::Bool, Wire::Number(number)) => json(out, &(number != 0)),
        // Negative numbers of 32 bits are sent in 64.
        (Kind::Uint32 | Kind::Int32, Wire::Number(number)) => match kind {
            Kind::Uint32 => json(out, &(number as u32)),
            _ => json(out, &(number as i32)),
        },
        (Kind::Sint32, Wire::Number(number)) => {
            let number = number as u32;
            json(out, &((number >> 1) as i32 ^ -((number & 1) as i32)));
        }
        (Kind::Fixed64 | Kind::Uint64, Wire::Number(number)) => json(out, &number.to_string()),
        (Kind::Int64, Wire::Number(number)) => json(out, &(number as i64).to_string()),
        (Kind::Double, Wire::Number(number)) => match f64::from_bits(number) {
            double if double.is_nan() => json(out, "NaN"),
            f64::INFINITY => json(out, "Infinity"),
            f64::NEG_INFINITY => json(out, "-Infinity"),
            double => json(out, &double),
        },
        _ => return Err(Malformed),
    }
    Ok(())
}

fn json(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    // Into memory, and nothing with keys that are no text.
    serde_json::to_writer(out, value).expect("texts and numbers can be written");
}
