#!/usr/bin/env bash
# A server that drops the body of one upload loses the whole connection, with every other stream on it.
#
# h2 0.4.20 bounds the small DATA frames that wait for their reader: each below 256 bytes takes what it lacks of that from a
# budget of the connection, and gives it back when it is read (default: 128 frames; `data_frame_budget` of the builders). The
# frames of a stream whose `RecvStream` has been dropped are thrown away at once and wait for nobody, but they take of the
# budget as well, and what they took is never given back. So a client that goes on uploading in small frames to a handler
# that has let go of the body gets GOAWAY after the 129th of them, however slowly they come; a server that reads and ignores
# them loses nothing.
source "$(dirname "$0")/common.sh"

build_rust http-libraries
expect "1,000 frames of a byte, read" "$("$programs/h2-small-frames" read)" "the connection goes on"
expect "1,000 frames of a byte, body dropped" "$("$programs/h2-small-frames")" \
  'connection error received: detected excessive load generating behavior (b"too_many_data_frames")'
