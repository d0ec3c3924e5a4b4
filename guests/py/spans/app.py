"""The older names of the tracing API, over the bindings that componentize-py makes of `wit/telemetry.wit`.

On the server span: route `/spans/{language}`, attributes `guest.language` = py, `guest.int` = 42, an event `guest.event`
with `n` = 1. Spans: `child of py` with attribute `kind`, event `step`, an exception, in it a span `grandchild`;
`POST /orders/{id}`, a request span whose caller is in headers, answered 503. A record `hello from py`, a counter
`guest.requests`.

Answers {"language", "recording", "context", "inject", "child", "request"}.
"""

import json
import traceback

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports import logs, metrics, propagation, tracing
from wit_world.imports import pounce_telemetry_types as telemetry
from wit_world.imports.wasi_http_types import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        tracing.set_route("/spans/{language}")
        add_span_attribute("guest.language", "py")
        add_span_attribute("guest.int", 42)
        tracing.add_event("guest.event", [attribute("n", 1)])
        report = {
            "language": "py",
            "recording": tracing.is_recording(),
            "context": vars(tracing.current_context()),
            "inject": inject_trace_context({}),
            "child": child(),
            "request": handled(),
        }
        logs.emit(logs.Severity.INFO, value("hello from py"), None, [attribute("n", 1)])
        metrics.add_counter("guest.requests", 1, [attribute("guest.language", "py")])
        respond(response_out, json.dumps(report).encode())


def child() -> str:
    with tracing.Span("child of py") as span:
        span.set_attribute("kind", value("child"))
        span.add_event("step", [attribute("n", 1)], None)
        with span.enter():
            tracing.Span("grandchild").end(None)
        try:
            raise TypeError("it broke")
        except TypeError as error:
            record_exception(span, error)
        span.end(None)
        return span.context().span_id


def handled() -> str:
    """A request that reached the guest by a way that the host doesn't see."""
    caller = propagation.extract([telemetry.Header("traceparent", CALLER)])
    options = tracing.SpanOptions(
        kind=telemetry.SpanKind.SERVER if caller else telemetry.SpanKind.INTERNAL,
        parent=tracing.Parent_Remote(caller) if caller else tracing.Parent_Current(),
        attributes=[attribute("http.request.method", "POST"), attribute("url.path", "/orders/7")],
        links=[],
        start_time=None,
    )
    with tracing.Span.with_options("POST", options) as span:
        span.update_name("POST /orders/{id}")
        span.set_attribute("http.response.status_code", value(503))
        span.set_status(telemetry.Status_Error(""))
        span.end(None)
        return span.context().span_id


def add_span_attribute(key: str, given: object) -> None:
    tracing.set_attribute(key, value(given))


def record_exception(span: tracing.Span, error: Exception) -> None:
    stack = "".join(traceback.format_exception(error))
    span.record_exception(telemetry.Exception(type(error).__name__, str(error), stack, []))


def inject_trace_context(headers: dict[str, str]) -> dict[str, str]:
    headers.update((header.name, header.value) for header in propagation.inject())
    return headers


def attribute(key: str, given: object) -> telemetry.Attribute:
    return telemetry.Attribute(key, value(given))


def value(given: object) -> telemetry.Value:
    match given:
        case bool():
            return telemetry.Value_Boolean(given)
        case int():
            return telemetry.Value_Int(given)
        case float():
            return telemetry.Value_Double(given)
        case _:
            return telemetry.Value_Text(str(given))


def respond(response_out: ResponseOutparam, content: bytes) -> None:
    response = OutgoingResponse(Fields.from_list([("content-type", b"application/json")]))
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    with body.write() as stream:
        stream.blocking_write_and_flush(content)
    OutgoingBody.finish(body, None)
