"""Fails by path, each failure with the request's path and query in its message:

| path | fails by |
| --- | --- |
| `/before` | an exception of a class of the author's, with a cause |
| `/stream` | an exception after some of the body |
| `/after` | an exception after the response |
| `/exit` | `sys.exit(3)`; `/exit-well` by `sys.exit(0)` |
| `/write` | writing 5000 bytes by one `blocking-write-and-flush` |
| `/memory` | taking more and more memory |
| `/loop` | computing for ever |
| `/print` | not at all: it logs an exception that it has caught, and answers |

Every other path answers `fine`.
"""

import sys
import traceback

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.types import (
    Fields,
    IncomingRequest,
    OutgoingBody,
    OutgoingResponse,
    ResponseOutparam,
)


class Mistake(Exception):
    pass


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        target = request.path_with_query() or "/"
        path = target.split("?")[0]
        match path:
            case "/before":
                caused(target)
            case "/exit":
                sys.exit(3)
            case "/exit-well":
                sys.exit(0)
            case "/memory":
                kept = []
                while True:
                    kept.append(bytearray(1 << 20))
            case "/loop":
                while True:
                    pass
            case "/print":
                try:
                    fail(target)
                except Mistake:
                    traceback.print_exc()
        answer(path, target, response_out)


def answer(path: str, target: str, response_out: ResponseOutparam) -> None:
    response = OutgoingResponse(Fields())
    body = response.body()
    ResponseOutparam.set(response_out, Ok(response))
    with body.write() as stream:
        stream.blocking_write_and_flush(b"x" * 5000 if path == "/write" else b"fine\n")
        if path == "/stream":
            fail(target)
    OutgoingBody.finish(body, None)
    if path == "/after":
        fail(target)


def caused(target: str) -> None:
    try:
        {}[target]
    except KeyError as error:
        raise Mistake(f"on purpose:\n{target}") from error


def fail(target: str) -> None:
    raise Mistake(f"on purpose: {target}")
