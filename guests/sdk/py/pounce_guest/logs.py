"""Log records that carry the trace they belong to, and a handler for `logging`.

    logging.getLogger().addHandler(pounce_guest.logs.Handler())
"""

import logging
import traceback
from typing import Literal, TypeAlias

from . import _host
from ._values import Attributes, AttributeValue, attributes, text, value

Severity: TypeAlias = Literal["trace", "debug", "info", "warn", "error", "fatal"]


def is_enabled(severity: Severity) -> bool:
    """Whether records of this severity are kept: don't otherwise build costly ones."""
    return bool(_host.logs.is_enabled(_host.logs.Severity[severity.upper()]))


def emit(
    severity: Severity, body: AttributeValue, more: Attributes | None = None, *, event_name: str | None = None
) -> None:
    """Emits a record; with the name of an event all records of that name have the same attributes."""
    _host.logs.emit(_host.logs.Severity[severity.upper()], value(body), event_name, attributes(more))


class Handler(logging.Handler):
    """Sends records of Python's `logging` to the host, each with the trace of the request that it belongs to."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            more: dict[str, AttributeValue | None] = {
                "logger.name": record.name,
                "code.file.path": record.pathname,
                "code.line.number": record.lineno,
                "code.function.name": record.funcName,
            }
            if record.exc_info and record.exc_info[1] is not None:
                kind, error, trace = record.exc_info
                more["exception.type"] = kind.__qualname__
                more["exception.message"] = text(error)
                more["exception.stacktrace"] = "".join(traceback.format_exception(kind, error, trace))
            emit(_severity(record.levelno), record.getMessage(), more)
        except Exception:
            self.handleError(record)


def _severity(level: int) -> Severity:
    if level >= logging.CRITICAL:
        return "fatal"
    if level >= logging.ERROR:
        return "error"
    if level >= logging.WARNING:
        return "warn"
    if level >= logging.INFO:
        return "info"
    return "debug" if level >= logging.DEBUG else "trace"
