# The targets that contributors, CI and the README use; `make help` lists them.

CARGO ?= cargo
HELLO := guests/prebuilt/hello.wasm

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Build Pounce and serve the prebuilt hello, each trace a tree on the terminal
	$(CARGO) run --quiet -- serve $(HELLO) --otel-exporter console

.PHONY: setup
setup: ## Install what the tests need and this machine lacks; says what
	scripts/setup.sh

.PHONY: guests
guests: ## Build every guest from source into guests/build
	guests/build.sh

.PHONY: test
test: setup guests ## Install what is missing, then run all tests
	guests/foreign.sh
	$(CARGO) test

.PHONY: test-foreign
test-foreign: guests ## Build applications in the frameworks of others (guests/foreign) by their own tools, and test that they are served
	scripts/setup.sh foreign
	guests/foreign.sh
	guests/foreign/build.sh
	$(CARGO) test --test integration -- foreign:: --include-ignored

.PHONY: soak
soak: guests ## 60 s at full load with traps, clients that leave and slow readers, per version of wasi:http
	POUNCE_SOAK=60 $(CARGO) test --test integration -- soak --nocapture

.PHONY: edge
edge: guests ## 30 minutes (POUNCE_EDGE=…) at 70 % load behind TLS, with traps, outages, reloads and new certificates
	POUNCE_EDGE=$(or $(POUNCE_EDGE),1800) $(CARGO) test --test integration -- edge:: --nocapture

.PHONY: identity
identity: guests ## 10 minutes of interleaved requests with random seeds: nothing on the wrong trace
	POUNCE_IDENTITY=600 $(CARGO) test --test integration -- identity::soak --nocapture

.PHONY: floods
floods: guests ## 30 s of each flood by one client (POUNCE_FLOODS=…, POUNCE_FLOODS_ONLY=…): others' answers and p99, memory
	POUNCE_FLOODS=$(or $(POUNCE_FLOODS),30) $(CARGO) test --test integration -- floods:: --nocapture --test-threads 1

.PHONY: hostile-cache
hostile-cache: guests ## 200 changed cache files and artifacts, 200 killed servers (POUNCE_HOSTILE_CACHE=…), per version of wasi:http
	POUNCE_HOSTILE_CACHE=$(or $(POUNCE_HOSTILE_CACHE),200) $(CARGO) test --test integration -- compiled::hostile

.PHONY: receivers
receivers: guests ## Serving beside receivers that fail in each way, 20 s each (POUNCE_RECEIVERS=…): throughput, p99, memory
	POUNCE_RECEIVERS=$(or $(POUNCE_RECEIVERS),20) $(CARGO) test --test integration -- backend::failing --nocapture

.PHONY: wasi-testsuite
wasi-testsuite: ## Run the wasi:http components of a checkout of WebAssembly/wasi-testsuite (prod/testsuite-base): SUITE=…
	$(CARGO) build --quiet
	scripts/wasi-testsuite.py $(or $(SUITE),$(error SUITE=… names the checkout))

.PHONY: w3c
w3c: guests ## Run the test suite of W3C Trace Context from a checkout of w3c/trace-context: SUITE=…
	$(CARGO) build --quiet
	scripts/w3c.sh $(or $(SUITE),$(error SUITE=… names the checkout))

.PHONY: newcomer
newcomer: ## Play somebody's first minutes with `pounce dev`, from an empty folder to a mended guest, and tell how long each step took
	$(CARGO) build --quiet
	scripts/newcomer.py

.PHONY: kits
kits: ## Play somebody who writes a first guest, in each language (KITS='rust js python'): new, build, serve, trace, test
	$(CARGO) build --quiet
	scripts/kits.py $(KITS)

.PHONY: dev-suites
dev-suites: guests ## What `pounce serve` promises, under `pounce dev`: trace context, identity, hostile guests
	POUNCE_TEST_COMMAND=dev $(CARGO) test --test integration -- propagation:: identity:: hostile:: isolation:: neighbours::

.PHONY: fuzz
fuzz: ## Fuzz the parsers of headers, settings, variables and case files, 60 s each (FUZZ_SECONDS=…); needs a C++ compiler
	scripts/fuzz.sh $(or $(FUZZ_SECONDS),60)

.PHONY: test-viewer
test-viewer: guests ## Check the types of the trace viewer, test its model in Node and all of it in Chromium
	$(CARGO) build --quiet
	scripts/viewer.sh

.PHONY: picture
picture: guests ## Take docs/viewer.png, the picture of the viewer, in Chromium
	$(CARGO) build --quiet
	scripts/viewer.sh picture

.PHONY: docs
docs: ## Make a site of docs/ in target/docs, and check its links; the first time builds mdBook (2 to 6 minutes)
	scripts/docs.py

.PHONY: bench-viewer
bench-viewer: guests ## Time a trace of 10,000 spans in the viewer, beside Zipkin's UI (needs Java and Maven)
	$(CARGO) build --release --quiet
	scripts/viewer.sh zipkin

# rustdoc with the examples, so that dependencies have the features that they have in tests, and are not built once more.
.PHONY: lint
lint: ## Check format, clippy and rustdoc (warnings are errors), shell scripts, and dependencies where cargo-deny is installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets --quiet -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' $(CARGO) doc --no-deps --lib --examples --quiet
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(MAKE) --no-print-directory deny; \
	else echo 'not checked: dependencies, for want of cargo-deny (cargo install cargo-deny)'; fi
	for script in scripts/*.sh guests/*.sh guests/foreign/*.sh findings/*.sh .ci/run; do bash -n $$script || exit 1; done

.PHONY: deny
deny: ## Check licences, bans and sources of dependencies (needs cargo-deny)
	$(CARGO) deny check licenses bans sources

.PHONY: bench
bench: guests ## Time spans and guests' telemetry calls, then serving, beside bare hyper (ROUNDS=5)
	$(CARGO) bench
	benches/serve.py --rounds $(or $(ROUNDS),5)

.PHONY: bench-peers
bench-peers: guests ## Serving beside wasmtime serve 48 and 49, which it installs from PyPI; writes docs/performance.md (ROUNDS=5)
	guests/foreign.sh
	benches/serve.py --peers --rounds $(or $(ROUNDS),5) --report

.PHONY: instructions
instructions: ## Count the instructions of telemetry for a request; fails on 3 % more than are kept (BLESS=1 keeps them)
	$(CARGO) bench --package pounce-telemetry --bench instructions -- --check

.PHONY: bench-start
bench-start: guests ## Time starts and measure memory of hello, JavaScript and Python, beside wasmtime serve (WASMTIME=…)
	guests/foreign.sh
	benches/start.py

.PHONY: bench-cases
bench-cases: guests ## Time a case of pounce test beside the same request over a socket
	$(CARGO) build --release --quiet
	benches/cases.py

.PHONY: bench-otlp
bench-otlp: ## Compare CPU and allocations per span of pounce-otlp with those of the stock OpenTelemetry pipeline
	$(CARGO) run --release --package pounce-otlp-bench

.PHONY: profile
profile: guests ## Profile a server under load into target/profile, for make dist (a quarter of an hour)
	guests/foreign.sh
	scripts/pgo.py

.PHONY: dist
dist: guests ## Build what is released, by that profile, and pack it into target/dist (half an hour)
	guests/foreign.sh
	scripts/dist.py

.PHONY: bless
bless: ## Rewrite what is made from the code: the help, pounce.example.toml, docs/configuration.md, docs/metrics.md, the losses
	BLESS=1 $(CARGO) test --lib -- committed

.PHONY: ci
ci: lint test test-viewer instructions ## What CI runs
