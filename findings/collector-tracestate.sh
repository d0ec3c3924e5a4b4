#!/usr/bin/env bash
# A tracestate as long as W3C allows, and the Collector's sampler drops the span.
#
# probabilistic_sampler 0.158.0 of the Collector's contrib parts reads a span's tracestate by pkg/sampling, which takes 31
# members at most, where W3C Trace Context allows 32, and 1,024 bytes, where it sets no limit but that of each member (a list
# of 32 may have 16 KiB). What it cannot read is an error, and `fail_closed`, on by default, makes a drop of that: in every
# mode, and although none of the members is OpenTelemetry's own. With `fail_closed: false` it passes every such span.
source "$(dirname "$0")/common.sh"

build_go collector-sampler
# seen MODE TRACESTATE
seen() {
  "$program" "$2" | sed -n "s/^$1: //p"
}
# members N: a tracestate of so many members.
members() {
  seq -s, -f "vendor%g=x" "$1"
}
# bytes N: one of four members and so many bytes.
bytes() {
  printf 'a=%0256d,' 1
  printf 'b=%0256d,' 1
  printf 'c=%0256d,' 1
  printf "d=%0$(($1 - 3 * 259 - 2))d" 1
}
for mode in hash_seed proportional; do
  some=$(seen $mode "")
  expect "$mode, 31 members" "$(seen $mode "$(members 31)")" "$some"
  expect "$mode, 32 members" "$(seen $mode "$(members 32)")" "0 of 1958 pass"
  expect "$mode, 32 members, fail_closed: false" "$(seen "$mode, fail open" "$(members 32)")" "1958 of 1958 pass"
  expect "$mode, 1,024 bytes" "$(seen $mode "$(bytes 1024)")" "$some"
  expect "$mode, 1,025 bytes" "$(seen $mode "$(bytes 1025)")" "0 of 1958 pass"
done
