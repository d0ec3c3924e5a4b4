#!/usr/bin/env bash
# Which of asyncio works in a Python component for wasi:http 0.3.
#
# componentize-py 0.25.1: gather, TaskGroup, Lock, Queue, Event, create_task and context variables do. Whatever needs a clock
# or a thread is a NotImplementedError without a word: sleep, timeout, wait_for, to_thread, loop.time. The wait of the host
# is `monotonic_clock.wait_for`.
source "$(dirname "$0")/common.sh"

componentize_py
cat >"$work/app.py" <<'PYTHON'
import asyncio
import contextvars

import wit_world
from componentize_py_async_support import spawn
from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports import monotonic_clock
from wit_world.imports.wasi_http_types import Fields, Request, Response

variable = contextvars.ContextVar("variable", default=0)


async def one() -> int:
    await monotonic_clock.wait_for(1_000_000)
    return 1


async def gather() -> None:
    assert await asyncio.gather(one(), one()) == [1, 1]


async def task_group() -> None:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(one())
    assert task.result() == 1


async def locked() -> None:
    async with asyncio.Lock():
        await one()


async def queue() -> None:
    items = asyncio.Queue()
    task = asyncio.create_task(items.get())
    await items.put(1)
    assert await task == 1


async def event() -> None:
    happened = asyncio.Event()
    task = asyncio.create_task(happened.wait())
    happened.set()
    assert await task


async def context() -> None:
    async def set_it() -> None:
        variable.set(1)

    await asyncio.create_task(set_it())
    assert variable.get() == 0


async def sleep() -> None:
    await asyncio.sleep(0.01)


async def timeout() -> None:
    async with asyncio.timeout(1):
        await one()


async def wait_for() -> None:
    await asyncio.wait_for(one(), 1)


async def to_thread() -> None:
    await asyncio.to_thread(print)


async def loop_time() -> None:
    asyncio.get_running_loop().time()


async def tried(act) -> str:
    try:
        await act()
        return "works"
    except Exception as error:
        return type(error).__name__


class Handler(exports.Handler):
    async def handle(self, request: Request) -> Response:
        act = globals()[request.get_path_with_query()[1:]]
        said = await tried(act)
        body, contents = wit_world.byte_stream()
        end, trailers = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(lambda: Ok(None))
        spawn(write(body, said))
        return Response.new(Fields(), contents, trailers)[0]


async def write(body: wit_world.ByteStreamWriter, text: str) -> None:
    with body:
        await body.write_all(text.encode())
PYTHON
(cd "$work" && "$tool" --quiet --wit-path "$repository/guests/wit-p3" --world service componentize app --output app.wasm)

serve "$work/app.wasm" --max-instance-reuse-count 1
for works in gather task_group locked queue event context; do
  expect "$works" "$(get "/$works")" works
done
for not_there in sleep timeout wait_for to_thread loop_time; do
  expect "$not_there" "$(get "/$not_there")" NotImplementedError
done
