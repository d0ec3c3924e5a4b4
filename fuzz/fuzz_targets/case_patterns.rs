//! Patterns of case files, beside a slower reading of the same rules, and the assignment of spans to what is expected.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| {
    let (pattern, text) = input;
    pounce::fuzz::case_patterns(pattern, text);
    pounce::fuzz::case_assignment(pattern.as_bytes());
});
