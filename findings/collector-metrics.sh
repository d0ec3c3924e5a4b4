#!/usr/bin/env bash
# Three metrics that say other than what came in, and no word of it.
#
# Parts of the Collector's contrib 0.158.0:
# - connector span_metrics counts a span as many times as the threshold in its tracestate says (`ot=th:8`: twice, `ot=th:c`:
#   four times), and no attribute of the metric says so.
# - connector service_graph makes of a call to a host without spans an edge to the node "unknown", whatever server.address and
#   net.peer.name say; peer.service alone is looked at by default.
# - exporter prometheus_remote_write drops a delta sum that comes beside a gauge: no error, and no line of its log at info or
#   above.
source "$(dirname "$0")/common.sh"

build_go collector-metrics
"$program" >"$work/out"
seen() {
  grep "^$1: " "$work/out" | cut -d: -f2- | sed 's/^ //'
}
expect "span_metrics, calls" "$(seen span_metrics)" "of a half: 2, of a quarter: 4, plain: 1"
expect "service_graph by server.address" "$(seen 'service_graph, server.address')" "shop -> unknown: 1"
expect "service_graph by net.peer.name" "$(seen 'service_graph, net.peer.name')" "shop -> unknown: 1"
expect "service_graph by peer.service" "$(seen 'service_graph, peer.service')" "shop -> orders: 1"
expect "prometheus_remote_write of a gauge and a delta sum" "$(seen prometheus_remote_write)" \
  "arrived: temperature; error: <nil>; said: starting prometheus remote write exporter"
