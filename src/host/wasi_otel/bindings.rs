//! Generated bindings of `wasi:otel`, nothing else.

wasmtime::component::bindgen!({
    path: ["wit/deps/io.wit", "wit/deps/clocks.wit", "wit/deps/wasi-otel.wit"],
    world: "wasi:otel/imports@0.2.0-rc.2",
    imports: { default: store | trappable },
});

pub(crate) use self::wasi::clocks::wall_clock::Datetime;
pub(crate) use self::wasi::otel::{logs, metrics, tracing, types};
