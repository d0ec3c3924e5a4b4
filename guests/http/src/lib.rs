//! What the guests of this folder share: reading the request's target, answering, for both versions of wasi:http.
//!
//! Only what several guests need; a guest whose point is its plumbing (`hello`, `echo`) uses `wasip2` or `wasip3` bare.

mod call;
pub mod p2;
pub mod p3;
mod target;
mod turns;

pub use call::{Call, error_name};
pub use target::Target;
pub use turns::{abandon, join_all, now};
