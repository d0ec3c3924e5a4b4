#!/usr/bin/env bash
# The name of a span is not what Datadog calls it.
#
# Datadog's own translation of OTLP (datadog-agent, pkg/trace 0.83.3): of a SERVER span that is called "GET /items/7" the
# resource, by which its pages are sorted, is "GET", together with all other GETs of the service. What counts is the
# attribute http.route, or resource.name.
source "$(dirname "$0")/common.sh"

build_go datadog-names
"$program" >"$work/out"
expect "without a route" "$(sed -n 1p "$work/out")" "map[]: operation http.server.request, resource GET"
expect "with a route" "$(sed -n 2p "$work/out")" \
  "map[http.route:/items/{id}]: operation http.server.request, resource GET /items/{id}"
expect "with resource.name" "$(sed -n 3p "$work/out")" \
  "map[resource.name:read an item]: operation http.server.request, resource read an item"
