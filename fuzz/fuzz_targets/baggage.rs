//! `invariants::baggage` of pounce-telemetry's tests, which says what must hold.
#![no_main]

#[path = "../../crates/telemetry/tests/invariants/mod.rs"]
#[allow(dead_code, reason = "each target drives one of them")]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::baggage(input));
