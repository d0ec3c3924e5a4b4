#!/usr/bin/env bash
# scripts/backend.sh: builds Jaeger, the tracing backend of tests/integration/backend.rs, from its published module into
# the cache of scripts/tools.sh; some 4 minutes, once per machine. Needs Go. Prints where the binary is.
set -euo pipefail

# shellcheck source=scripts/tools.sh
source "$(dirname "$0")/tools.sh"

# Also in tests/integration/backend.rs.
jaeger_version=1.76.0

jaeger() {
  tool=$cache/jaeger-$jaeger_version
  cached "$tool" "Jaeger $jaeger_version, a tracing backend (some 4 minutes)" build_jaeger
  tool=$tool/jaeger
}

# `go install` refuses modules with replace directives, and `go get` asks the checksum database for versions that it
# does not have: Jaeger's own go.sum, verified with the module, is the way round both.
build_jaeger() {
  local module=github.com/jaegertracing/jaeger source
  mkdir -p "$1/src"
  go mod download "$module@v$jaeger_version"
  source=$(go env GOMODCACHE)/$module@v$jaeger_version
  cp "$source/go.mod" "$source/go.sum" "$1/src/"
  chmod u+w "$1"/src/go.*
  (
    cd "$1/src"
    go mod edit -module=pounce-jaeger "-require=$module@v$jaeger_version"
    CGO_ENABLED=0 go build -mod=mod -p 2 -trimpath -ldflags '-s -w' -o ../jaeger "$module/cmd/all-in-one"
  )
  rm -r "$1/src"
}

jaeger
echo "$tool"
