"""Values, attributes, contexts: from Python's types to those of the interface."""

import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from . import _host

AttributeValue: TypeAlias = (
    str | bool | int | float | bytes | Sequence[str] | Sequence[bool] | Sequence[int] | Sequence[float]
)
"""Of a list, all are of one type; other things become text."""

Attributes: TypeAlias = Mapping[str, AttributeValue | None]
"""Those that are None are left out."""

SpanKind: TypeAlias = Literal["internal", "server", "client", "producer", "consumer"]
StatusCode: TypeAlias = Literal["unset", "ok", "error"]
Time: TypeAlias = datetime | int
"""A time, or nanoseconds since 1970."""

_INT = range(-(2**63), 2**63)
_TIME = range(2**64)


@dataclass(frozen=True)
class SpanContext:
    """What names a span: ids in lower-case hex; bit 0 of the flags says whether the trace is sampled."""

    trace_id: str
    span_id: str
    trace_flags: int = 0
    trace_state: str = ""

    @property
    def is_sampled(self) -> bool:
        return self.trace_flags & 1 == 1


@dataclass(frozen=True)
class Link:
    """A link to another span."""

    context: SpanContext
    attributes: Attributes = field(default_factory=dict)


def from_context(context: SpanContext) -> Any:
    return _host.types.SpanContext(
        context.trace_id, context.span_id, context.trace_flags & 0xFF, context.trace_state
    )


def to_context(context: Any) -> SpanContext:
    return SpanContext(context.trace_id, context.span_id, context.trace_flags, context.trace_state)


def from_link(link: Link) -> Any:
    return _host.types.Link(from_context(link.context), attributes(link.attributes))


def attributes(given: Attributes | None) -> list[Any]:
    return [
        _host.types.Attribute(str(key), value(item)) for key, item in (given or {}).items() if item is not None
    ]


def value(given: object) -> Any:
    types = _host.types
    match given:
        case bool():
            return types.Value_Boolean(given)
        case int():
            # OTLP has no larger integers: what does not fit is kept as text, not as another number.
            return types.Value_Int(int(given)) if given in _INT else types.Value_Text(str(given))
        case float():
            return types.Value_Double(float(given))
        case str():
            return types.Value_Text(text(given))
        case bytes() | bytearray() | memoryview():
            return types.Value_Bytes(bytes(given))
        case list() | tuple() | set() | frozenset():
            return _sequence(list(given))
        case _:
            return types.Value_Text(text(given))


def _sequence(given: list[Any]) -> Any:
    types = _host.types

    def are(*kinds: type) -> bool:
        return bool(given) and all(type(item) in kinds for item in given)

    if are(bool):
        return types.Value_Booleans(given)
    if are(int) and all(item in _INT for item in given):
        return types.Value_Ints(given)
    if are(int, float):
        return types.Value_Doubles([float(item) for item in given])
    return types.Value_Texts([text(item) for item in given])


def text(given: object) -> str:
    """As text that has an encoding; telemetry never raises, not of an object whose `__str__` does either."""
    try:
        return str(given).encode(errors="replace").decode()
    except Exception:
        return f"<{type(given).__name__}>"


def exception(error: BaseException, more: Attributes | None = None) -> Any:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    stack = text("".join(traceback.format_exception(error)))
    return _host.types.Exception(name, text(error), stack, attributes(more))


def status(code: StatusCode, message: str = "") -> Any:
    types = _host.types
    match code:
        case "ok":
            return types.Status_Ok()
        case "error":
            return types.Status_Error(text(message))
        case _:
            return types.Status_Unset()


def nanoseconds(time: Time | None) -> int | None:
    if isinstance(time, datetime):
        time = int(time.timestamp()) * 1_000_000_000 + time.microsecond * 1000
    if time is None:
        return None
    return min(max(time, _TIME.start), _TIME.stop - 1)


def pairs(headers: Iterable[Any]) -> dict[str, str]:
    return {header.name: header.value for header in headers}
