//! Generated bindings of `pounce:telemetry`, nothing else.

wasmtime::component::bindgen!({
    path: "wit/telemetry.wit",
    world: "pounce:telemetry/imports",
    imports: { default: store | trappable },
    with: {
        "pounce:telemetry/tracing.span": super::telemetry::GuestSpan,
        "pounce:telemetry/tracing.scope": super::telemetry::GuestScope,
    },
});

pub(crate) use self::pounce::telemetry::{logs, metrics, propagation, scopes, tracing, types};
