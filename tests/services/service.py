"""A service that is not ours, traced by the stock OpenTelemetry SDK: one end of the chain in backend.rs.

service.py call URL BODY    in a span `checkout`, POSTs BODY to URL, the context in its headers; prints the trace id
service.py serve            answers POSTs, each in a span `reserve` under the caller's; prints its port first

OTEL_SERVICE_NAME and OTEL_EXPORTER_OTLP_ENDPOINT are read by the SDK.
"""

import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("service.py")


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        parent = propagate.extract(dict(self.headers.items()))
        with tracer.start_as_current_span("reserve", context=parent, kind=trace.SpanKind.SERVER):
            self.read_body()
        self.send_response(204)
        self.end_headers()

    def read_body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            self.rfile.read(int(self.headers.get("content-length", 0)))
            return
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + 2)
        self.rfile.readline()

    def log_message(self, *_):
        pass


def call(url, body):
    with tracer.start_as_current_span("checkout", kind=trace.SpanKind.CLIENT) as span:
        headers = {"content-type": "application/json"}
        propagate.inject(headers)
        request = urllib.request.Request(url, body.encode(), headers, method="POST")
        with urllib.request.urlopen(request) as response:
            answer = response.read().decode()
        print(f"{span.get_span_context().trace_id:032x} {answer}")


def serve():
    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if sys.argv[1] == "call":
    call(*sys.argv[2:])
else:
    serve()
provider.shutdown()
