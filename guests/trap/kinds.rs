//! The ways to fail, by the request's path; `/` and every unknown path are `/unreachable`.
//!
//! | path | fails by |
//! | --- | --- |
//! | `/unreachable` | the `unreachable` instruction |
//! | `/panic` | a Rust panic; the message goes to stderr: `the guest panicked on purpose` |
//! | `/oob` | reading beyond the memory |
//! | `/stack-overflow` | endless recursion |
//! | `/divide-by-zero` | the division instruction, unchecked |
//! | `/exit` | `wasi:cli/exit` with an error (`?ok` without) |
//! | `/write-too-large` | `blocking-write-and-flush` of 4,097 bytes, to stdout |
//! | `/zeroes-too-large` | `blocking-write-zeroes-and-flush` of 4,097 bytes, to stdout |
//! | `/after-head` | answering 200, writing `before the trap\n`, then `unreachable` |
//! | `/after` | answering 200 with a whole body, waiting a moment, then a panic |

use std::hint::black_box;

/// Whether to trap only after head and some of the body have been sent.
pub(crate) fn is_after_head(path: &str) -> bool {
    path == "/after-head"
}

/// Whether to panic only after the response.
pub(crate) fn is_after_response(path: &str) -> bool {
    path == "/after"
}

/// Fails the way the path says.
pub(crate) fn fail(path: &str, ok: bool) -> ! {
    match path {
        "/panic" | "/after" => panic!("the guest panicked on purpose"),
        "/oob" => read_beyond_memory(),
        "/stack-overflow" => {
            black_box(recurse(black_box(1)));
        }
        "/divide-by-zero" => {
            black_box(divide(black_box(1), black_box(0)));
        }
        "/exit" => std::process::exit(i32::from(!ok)),
        "/write-too-large" => {
            let _ = wasip2::cli::stdout::get_stdout().blocking_write_and_flush(&[0; 4097]);
        }
        "/zeroes-too-large" => {
            let _ = wasip2::cli::stdout::get_stdout().blocking_write_zeroes_and_flush(4097);
        }
        _ => {}
    }
    core::arch::wasm32::unreachable()
}

#[inline(never)]
fn read_beyond_memory() {
    let address = black_box(0xffff_fff0_usize) as *const u8;
    // SAFETY: unsound on purpose; wasm's bounds check ends it.
    black_box(unsafe { address.read_volatile() });
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    // Never true, which the compiler can't know; the work after the call keeps it from making a loop of this.
    if depth == 0 {
        return 0;
    }
    recurse(depth + 1).rotate_left(1) ^ depth
}

#[inline(never)]
fn divide(dividend: u32, divisor: u32) -> u32 {
    if divisor == 0 {
        // SAFETY: unsound on purpose; it takes Rust's own check away, so that wasm's division instruction traps.
        unsafe { std::hint::unreachable_unchecked() }
    }
    dividend / divisor
}
