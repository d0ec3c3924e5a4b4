//! Records by `wasi:logging`: one of each level, and one by each name of the interface.

use guest_http::Target;

#[path = "bindings.rs"]
mod bindings;

use bindings::mine;
use bindings::wasi::logging0_1_0_draft::logging as draft;
use bindings::wasi::logging::logging as unversioned;

/// All of them with `?id=` in their message; `/flood` logs so many of `?bytes=` each.
pub(crate) fn log(target: &Target) {
    let id = target.get("id").unwrap_or_default();
    if target.path() == "/flood" {
        let message = "x".repeat(target.number("bytes", 1) as usize);
        for _ in 0..target.number("records", 1) {
            draft::log(draft::Level::Info, &message, &message);
        }
        return;
    }
    for (level, name) in [
        (draft::Level::Trace, "trace"),
        (draft::Level::Debug, "debug"),
        (draft::Level::Info, "info"),
        (draft::Level::Warn, "warn"),
        (draft::Level::Error, "error"),
        (draft::Level::Critical, "critical"),
    ] {
        draft::log(level, "shop", &format!("{name} of {id}"));
    }
    unversioned::log(unversioned::Level::Info, "", &format!("unversioned of {id}\nwith a second line"));
    mine::log(mine::Level::Info, "", &format!("mine of {id}"));
}
