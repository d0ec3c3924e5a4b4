//! The `pounce` binary.

use std::process::ExitCode;

/// Memory that a burst of connections or requests took goes back to the system within seconds, by threads of jemalloc's
/// own: glibc keeps most of it for good, spread over its arenas. The library leaves the choice to the program that embeds it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    pounce::run(start_allocator_threads)
}

/// Starts the threads of jemalloc. It would do so before `main`, but a process can only harden itself (`http.harden`) while
/// it has no other threads.
#[expect(
    unsafe_code,
    reason = "jemalloc has no other way to change a setting, and its safe crate brings an orphaned one"
)]
fn start_allocator_threads() {
    let (name, mut on) = (c"background_thread", true);
    // SAFETY: the setting has a name that ends in NUL and takes a `bool`, whose place and size are given; nothing is read.
    let _is_slower_without = unsafe {
        tikv_jemalloc_sys::mallctl(
            name.as_ptr(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::from_mut(&mut on).cast(),
            size_of::<bool>(),
        )
    };
}
