#!/usr/bin/env bash
# With `half_close`, hyper does not notice that a client has reset the connection until it writes the response.
#
# A client of HTTP/1.1 may close its sending half after the request and wait for the response; hyper 1.12.0 drops such a
# request unless `http1::Builder::half_close(true)` is set. One would expect that a reset (both halves are gone) still ends
# the request, as it does without the option. It does not: with it, hyper looks at the socket no more while the handler
# works, and the handler runs to its end for nobody.
source "$(dirname "$0")/common.sh"

build_rust http-libraries
expect "reset, without half_close: the request is let go" "$("$programs/hyper-half-close")" "at the reset"
expect "reset, with half_close: the request is let go" "$("$programs/hyper-half-close" half-close)" "when it was done"
