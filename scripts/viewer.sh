#!/usr/bin/env bash
# scripts/viewer.sh (make test-viewer): checks types and format of the trace viewer, tests its model in Node, and drives Chromium
# against the debug build of Pounce. POUNCE_VIEWER_SHOTS=DIR keeps pictures of every view. `viewer.sh zipkin` (make
# bench-viewer) times a trace of 10,000 spans in the viewer of the release build and in Zipkin's instead, `viewer.sh picture`
# (make picture) takes docs/viewer.png.
set -euo pipefail

# shellcheck source=scripts/tools.sh
source "$(dirname "$0")/tools.sh"

viewer_packages
cd "$repository/tests/viewer"
# Modules are looked for beside the tests.
ln -sfn "$tool" node_modules
if [ "${1:-}" = zipkin ]; then
  zipkin
  ZIPKIN=$tool POUNCE_BINARY=${POUNCE_BINARY:-$repository/target/release/pounce} exec node zipkin.mjs
fi
if [ "${1:-}" = picture ]; then
  exec node picture.mjs
fi
node_modules/.bin/tsc --project "$repository/src/admin/viewer/tsconfig.json"
node_modules/.bin/prettier --print-width 110 --log-level warn --check "$repository/src/admin/viewer/**/*.{js,ts,json}" ./*.mjs
node --test --test-reporter=spec model.test.mjs browser.test.mjs
