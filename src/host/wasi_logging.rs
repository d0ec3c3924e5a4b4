//! `wasi:logging/logging` (`wit/deps/wasi-logging.wit`): records that join the component's log, as those of
//! `pounce:telemetry/logs` do.

use wasmtime::StoreContextMut;
use wasmtime::component::{Access, ComponentType, Lift, Linker};

use super::state::HostState;
use super::telemetry::{Telemetry, emit};
use pounce_telemetry::{LogRecord, Severity, Value};

/// The interface, under each name that toolchains import it by. What is behind them does not differ.
pub(super) const INTERFACES: [&str; 2] = ["wasi:logging/logging@0.1.0-draft", "wasi:logging/logging"];

/// The attribute of a record with the context that its guest gives it.
const CONTEXT: &str = "wasi.logging.context";

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "made of a guest's value by what `Lift` derives")]
enum Level {
    #[component(name = "trace")]
    Trace,
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
    #[component(name = "critical")]
    Critical,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Trace => Self::Trace,
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
            Level::Critical => Self::Fatal,
        }
    }
}

/// Links the interface under its names.
pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    INTERFACES.into_iter().try_for_each(|interface| link_as(linker, interface))
}

/// Links the interface under this name.
pub(super) fn link_as(linker: &mut Linker<HostState>, name: &str) -> wasmtime::Result<()> {
    linker.instance(name)?.func_wrap("log", log)
}

fn log(
    store: StoreContextMut<'_, HostState>,
    (level, context, message): (Level, String, String),
) -> wasmtime::Result<()> {
    let mut host = Access::<_, Telemetry>::new(store, |state| state);
    emit(&mut host, level.into(), |severity| {
        let context = (!context.is_empty()).then(|| (CONTEXT.to_owned(), Value::Text(context)));
        LogRecord::new(severity, Value::Text(message), None, context.into_iter().collect())
    });
    Ok(())
}
