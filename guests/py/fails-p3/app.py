"""A handler of wasi:http 0.3. Fails by path, each failure with the request's path and query in its message:

| path | fails by |
| --- | --- |
| `/before` | an exception, after a wait of 20 ms in which others may run |
| `/stream` | an exception in the task that writes the body, after some of it |
| `/after` | an exception in a task that works on after the response |
| `/outlive` | a task that it leaves running when its response is over |
| `/exit` | `sys.exit(3)` |
| `/memory` | taking more and more memory |
| `/loop` | computing for ever |

Every other path answers `fine`, after the same wait.
"""

import asyncio
import sys

import wit_world
from componentize_py_async_support import spawn
from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports import monotonic_clock
from wit_world.imports.wasi_http_types import Fields, Request, Response

MILLISECOND = 1_000_000


class Mistake(Exception):
    pass


class Handler(exports.Handler):
    async def handle(self, request: Request) -> Response:
        target = request.get_path_with_query() or "/"
        path = target.split("?")[0]
        await monotonic_clock.wait_for(20 * MILLISECOND)
        match path:
            case "/before":
                fail(target)
            case "/after":
                spawn(fail_later(target))
            case "/outlive":
                asyncio.create_task(monotonic_clock.wait_for(500 * MILLISECOND))
            case "/exit":
                sys.exit(3)
            case "/memory":
                kept = []
                while True:
                    kept.append(bytearray(1 << 20))
            case "/loop":
                while True:
                    pass
        body, contents = wit_world.byte_stream()
        # Whoever holds it has not said yet that the body is whole.
        end, trailers = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(
            lambda: Ok(None)
        )
        spawn(write(body, end, target if path == "/stream" else None))
        return Response.new(Fields(), contents, trailers)[0]


async def write(body: wit_world.ByteStreamWriter, end: object, failing: str | None) -> None:
    with body:
        await body.write_all(b"fine\n")
        if failing is not None:
            fail(failing)


async def fail_later(target: str) -> None:
    await monotonic_clock.wait_for(50 * MILLISECOND)
    fail(target)


def fail(target: str) -> None:
    raise Mistake(f"on purpose: {target}")
