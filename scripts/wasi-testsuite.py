#!/usr/bin/env python3
"""Runs the wasi:http components of a checkout of WebAssembly/wasi-testsuite against the real binary.

    scripts/wasi-testsuite.py SUITE [NAME…]      make wasi-testsuite SUITE=…

SUITE is a checkout of the branch prod/testsuite-base, which holds the components as they are built. For each component
there is a file NAME.json: the servers that the guest calls, and what to do (run, request, kill, wait). Components that
are no services must be refused.

Prints what came of each beside what is expected (EXPECTED below). Exit status: 0 all as expected, 1 something was not,
2 no suite. POUNCE names the binary (default: target/debug/pounce), POUNCE_FLAGS has flags for every run.
"""

import http.client
import http.server
import json
import os
import pathlib
import queue
import shlex
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse

# What is not "pass": the outcome, and why.
EXPECTED = {
    "http-client-path-none": ("fail", "a path of none is an error in wasmtime, too (WebAssembly/WASI#949)"),
    "http-client-sent": ("fail", "so it is in wasmtime (bytecodealliance/wasmtime#14112)"),
    "http-fields": ("refused", "a command"),
    "http-request": ("refused", "a command"),
    "http-request-options": ("refused", "a command"),
    "http-response": ("refused", "a command"),
}
SERVICE = "wasi:http/service"
# Long enough that only a hang reaches it, on a loaded machine and a debug build.
PATIENCE = 60


class Unexpected(Exception):
    """Something was not as the component's file says."""


class Origin(http.server.ThreadingHTTPServer):
    """A server that the guest calls: answers by method and path, or echoes."""

    daemon_threads = True

    def __init__(self, endpoints):
        super().__init__(("127.0.0.1", 0), OriginRequest)
        self.endpoints = {(each.get("method", "GET"), each.get("path", "/")): each for each in endpoints}
        threading.Thread(target=self.serve_forever, daemon=True).start()


class OriginRequest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self):
        # One of the base class for each method would all be the same.
        self.close_connection = True
        self.raw_requestline = self.rfile.readline(65537)
        if self.raw_requestline and self.parse_request():
            self.answer()

    def log_message(self, *_):
        pass

    def answer(self):
        body, trailers = self.read_body()
        endpoint = self.server.endpoints.get((self.command, self.path))
        if endpoint is None:
            return self.reply(404)
        match endpoint.get("mode", "static"):
            case "echo-body":
                self.reply(200, body=body)
            case "echo-headers":
                seen = [("x-request-method", self.command), ("x-request-path", self.path)]
                seen += [("x-echo-" + name.lower(), value) for name, value in self.headers.items()]
                seen += [("x-trailer-" + name, value) for name, value in trailers]
                self.reply(200, seen)
            case "static":
                said = endpoint.get("response", "")
                said = {"body": said} if isinstance(said, str) else said
                chunks = said.get("chunks")
                self.reply(
                    said.get("status", 200),
                    said.get("headers", {}).items(),
                    said.get("body", "").encode(),
                    None if chunks is None else [chunk.encode() for chunk in chunks],
                    said.get("trailers", {}),
                )
            case mode:
                raise ValueError(f"an endpoint of an unknown mode: {mode}")

    def read_body(self):
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0))), []
        body, trailers = b"", []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while line := self.rfile.readline().strip().decode():
            name, _, value = line.partition(":")
            trailers.append((name.lower(), value.strip()))
        return body, trailers

    def reply(self, status, headers=(), body=b"", chunks=None, trailers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("connection", "close")
        if chunks is None:
            self.send_header("content-length", str(len(body)))
        else:
            self.send_header("transfer-encoding", "chunked")
            if trailers:
                self.send_header("trailer", ", ".join(trailers))
            framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
            ends = "".join(f"{name}: {trailers[name]}\r\n" for name in trailers)
            body = framed + b"0\r\n" + ends.encode() + b"\r\n"
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def closed_address():
    """One where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return "127.0.0.1:%d" % free.getsockname()[1]


def lines_of(pipe):
    """What a process prints, line by line, as it comes; None at its end."""
    lines = queue.Queue()

    def read():
        for line in pipe:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


class Service:
    """The server under test with the component, and the servers that its guest calls."""

    def __init__(self, component, config):
        self.origins = []
        variables = []
        for server in config.get("servers", []):
            if server.get("kind") == "closed":
                address = closed_address()
            else:
                origin = Origin(server.get("endpoints", []))
                self.origins.append(origin)
                address = "%s:%d" % origin.server_address
            variables += ["--env", f"HTTP_SERVER_{server['name'].upper()}={address}"]
        self.process = start(component, "--allow-outbound", "http://127.0.0.1:*", *variables)
        self.stdout, self.stderr = lines_of(self.process.stdout), lines_of(self.process.stderr)
        self.url = None

    def ready(self):
        """The URL, when it listens."""
        if self.url is None:
            line = self.stdout.get(timeout=PATIENCE)
            if line is None or not line.startswith("listening on http://"):
                raise Unexpected(f"it did not listen: {line!r}")
            self.url = urllib.parse.urlsplit(line.removeprefix("listening on "))
        return self.url

    def do(self, operation):
        match operation["type"]:
            case "run":
                self.ready()
            case "request":
                self.request(operation)
            case "kill":
                self.process.send_signal(signal.Signals[operation.get("signal", "SIGTERM")])
            case "wait":
                status = self.process.wait(PATIENCE)
                if status != operation.get("exit_code", 0):
                    raise Unexpected(f"exit status {status}")
            case kind:
                raise ValueError(f"an unknown operation: {kind}")

    def request(self, operation):
        connection = http.client.HTTPConnection(self.ready().netloc, timeout=PATIENCE)
        method, path = operation.get("method", "GET"), operation.get("path", "/")
        body = operation.get("body", "").encode() or None
        connection.request(method, path, body, operation.get("headers", {}))
        response = connection.getresponse()
        text = response.read().decode()
        wanted = operation.get("response", {})
        seen = (response.status, text)
        if seen != (wanted.get("status", 200), wanted.get("body", "")):
            raise Unexpected(f"{method} {path}: {seen}")
        for name, value in wanted.get("headers", {}).items():
            if response.getheader(name) != value:
                raise Unexpected(f"{method} {path}: {name}: {response.getheader(name)}")

    def end(self):
        """Ends what still runs; what the server said on standard error."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for origin in self.origins:
            origin.shutdown()
            origin.server_close()
        return list(iter(self.stderr.get, None))


def start(component, *flags):
    binary = os.environ.get("POUNCE") or pathlib.Path(__file__).parents[1] / "target/debug/pounce"
    more = shlex.split(os.environ.get("POUNCE_FLAGS", ""))
    return subprocess.Popen(
        [binary, "serve", component, "--listen", "127.0.0.1:0", *flags, *more],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def run_service(component, config):
    service = Service(component, config)
    try:
        for operation in config["operations"]:
            service.do(operation)
        outcome = ("pass", "")
    except (Unexpected, OSError, http.client.HTTPException, subprocess.TimeoutExpired, queue.Empty) as error:
        outcome = ("fail", f"{type(error).__name__}: {error}")
    said = service.end()
    return outcome if outcome[0] == "pass" else (outcome[0], "\n    ".join([outcome[1], *said]))


def run_other(component):
    """What is no service must be refused as what it is."""
    process = start(component)
    try:
        _, said = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "fail", "it was not refused"
    is_refused = process.returncode == 2 and "a command, which runs once" in said
    return ("refused" if is_refused else "fail"), said


def main(suite, *names):
    components = sorted(pathlib.Path(suite).glob("tests/*/testsuite/wasm32-wasip3/http-*.wasm"))
    components = [path for path in components if not names or path.stem in names]
    if not components:
        print(f"{suite}: no components of wasi:http; is it the branch prod/testsuite-base?", file=sys.stderr)
        return 2
    differences = 0
    for component in components:
        config = json.loads(component.with_suffix(".json").read_text())
        is_service = config.get("world") == SERVICE
        outcome, why = run_service(component, config) if is_service else run_other(component)
        expected, reason = EXPECTED.get(component.stem, ("pass", ""))
        as_expected = outcome == expected
        differences += not as_expected
        note = f"expected: {reason}" if as_expected and reason else ""
        print(f"{component.stem:28} {outcome:8} {note if as_expected else f'NOT {expected}: {why}'}".rstrip(), flush=True)
    print(f"{len(components)} components, {differences} not as expected")
    return 1 if differences else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
