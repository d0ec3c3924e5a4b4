#!/usr/bin/env bash
# One delta in a request costs the gauges beside it as well.
#
# Prometheus 3.13.2 (module v0.313.2), its OTLP receiver over its own database, as it is configured by default: a request
# with a gauge and a delta sum, both valid OTLP, is answered 500, and of the gauge, which comes first and needs no
# temporality, nothing is stored. With a cumulative sum both are.
#
# Two minutes the first time, most of it compiling Prometheus.
source "$(dirname "$0")/common.sh"

build_go prometheus-delta
"$program" >"$work/out"
expect "a gauge and a cumulative sum" "$(grep ^Cumulative "$work/out")" \
  'Cumulative: 200 ; stored: orders_total, temperature'
expect "a gauge and a delta sum" "$(grep ^Delta "$work/out")" \
  'Delta: 500 invalid temporality and type combination for metric "orders"; stored: nothing'
