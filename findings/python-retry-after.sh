#!/usr/bin/env bash
# A receiver that asks for a little too much time gets nothing.
#
# OpenTelemetry Python 1.45.2, exporter of OTLP over HTTP: a 503 with a Retry-After that is longer than the exporter's
# timeout (10 s unless set) ends the export at once: one attempt, and the spans are gone, although the receiver has said when
# it will take them. The timeout is not that of an attempt but of all of them, waits included.
source "$(dirname "$0")/common.sh"

python_with opentelemetry-exporter-otlp-proto-http==1.45.2 opentelemetry-sdk==1.45.2
cat >"$work/export.py" <<'PYTHON'
import http.server, logging, sys, threading, time
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider

logging.disable(logging.CRITICAL)
retry_after, timeout = sys.argv[1], float(sys.argv[2])
attempts = 0

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        global attempts
        attempts += 1
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(503 if attempts == 1 else 200)
        self.send_header("Retry-After", retry_after)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

receiver = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
exporter = OTLPSpanExporter(f"http://127.0.0.1:{receiver.server_port}/v1/traces", timeout=timeout)
tracer = TracerProvider().get_tracer("finding")
span = tracer.start_span("work")
span.end()
begin = time.monotonic()
result = exporter.export([span])
waited = "waited" if time.monotonic() - begin > 0.9 else "at once"
print(f"{result.name}, attempts: {attempts}, {waited}")
PYTHON
expect "Retry-After: 1, timeout 10 s" "$("$python" "$work/export.py" 1 10)" "SUCCESS, attempts: 2, waited"
expect "Retry-After: 3, timeout 2 s" "$("$python" "$work/export.py" 3 2)" "FAILURE, attempts: 1, at once"
