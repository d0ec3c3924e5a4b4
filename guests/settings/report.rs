//! What `wasi:config/store` says: under both versions' names, and under a name of the guest's own (WASI 0.3.1).

use guest_http::Target;
use serde_json::{Value, json};

#[path = "bindings.rs"]
mod bindings;

use bindings::{candidate, draft, mine};

/// By version, the value of `?key=`, or else all settings in their order.
pub(crate) fn report(target: &Target) -> Vec<u8> {
    let report = match target.get("key") {
        Some(key) => json!({
            "0.2.0-rc.1": candidate::get(key).expect("settings can be read"),
            "0.2.0-draft": draft::get(key).expect("settings can be read"),
            "mine": mine::get(key).expect("settings can be read"),
        }),
        None => json!({
            "0.2.0-rc.1": pairs(candidate::get_all().expect("settings can be read")),
            "0.2.0-draft": pairs(draft::get_all().expect("settings can be read")),
            "mine": pairs(mine::get_all().expect("settings can be read")),
        }),
    };
    report.to_string().into_bytes()
}

fn pairs(settings: Vec<(String, String)>) -> Value {
    settings.into_iter().map(|(key, value)| json!([key, value])).collect()
}
