//! A case file: no text makes the reader panic, and each mistake has a place and a hint.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| pounce::fuzz::case_files(input));
