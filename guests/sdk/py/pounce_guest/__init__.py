"""Telemetry from inside a component that Pounce serves.

Pounce traces every request without the guest doing anything. This is for what only the guest knows: the route, who is
asking, what failed, spans of its own.

    import pounce_guest as pounce

    pounce.set_route("/orders/{id}")
    pounce.set_attribute("order.id", 42)
    with pounce.span("price the order") as span:
        span.set_attribute("order.total", price(42))

Nothing here raises, blocks or fails; beyond a limit, or when the request is not recorded, a call does nothing.

Modules: `metrics` (counters, histograms, gauges), `logs` (records that carry the trace), `propagation` (trace context for
calls that the host cannot see).
"""

from . import logs, metrics, propagation
from ._request import (
    add_event,
    current_context,
    current_span,
    is_recording,
    record_exception,
    set_attribute,
    set_attributes,
    set_route,
    set_status,
    update_name,
)
from ._spans import Span, span, start_span, traced
from ._values import Attributes, AttributeValue, Link, SpanContext, SpanKind, StatusCode

__all__ = [
    "AttributeValue",
    "Attributes",
    "Link",
    "Span",
    "SpanContext",
    "SpanKind",
    "StatusCode",
    "add_event",
    "current_context",
    "current_span",
    "is_recording",
    "logs",
    "metrics",
    "propagation",
    "record_exception",
    "set_attribute",
    "set_attributes",
    "set_route",
    "set_status",
    "span",
    "start_span",
    "traced",
    "update_name",
]
