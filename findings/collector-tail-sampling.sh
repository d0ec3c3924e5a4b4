#!/usr/bin/env bash
# Two spans of a millisecond each are a slow trace, and a 500 is no failure.
#
# Processor tail_sampling of the Collector's contrib 0.158.0, with the policies status_code (ERROR) and latency (500 ms): the
# latency of a trace goes from its first start to its last end, so that two quick spans 600 ms apart are kept as slow: work
# that follows a response, or the clocks of two hosts. A span with http.response.status_code 500, or with an exception event,
# is not kept unless its status is Error, too.
source "$(dirname "$0")/common.sh"

build_go collector-tail-sampling
expect "of five traces" "$("$program")" "kept: status Error; two of a millisecond, 600 apart"
