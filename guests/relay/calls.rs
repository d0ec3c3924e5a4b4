//! What to call and what came of it: `[{"url": "http://…", "arguments": …}]` in, `[{"status": 200}]` or
//! `[{"error": "…"}]` out. A call may bring `"headers": {"name": "value"}`, as a guest does that forwards what it got, and
//! `"baggage": {"name": "value"}`, which is set for the request before the call; names that were refused are in
//! `"refused"` of its outcome.

use serde_json::{Value, json};

/// A request to make.
pub(crate) struct Call {
    pub(crate) https: bool,
    pub(crate) authority: String,
    pub(crate) path_with_query: String,
    pub(crate) headers: Vec<(String, String)>,
    baggage: Vec<(String, String)>,
    /// The `arguments`, as JSON.
    pub(crate) body: Vec<u8>,
}

/// Reads the list; what is wrong with it, else.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<Call>, String> {
    let calls: Vec<Value> =
        serde_json::from_slice(body).map_err(|error| format!("not a JSON array: {error}\n"))?;
    calls.iter().map(call).collect()
}

fn call(call: &Value) -> Result<Call, String> {
    let url = call["url"].as_str().ok_or_else(|| format!("no \"url\" in {call}\n"))?;
    let (https, rest) = match url.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        _ => return Err(format!("not an http URL: {url}\n")),
    };
    let split = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    let slash = if path.starts_with('/') { "" } else { "/" };
    let texts = |key| {
        let given = call[key].as_object().into_iter().flatten();
        given.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    };
    Ok(Call {
        https,
        authority: authority.to_owned(),
        path_with_query: format!("{slash}{path}"),
        headers: texts("headers"),
        baggage: texts("baggage"),
        body: call["arguments"].to_string().into_bytes(),
    })
}

impl Call {
    /// Sets the baggage of the request; the names that were refused.
    pub(crate) fn set_baggage(&self) -> Vec<&str> {
        let refused = |(name, value): &&(String, String)| !pounce_guest::propagation::set_baggage(name, value);
        self.baggage.iter().filter(refused).map(|(name, _)| name.as_str()).collect()
    }
}

/// One entry of the answer: the status, or the error's name.
pub(crate) fn outcome<E: std::fmt::Debug>(refused: &[&str], result: Result<u16, E>) -> Value {
    let mut outcome = match result {
        Ok(status) => json!({ "status": status }),
        Err(error) => json!({ "error": format!("{error:?}") }),
    };
    if !refused.is_empty() {
        outcome["refused"] = json!(refused);
    }
    outcome
}
