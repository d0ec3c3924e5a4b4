//! The `pounce` binary.

fn main() {}
