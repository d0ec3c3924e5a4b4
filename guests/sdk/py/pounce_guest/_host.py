"""The bindings that componentize-py makes of `pounce:telemetry` (wit/telemetry.wit).

It puts a package's name before that of an interface where another package of the world has one of the same name, as
wasi:http has `types` and wasi:otel has `tracing`.
"""

from typing import Any

from wit_world import imports


def _interface(name: str) -> Any:
    # Here, at the top: nothing can be imported once the component has been made.
    for module in (f"pounce_telemetry_{name}", name):
        try:
            __import__(f"wit_world.imports.{module}")
        except ImportError:
            continue
        return getattr(imports, module)
    raise ImportError(
        "the component's world has no pounce:telemetry: add `include pounce:telemetry/imports@0.1.0;` to it"
    )


types: Any = _interface("types")
tracing: Any = _interface("tracing")
propagation: Any = _interface("propagation")
metrics: Any = _interface("metrics")
logs: Any = _interface("logs")
