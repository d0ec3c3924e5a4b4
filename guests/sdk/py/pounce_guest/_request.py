"""The request's server span, which the host starts and ends: name it, describe it, say what went wrong."""

from . import _host
from ._spans import Span
from ._values import (
    Attributes,
    AttributeValue,
    SpanContext,
    StatusCode,
    attributes,
    exception,
    status,
    text,
    to_context,
    value,
)


def is_recording() -> bool:
    """Whether this request is recorded: when not, don't build attributes that cost something."""
    return bool(_host.tracing.is_recording())


def current_context() -> SpanContext:
    """The context of the innermost span that is entered; of the request's span when none is."""
    return to_context(_host.tracing.current_context())


def current_span() -> Span:
    """That span. It stays the same across awaits; ending a handle on the request's span does not end it."""
    return Span(_host.tracing.current(), ends=False)


def set_attribute(key: str, given: AttributeValue) -> None:
    """Sets an attribute of the request's span; the last value of a key wins."""
    _host.tracing.set_attribute(text(key), value(given))


def set_attributes(given: Attributes) -> None:
    """Sets several attributes of the request's span."""
    _host.tracing.set_attributes(attributes(given))


def add_event(name: str, given: Attributes | None = None) -> None:
    """Adds an event to the request's span."""
    _host.tracing.add_event(text(name), attributes(given))


def record_exception(error: BaseException, given: Attributes | None = None) -> None:
    """Adds an `exception` event to the request's span, and sets its status to error."""
    _host.tracing.record_exception(exception(error, given))


def set_status(code: StatusCode, message: str = "") -> None:
    """Sets the status of the request's span. The host never overwrites an error that is set here."""
    _host.tracing.set_status(status(code, message))


def set_route(template: str) -> None:
    """Names the route, a template low in cardinality: the request's span becomes `GET /items/{id}`."""
    _host.tracing.set_route(text(template))


def update_name(name: str) -> None:
    """Renames the request's span; `set_route` is usually what is wanted."""
    _host.tracing.update_name(text(name))
