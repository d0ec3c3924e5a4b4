//! `pounce::fuzz::proxy_protocol`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pounce::fuzz::proxy_protocol(input));
