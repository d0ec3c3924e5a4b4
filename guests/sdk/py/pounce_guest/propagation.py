"""Trace context for calls that the host cannot see: a message's headers, a protocol of the guest's own.

Requests over wasi:http need none of this: the host puts the context on them.
"""

from collections.abc import Iterable, Mapping, MutableMapping

from . import _host
from ._spans import Span
from ._values import SpanContext, pairs, text, to_context


def inject(span: Span | None = None) -> dict[str, str]:
    """The current span's context as headers (`traceparent`, …), or that of `span`."""
    host = _host.propagation
    return pairs(host.inject() if span is None else host.inject_for(span._host))


def inject_into(headers: MutableMapping[str, str], span: Span | None = None) -> None:
    """Sets them on `headers`."""
    headers.update(inject(span))


def extract(headers: Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]) -> SpanContext | None:
    """The context that headers carry, if they carry a valid one."""
    items = headers.items() if isinstance(headers, Mapping) else headers
    found = _host.propagation.extract(
        [
            _host.types.Header(text(name), item.decode(errors="replace") if isinstance(item, bytes) else text(item))
            for name, item in items
        ]
    )
    return None if found is None else to_context(found)


def baggage() -> dict[str, str]:
    """The W3C baggage of this request."""
    return pairs(_host.propagation.baggage())


def set_baggage(name: str, given: str) -> bool:
    """Sets an entry of the baggage that outgoing requests carry. False when it was refused: invalid, or beyond a limit."""
    return bool(_host.propagation.set_baggage(text(name), text(given)))
