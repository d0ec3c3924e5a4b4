"""Every function of the SDK (guests/sdk/py), once. On the server span: route `/sdk/{language}`, attributes `text`, `whole` = 7,
`half` = 0.5, `big`, `huge` (larger than an integer, so text), `yes`, `texts`, `ints`, `doubles`, `booleans`, `bytes`; events
`told` and `exception`, status error `it broke`. Spans: `sync` with child `in sync`; `async` with children `before`, `after` and
`explicit`, while another task has its turns in `other`; `failing`, `rejecting`; `traced`; `linked`, a client with a link to
`sync`; `remote`. A record of each severity and one by `logging`, four metrics.

Answers {"recording", "context", "current", "inject", "extracted", "set", "baggage", "thrown", "returned", "enabled"}.
"""

import json
import logging
from collections.abc import Coroutine, Generator
from datetime import datetime, timezone
from typing import Any

import pounce_guest as pounce
from componentize_py_types import Ok
from pounce_guest import logs, metrics, propagation
from wit_world import exports
from wit_world.imports.wasi_http_types import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)

CALLER = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
T = datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)
logging.basicConfig(handlers=[logs.Handler()], level=logging.INFO)


class Odd:
    def __str__(self) -> str:
        raise TypeError("on purpose")


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        report = answer()
        response = OutgoingResponse(Fields.from_list([("content-type", b"application/json")]))
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as stream:
            stream.blocking_write_and_flush(json.dumps(report).encode())
        OutgoingBody.finish(body, None)


def answer() -> dict[str, object]:
    pounce.set_route("/sdk/{language}")
    pounce.set_attribute("text", "a")
    pounce.set_attributes({"whole": 7, "half": 0.5, "big": -(2**63), "huge": 2**63, "yes": True, "none": None})
    pounce.set_attributes({"texts": ["a", 1], "ints": [1, 2], "doubles": [1, 0.5], "booleans": (True, False)})  # type: ignore
    pounce.set_attribute("negative", -7)
    pounce.set_attribute("below", -0.5)
    pounce.set_attribute("bytes", b"\x01\x02")
    pounce.set_attribute("odd", Odd())  # type: ignore[arg-type]
    pounce.add_event("told", {"n": 1})
    sync = spans()
    headers: dict[str, str] = {}
    propagation.inject_into(headers)
    extracted = propagation.extract(CALLER)
    assert extracted is not None and extracted.is_sampled
    report = {
        "recording": pounce.is_recording(),
        "context": vars(pounce.current_context()),
        "current": pounce.current_span().context.span_id,
        "inject": headers["traceparent"],
        "linked": propagation.inject(linked(sync))["traceparent"],
        "extracted": vars(extracted),
        "nothing": propagation.extract([("x", b"y")]) is None,
        "set": propagation.set_baggage("shop", "open"),
        "refused": propagation.set_baggage("", "x"),
        "baggage": propagation.baggage(),
        "thrown": thrown(),
        "returned": [traced(1), *in_turns(asynchronous(), other())],
        "enabled": logs.is_enabled("info"),
    }
    for severity in ("trace", "debug", "info", "warn", "error", "fatal"):
        logs.emit(severity, severity, {"n": 1})
    logging.getLogger("shop").warning("by %s", "logging")
    metrics.add_counter("sdk.counter", 2, {"language": "py"})
    metrics.add_counter("sdk.counter", -1)
    metrics.add_up_down("sdk.sum", -3)
    metrics.record_histogram("sdk.histogram", 0.5)
    metrics.set_gauge("sdk.gauge", 4)
    pounce.record_exception(LookupError("it broke"), {"code": 7})
    return report


def spans() -> pounce.Span:
    with pounce.span("sync", {"kind": "sync"}) as sync:
        pounce.start_span("in sync").add_event("step", {"n": 1}, time=T).end()
    pounce.start_span("remote", parent=propagation.extract(CALLER), kind="server").update_name("from remote").end()  # type: ignore
    return sync


def linked(sync: pounce.Span) -> pounce.Span:
    span = pounce.start_span(
        "linked", kind="client", parent="invocation", links=[pounce.Link(sync.context, {"why": "option"})], start_time=T
    )
    span.add_link(sync.context, {"why": "added"}).set_attribute("a", 1).set_attributes({"b": 2}).set_status("ok")
    span.end(1_700_000_000_500_000_000)
    # Ended once.
    span.end()
    return span


@pounce.traced
def traced(n: int) -> int:
    return n + 1


async def asynchronous() -> int:
    span = pounce.span("async")

    async def work() -> int:
        pounce.start_span("before").end()
        await Turn()
        pounce.start_span("after").end()
        pounce.start_span("explicit", parent=span).end()
        return 7

    return await span.run(work())


@pounce.traced(name="other", attributes={"kind": "task"})
async def other() -> int:
    await Turn()
    with pounce.span("in other"):
        pass
    await Turn()
    return 8


class Turn:
    """Lets the other task have its turn."""

    def __await__(self) -> Generator[None, None, None]:
        yield


def in_turns(*tasks: Coroutine[Any, Any, Any]) -> list[Any]:
    """Runs tasks in turns, as an event loop does; what they return, or the exception of the first that fails."""
    results: dict[int, Any] = {}
    while len(results) < len(tasks):
        for n, task in enumerate(tasks):
            if n not in results:
                try:
                    task.send(None)
                except StopIteration as done:
                    results[n] = done.value
    return [results[n] for n in range(len(tasks))]


def thrown() -> list[str]:
    said = []
    try:
        with pounce.span("failing"):
            fail()
    except TypeError as error:
        said.append(str(error))
    try:
        in_turns(rejecting())
    except TypeError as error:
        said.append(str(error))
    return said


@pounce.traced
async def rejecting() -> None:
    await Turn()
    fail()


def fail() -> None:
    raise TypeError("on purpose")
