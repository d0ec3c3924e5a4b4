//! The `pounce` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    pounce::run()
}
