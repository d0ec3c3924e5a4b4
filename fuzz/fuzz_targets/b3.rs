//! `pounce::fuzz::b3`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pounce::fuzz::b3(input));
