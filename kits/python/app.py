"""Greets whom the path names, `GET /hello/{name}`, after asking a backend."""

import os
import re
from urllib.parse import urlsplit

import pounce_guest as pounce
from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports import outgoing_handler
from wit_world.imports.wasi_http_types import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingRequest,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Http,
    Scheme_Https,
)

# What is asked where the variable BACKEND_URL names nothing else.
BACKEND = "http://example.com/"


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        path = urlsplit(request.path_with_query() or "/").path
        if found := re.fullmatch(r"/hello/([^/]+)", path):
            answer(response_out, *hello(found[1]))
        else:
            answer(response_out, 404, "try /hello/world\n")


def hello(name: str) -> tuple[int, str]:
    # Pounce traces the request by itself; this is what only the guest knows.
    pounce.set_route("/hello/{name}")
    pounce.set_attribute("hello.name", name)
    try:
        return 200, f"Hello, {name}! The backend says {ask_backend()}.\n"
    except OSError:
        return 502, "The backend does not answer.\n"


# Has a span of its own, with the call as its child; what it raises is recorded on it.
@pounce.traced(name="ask the backend")
def ask_backend() -> int:
    url = urlsplit(os.environ.get("BACKEND_URL", BACKEND))
    request = OutgoingRequest(Fields())
    request.set_scheme(Scheme_Https() if url.scheme == "https" else Scheme_Http())
    request.set_authority(url.netloc)
    request.set_path_with_query(url.path or "/")
    future = outgoing_handler.handle(request, None)
    future.subscribe().block()
    match future.get():
        case Ok(Ok(response)):
            status = response.status()
            pounce.current_span().add_event("answered", {"backend.status": status})
            return status
        case failed:
            raise ConnectionError(f"no answer: {failed}")


def answer(response_out: ResponseOutparam, status: int, text: str) -> None:
    response = OutgoingResponse(Fields.from_list([("content-type", b"text/plain")]))
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    with body.write() as stream:
        stream.blocking_write_and_flush(text.encode())
    OutgoingBody.finish(body, None)
