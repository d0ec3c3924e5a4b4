#!/usr/bin/env bash
# Behind a sampler, the Collector's sampler passes everything or nothing, unless both sides say the same.
#
# probabilistic_sampler 0.158.0 of the Collector's contrib parts, at 50 %, behind an SDK that has kept half of the traces by
# the specification's rule (the last 56 bits of the id):
# - in its default mode, hash_seed, it drops EVERY span whose tracestate says how it was sampled (`ot=th:8`), as newer SDKs
#   write it: "the threshold is in use". `fail_closed`, on by default, makes a drop of that error.
# - in the mode proportional it passes EVERY span that does not say so: it looks at the same bits of the id, and takes what
#   it gets for all there is. Of those that say so it passes half.
source "$(dirname "$0")/common.sh"

build_go collector-sampler
# seen MODE TRACESTATE
seen() {
  "$program" "$2" | sed -n "s/^$1: //p"
}
expect "hash_seed, spans without tracestate" "$(seen hash_seed "")" "1020 of 1958 pass"
expect "hash_seed, spans with ot=th:8" "$(seen hash_seed ot=th:8)" "0 of 1958 pass"
expect "proportional, spans without tracestate" "$(seen proportional "")" "1958 of 1958 pass"
expect "proportional, spans with ot=th:8" "$(seen proportional ot=th:8)" "952 of 1958 pass"
