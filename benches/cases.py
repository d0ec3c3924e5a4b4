#!/usr/bin/env python3
"""What a case of `pounce test` costs, beside the same request over a socket of `pounce serve`.

Runs in turns: N cases one after another (--jobs 1), each with a response and a span tree to compare, and N requests over one
connection, each traced. Prints medians and their ratio.

    benches/cases.py [--binary target/release/pounce] [--component guests/build/hello.wasm] [--count 500] [--rounds 5]
"""

import argparse
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time
import xml.etree.ElementTree as tree

CASE = """
[[case]]
name = "{n}"
request = "GET /"
response = {{ status = 200, body = "Hello*" }}
span = {{ name = "GET /", kind = "server", status = "ok", attributes = {{ "http.response.status_code" = 200 }}, children = [] }}
"""


def cases(binary, component, count):
    with tempfile.TemporaryDirectory() as folder:
        file, report = pathlib.Path(folder, "cases.toml"), pathlib.Path(folder, "junit.xml")
        file.write_text("".join(CASE.format(n=n) for n in range(count)))
        command = [binary, "test", component, "--cases", file, "--jobs", "1", "--format", "junit", "--report", report]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return [float(case.get("time")) for case in tree.parse(report).iter("testcase")]


def requests(address, count):
    took = []
    with socket.create_connection(address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            began = time.perf_counter()
            connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"Hello, World!\n"):
                answer += connection.recv(65536)
            took.append(time.perf_counter() - began)
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/pounce")
    parser.add_argument("--component", default="guests/build/hello.wasm")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    command = [options.binary, "serve", options.component, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        host, port = server.stdout.readline().split("//")[1].strip().rsplit(":", 1)
        of_cases, of_requests = [], []
        for _ in range(options.rounds):
            of_cases += cases(options.binary, options.component, options.count)
            of_requests += requests((host, int(port)), options.count)
    finally:
        server.terminate()
        server.wait()
    case, request = statistics.median(of_cases), statistics.median(of_requests)
    print(f"case {case * 1e3:.3f} ms, request over a socket {request * 1e3:.3f} ms: {case / request:.2f} times as long")


if __name__ == "__main__":
    main()
