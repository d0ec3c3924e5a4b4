#!/usr/bin/env bash
# hyper takes the content-length off a 304, and leaves it on the response to HEAD.
#
# Both have no body, and both may say how long that of the GET would be (RFC 9110 §8.6). Of hyper 1.12.0, HTTP/1.1, the
# response to HEAD with an empty body keeps the header that the handler has set; the 304 with an empty body loses it, without
# an error or a line in the log. A proxy that passes a 304 on cannot keep it by setting the header.
source "$(dirname "$0")/common.sh"

build_rust http-libraries
expect "content-length set by the handler" "$("$programs/hyper-304" | paste -sd, | sed 's/,/, /g')" \
  "HEAD /200: content-length: 5, GET /304: no content-length"
