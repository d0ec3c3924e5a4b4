//! Spins for ever, calling nobody: only an interrupt from outside ends it. Nothing else of its instance runs meanwhile.

use wasip3::http::types::{ErrorCode, Request, Response};

struct BusyLoop;

impl wasip3::exports::http::handler::Guest for BusyLoop {
    async fn handle(_request: Request) -> Result<Response, ErrorCode> {
        let mut turns = 0_u64;
        loop {
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }
}

wasip3::http::service::export!(BusyLoop);
