#!/usr/bin/env bash
# The receiver says that it has thrown everything away, and nobody is told.
#
# OpenTelemetry Python 1.45.2, exporter of OTLP over HTTP: a 200 whose partial_success says that all spans were rejected, and
# why, counts as success. Nothing is logged about it, at any level. With the same answer
# the exporters of Go and JavaScript report an error, or warn.
source "$(dirname "$0")/common.sh"

python_with opentelemetry-exporter-otlp-proto-http==1.45.2 opentelemetry-sdk==1.45.2
cat >"$work/export.py" <<'PYTHON'
import http.server, logging, threading
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider

lines = []
class Keep(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())
logging.basicConfig(level=logging.DEBUG, handlers=[Keep()])

class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
        spans = sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)
        answer = ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = spans
        answer.partial_success.error_message = "over the quota"
        body = answer.SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

receiver = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
exporter = OTLPSpanExporter(f"http://127.0.0.1:{receiver.server_port}/v1/traces", compression=None)
span = TracerProvider().get_tracer("finding").start_span("work")
span.end()
result = exporter.export([span])
told = [line for line in lines if "reject" in line.lower() or "quota" in line.lower() or "partial" in line.lower()]
print(f"{result.name}, lines of the log about it: {len(told)}")
PYTHON
expect "all spans rejected, with a reason" "$("$python" "$work/export.py")" "SUCCESS, lines of the log about it: 0"
