#!/usr/bin/env bash
# scripts/viewer.sh (make test-viewer): checks the types of the trace viewer, tests its model in Node, and drives Chromium
# against the debug build of Pounce. POUNCE_VIEWER_SHOTS=DIR keeps pictures of every view.
set -euo pipefail

# shellcheck source=scripts/tools.sh
source "$(dirname "$0")/tools.sh"

viewer_packages
cd "$repository/tests/viewer"
# Modules are looked for beside the tests.
ln -sfn "$tool" node_modules
node_modules/.bin/tsc --project "$repository/src/admin/viewer/tsconfig.json"
node --test --test-reporter=spec model.test.mjs browser.test.mjs
