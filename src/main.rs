//! The `pounce` binary.

use std::process::ExitCode;

/// Memory that a burst of connections or requests took goes back to the system within seconds, by threads of jemalloc's
/// own: glibc keeps most of it for good, spread over its arenas. The library leaves the choice to the program that embeds it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    pounce::run()
}
