"""Spans of the guest's own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Generator, Sequence
from types import TracebackType
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar, cast, overload

from . import _host
from ._values import (
    Attributes,
    AttributeValue,
    Link,
    SpanContext,
    SpanKind,
    StatusCode,
    Time,
    attributes,
    exception,
    from_context,
    from_link,
    nanoseconds,
    status,
    text,
    to_context,
    value,
)

P = ParamSpec("P")
R = TypeVar("R")


class Span:
    """A span, made by `span` or `start_span`.

    As a context manager it is entered, the parent of what is started inside, and ends; what is raised is recorded. Not
    across an `await`: what other tasks do meanwhile would count as this span's. See `run` and `traced`.
    """

    def __init__(self, host: Any, *, ends: bool = True) -> None:
        self._host = host
        self._ends = ends
        self._is_ended = False
        self._scopes: list[Any] = []

    @property
    def context(self) -> SpanContext:
        return to_context(self._host.context())

    @property
    def is_recording(self) -> bool:
        return bool(self._host.is_recording())

    def set_attribute(self, key: str, given: AttributeValue) -> Span:
        """Sets an attribute; the last value of a key wins."""
        self._host.set_attribute(text(key), value(given))
        return self

    def set_attributes(self, given: Attributes) -> Span:
        self._host.set_attributes(attributes(given))
        return self

    def add_event(self, name: str, given: Attributes | None = None, *, time: Time | None = None) -> Span:
        """Adds an event, which happened now unless a time is given."""
        self._host.add_event(text(name), attributes(given), nanoseconds(time))
        return self

    def add_link(self, context: SpanContext, given: Attributes | None = None) -> Span:
        self._host.add_link(from_link(Link(context, given or {})))
        return self

    def record_exception(self, error: BaseException, given: Attributes | None = None) -> Span:
        """Adds an `exception` event and sets the status to error."""
        self._host.record_exception(exception(error, given))
        return self

    def set_status(self, code: StatusCode, message: str = "") -> Span:
        self._host.set_status(status(code, message))
        return self

    def update_name(self, name: str) -> Span:
        self._host.update_name(text(name))
        return self

    def end(self, time: Time | None = None) -> None:
        """Ends the span. The host ends what is left open when the request ends."""
        if not self._is_ended:
            self._is_ended = True
            self._host.end(nanoseconds(time))

    def enter(self) -> None:
        """Makes this the current span, the parent of spans, requests and log records, until `leave`."""
        self._scopes.append(self._host.enter())

    def leave(self) -> None:
        """Undoes the last `enter`."""
        if self._scopes:
            self._scopes.pop().__exit__(None, None, None)

    def __enter__(self) -> Span:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self.leave()
        self._over(error)
        return False

    def _over(self, error: BaseException | None) -> None:
        # How a coroutine or a generator is stopped is no failure.
        if error is not None and not isinstance(error, GeneratorExit):
            self.record_exception(error)
        if self._ends:
            self.end()

    async def run(self, work: Awaitable[R]) -> R:
        """Awaits `work` with this as the current span whenever it is its turn, and only then; ends with it.

        Right also where several tasks run in turns: `await span("load").run(load())`.
        """
        return await _Turns(self, work)


class _Turns(Awaitable[R]):
    """An awaitable that enters a span for each of its steps."""

    def __init__(self, span: Span, work: Awaitable[R]) -> None:
        self._span = span
        self._work = work

    def __await__(self) -> Generator[Any, Any, R]:
        span = self._span
        steps = self._work.__await__()
        try:
            step: Callable[[], Any] = functools.partial(next, steps)
            while True:
                span.enter()
                try:
                    given = step()
                finally:
                    span.leave()
                try:
                    sent = yield given
                except GeneratorExit:
                    span.enter()
                    try:
                        close = getattr(steps, "close", None)
                        if close is not None:
                            close()
                    finally:
                        span.leave()
                    raise
                except BaseException as error:
                    step = functools.partial(_throw, steps, error)
                else:
                    step = functools.partial(_send, steps, sent)
        except StopIteration as done:
            span._over(None)
            return cast(R, done.value)
        except BaseException as error:
            span._over(error)
            raise


def _send(steps: Any, sent: Any) -> Any:
    return next(steps) if sent is None else steps.send(sent)


def _throw(steps: Any, error: BaseException) -> Any:
    throw = getattr(steps, "throw", None)
    if throw is None:
        raise error
    return throw(error)


Parent: TypeAlias = Literal["current", "invocation"] | Span | SpanContext
"""The innermost span that is entered, the request's, one that this guest holds, or one known by its context, from a
message say (a link, unless the operator allows more)."""


def start_span(
    name: str,
    given: Attributes | None = None,
    *,
    kind: SpanKind = "internal",
    parent: Parent = "current",
    links: Sequence[Link] = (),
    start_time: Time | None = None,
) -> Span:
    """Starts a span. It is nobody's parent until it is entered."""
    if isinstance(parent, Span):
        parent.enter()
        try:
            return start_span(name, given, kind=kind, links=links, start_time=start_time)
        finally:
            parent.leave()
    tracing = _host.tracing
    if isinstance(parent, SpanContext):
        whose = tracing.Parent_Remote(from_context(parent))
    elif parent == "invocation":
        whose = tracing.Parent_Invocation()
    else:
        whose = tracing.Parent_Current()
    options = tracing.SpanOptions(
        kind=_host.types.SpanKind[kind.upper()],
        parent=whose,
        attributes=attributes(given),
        links=[from_link(link) for link in links],
        start_time=nanoseconds(start_time),
    )
    return Span(tracing.Span.with_options(text(name), options))


span = start_span
"""The same as `start_span`, by the name that reads well: `with span("price the order"): …`."""


@overload
def traced(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def traced(
    function: None = None,
    /,
    *,
    name: str | None = None,
    attributes: Attributes | None = None,
    kind: SpanKind = "internal",
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def traced(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    attributes: Attributes | None = None,
    kind: SpanKind = "internal",
) -> Any:
    """A decorator: each call of the function has a span of its name (or `name`), which ends with the call; what it raises is
    recorded. Of an `async def` the span is the current one whenever it is the function's turn, and only then."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        called = name or function.__name__
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                return await start_span(called, attributes, kind=kind).run(function(*args, **kwargs))

            return cast(Callable[P, R], awaited)

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            with start_span(called, attributes, kind=kind):
                return function(*args, **kwargs)

        return wrapped

    return decorate if function is None else decorate(function)
