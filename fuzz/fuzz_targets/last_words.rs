//! `pounce::fuzz::last_words`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| pounce::fuzz::last_words(input));
