#!/usr/bin/env bash
# Two spans of one process, and Jaeger mends the clock between them.
#
# Jaeger 1.76.0 with --query.max-clock-skew-adjustment=1s: a shorter child that begins after its parent has ended is moved
# into it, although both spans are of one resource with the same host.name, host.id and service.instance.id. What Jaeger tells hosts apart by
# is the resource attribute `ip` alone: with it, the same spans stay where they are.
#
# Builds Jaeger first where the tests have not yet (2 to 6 minutes).
source "$(dirname "$0")/common.sh"

jaeger
free_ports 7
query=${ports[2]}
OTEL_TRACES_SAMPLER=always_off "$tool" \
  --query.max-clock-skew-adjustment=1s \
  "--collector.otlp.http.host-port=127.0.0.1:${ports[0]}" "--collector.otlp.grpc.host-port=127.0.0.1:${ports[1]}" \
  "--query.http-server.host-port=127.0.0.1:$query" "--query.grpc-server.host-port=127.0.0.1:${ports[3]}" \
  "--admin.http.host-port=127.0.0.1:${ports[4]}" "--collector.grpc-server.host-port=127.0.0.1:${ports[5]}" \
  "--collector.http-server.host-port=127.0.0.1:${ports[6]}" >"$work/log" 2>&1 &
children+=($!)

cat >"$work/ask.py" <<'PYTHON'
import json, sys, time, urllib.error, urllib.request

otlp, query, trace, ip = sys.argv[1:]
start = time.time_ns() - 10**9
def attribute(key, value):
    return {"key": key, "value": {"stringValue": value}}
def span(id, parent, begins, ends, kind):
    return {"traceId": trace, "spanId": id, "parentSpanId": parent, "name": id, "kind": kind,
            "startTimeUnixNano": str(start + begins * 10**6), "endTimeUnixNano": str(start + ends * 10**6)}
resource = [attribute("service.name", "shop"), attribute("host.name", "rome"), attribute("host.id", "7"),
            attribute("service.instance.id", "1")] + ([attribute("ip", "10.0.0.7")] if ip == "ip" else [])
# The response has been sent after 40 ms; work that takes 20 follows it at 100.
spans = [span("00000000000000aa", "", 0, 40, 2), span("00000000000000bb", "00000000000000aa", 100, 120, 1)]
body = json.dumps({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [{"spans": spans}]}]})
request = urllib.request.Request(f"http://127.0.0.1:{otlp}/v1/traces", body.encode(), {"content-type": "application/json"})
def again(attempt):
    deadline = time.monotonic() + 30
    while True:
        try:
            return attempt()
        except (OSError, LookupError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
again(lambda: urllib.request.urlopen(request).read())
def stored():
    with urllib.request.urlopen(f"http://127.0.0.1:{query}/api/traces/{trace}") as answer:
        spans = {span["spanID"]: span for span in json.load(answer)["data"][0]["spans"]}
    return spans["00000000000000aa"], spans["00000000000000bb"]
parent, child = again(stored)
print((child["startTime"] - parent["startTime"]) // 1000, "ms;", *(child["warnings"] or ["no warning"]))
PYTHON
ask() {
  python3 "$work/ask.py" "${ports[0]}" "$query" "$@"
}
expect "a child that begins 100 ms after its parent, of the same process" \
  "$(ask 0af7651916cd43dd8448eb211c803101 none)" "10 ms; This span's timestamps were adjusted by -90ms"
expect "the same with the resource attribute ip" "$(ask 0af7651916cd43dd8448eb211c803102 ip)" "100 ms; no warning"
