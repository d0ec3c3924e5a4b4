//! Spins for ever, calling nobody: only an interrupt from outside ends it.

use wasip2::http::types::{IncomingRequest, ResponseOutparam};

struct BusyLoop;

impl wasip2::exports::http::incoming_handler::Guest for BusyLoop {
    fn handle(_request: IncomingRequest, _out: ResponseOutparam) {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }
}

wasip2::http::proxy::export!(BusyLoop with_types_in wasip2);
