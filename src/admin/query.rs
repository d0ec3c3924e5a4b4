//! What is asked of pages by their query.

use pounce_telemetry::TraceId;

/// What is asked of `/api/traces`.
pub(super) struct Asked {
    pub(super) limit: usize,
    pub(super) trace_id: Option<TraceId>,
}

impl Asked {
    pub(super) fn read(query: &str) -> Result<Self, String> {
        let mut asked = Self { limit: usize::MAX, trace_id: None };
        for part in parts(query) {
            match part {
                ("limit", value) => {
                    asked.limit = value.parse().map_err(|_| "limit is a number: ?limit=10\n".to_owned())?;
                }
                ("trace_id", value) => asked.trace_id = Some(read_id(value)?),
                _ => return Err("there are only limit and trace_id: ?limit=10&trace_id=HEX\n".to_owned()),
            }
        }
        Ok(asked)
    }
}

/// What is asked of `/api/logs` and `/api/traces/outline`.
pub(super) fn trace_id(query: &str) -> Result<TraceId, String> {
    match *parts(query).collect::<Vec<_>>() {
        [("trace_id", value)] => read_id(value),
        _ => Err("name the trace: ?trace_id=HEX\n".to_owned()),
    }
}

/// What is asked of `/api/traces/summary`.
pub(super) fn cursor(query: &str) -> Result<Option<&str>, String> {
    match *parts(query).collect::<Vec<_>>() {
        [] => Ok(None),
        [("after", cursor)] => Ok(Some(cursor)),
        _ => Err("there is only after: ?after=CURSOR, the cursor of an earlier answer\n".to_owned()),
    }
}

fn parts(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, "")))
}

fn read_id(value: &str) -> Result<TraceId, String> {
    let id = TraceId::from_hex(value.to_ascii_lowercase().as_bytes());
    let wrong = "trace_id is 32 hexadecimal digits: ?trace_id=0af7651916cd43dd8448eb211c80319c\n";
    id.ok_or_else(|| wrong.to_owned())
}
