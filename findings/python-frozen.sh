#!/usr/bin/env bash
# What a Python module does when it is imported is done once, when the component is built.
#
# componentize-py 0.25.1 keeps what importing leaves: UUIDs, generators of random numbers of a program's own, the order of
# sets, and a monotonic clock that later starts afresh. Imports in a function find nothing, of the standard library neither.
# `ssl`, `ctypes`, threads, processes and `/tmp` are not there; `sqlite3` is, in memory. `asyncio.run` does not work in 0.2.
# `sys.exit(3)` is seen as status 1. The environment is the host's.
source "$(dirname "$0")/common.sh"

componentize_py
cat >"$work/app.py" <<'PYTHON'
import asyncio, os, random, sqlite3, subprocess, sys, threading, time, urllib.request, uuid

from componentize_py_types import Ok
from wit_world import exports
from wit_world.imports.types import Fields, OutgoingBody, OutgoingResponse, ResponseOutparam

ID = uuid.uuid4()
RANDOM = random.Random()
STARTED = time.monotonic()
WORDS = {"a", "b", "c", "d", "e", "f"}
SEEN = os.environ.get("BUILDING", "nothing")
ABSENT = []
for name in ["ssl", "ctypes"]:
    try:
        __import__(name)
    except ImportError:
        ABSENT.append(name)


def tried(act) -> str:
    try:
        act()
        return "works"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"


def late() -> None:
    import tomllib


async def nothing() -> None:
    pass


def text(path: str) -> str:
    match path:
        case "/kept":
            return f"{ID} {RANDOM.random()} {list(WORDS)}"
        case "/fresh":
            return f"{uuid.uuid4()} {random.random()}"
        case "/monotonic":
            return "negative" if time.monotonic() - STARTED < 0 else "positive"
        case "/late":
            return tried(late)
        case "/late-of-library":
            return tried(lambda: urllib.request.urlopen("http://127.0.0.1:9/"))
        case "/absent":
            return " ".join(ABSENT)
        case "/sqlite":
            return tried(lambda: sqlite3.connect(":memory:").execute("select 1"))
        case "/thread":
            return tried(threading.Thread(target=print).start)
        case "/process":
            return tried(lambda: subprocess.run(["true"])).split(":")[0]
        case "/tmp":
            return str(os.path.exists("/tmp"))
        case "/run":
            coroutine = nothing()
            return tried(lambda: asyncio.run(coroutine)).split(":")[0]
        case "/environ":
            return f"{os.environ.get('SERVING')}, {os.environ.get('BUILDING')}; imported: {SEEN}"
        case "/exit":
            sys.exit(3)
    return "?"


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request, response_out) -> None:
        answer = text(request.path_with_query())
        response = OutgoingResponse(Fields())
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as stream:
            stream.blocking_write_and_flush(answer.encode())
        OutgoingBody.finish(body, None)
PYTHON
(
  cd "$work"
  BUILDING=yes "$tool" --quiet --wit-path "$repository/wit" --world wasi:http/proxy@0.2.10 componentize app --output app.wasm
)

# same PATH: whether two instances answer the same.
same() {
  if [ "$(get "$1")" = "$(get "$1")" ]; then echo "the same"; else echo "another"; fi
}
serve "$work/app.wasm" --env SERVING=yes
expect "a UUID, a generator and a set of the module, in a second instance" "$(same /kept)" "the same"
expect "a UUID and a random number of the handler, in a second instance" "$(same /fresh)" "another"
expect "time.monotonic() less that of the module" "$(get /monotonic)" "negative"
expect "an import in a function" "$(get /late)" "ModuleNotFoundError: No module named 'tomllib'"
expect "one in a function of the library" "$(get /late-of-library)" "LookupError: unknown encoding: idna"
expect "modules that are not there" "$(get /absent)" "ssl ctypes"
expect "sqlite3 in memory" "$(get /sqlite)" works
expect "a thread" "$(get /thread)" "RuntimeError: can't start new thread"
expect "a process" "$(get /process)" "OSError"
expect "/tmp is there" "$(get /tmp)" "False"
expect "asyncio.run in 0.2" "$(get /run)" "PermissionError"
expect "the environment" "$(get /environ)" "yes, None; imported: nothing"
get /exit >"$work/ignored"
expect "sys.exit(3)" "$(grep -o 'exit status [0-9]*' "$printed" | head -1)" "exit status 1"
