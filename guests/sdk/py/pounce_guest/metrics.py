"""Measurements, added up by the host. Names and attributes are low in cardinality; beyond limits they are dropped and
counted, as is a value that the instrument cannot take."""

from . import _host
from ._values import Attributes, attributes, text

_COUNT = range(2**63)
_SUM = range(-(2**63), 2**63)


def add_counter(name: str, given: int, more: Attributes | None = None) -> None:
    """Adds to a counter, which only grows."""
    if given in _COUNT:
        _host.metrics.add_counter(text(name), given, attributes(more))


def add_up_down(name: str, given: int, more: Attributes | None = None) -> None:
    """Adds to a sum that may also shrink."""
    if given in _SUM:
        _host.metrics.add_up_down(text(name), given, attributes(more))


def record_histogram(name: str, given: float, more: Attributes | None = None) -> None:
    """Records one value of a distribution."""
    _host.metrics.record_histogram(text(name), float(given), attributes(more))


def set_gauge(name: str, given: float, more: Attributes | None = None) -> None:
    """Sets the value as it is now."""
    _host.metrics.set_gauge(text(name), float(given), attributes(more))
