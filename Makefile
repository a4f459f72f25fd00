# The front door. Each line can be pasted without make, too.
.DEFAULT_GOAL := help
.PHONY: help run build test lint deny fmt doc manifests shipped observability ci dev deps load load-cluster guarantees-load telemetry-load siege fuzz chaos simulate guarantees sync metrics screenshots

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## start StreamIt on http://127.0.0.1:8000, nothing else needed
	cargo run

build: ## compile every program, with optimisation
	cargo build --workspace --release

# The tests of the JavaScript client and of the watch page, and the simulator that runs on the client.
SCRIPTS = $(wildcard clients/javascript/test/*.test.js clients/javascript/sim/*.test.js services/api/tests/page/*.test.js)

test: ## run all tests, on a PostgreSQL and a Redis of their own, in Chromium and Node, behind real load balancers
	$(if $(SCRIPTS),.ci/deps node --test $(SCRIPTS))
	.ci/deps run --browser --balancers -- cargo test --workspace

lint: ## clippy and the rules on who may know whom; warnings are errors
	.ci/graph
	cargo clippy --workspace --all-targets -- -D warnings

deny: ## licences, versions and sources of all dependencies, and advisories where their database can be had
	.ci/deny

fmt: ## format the code
	cargo fmt --all

doc: ## build the documentation of the crates, and hold the papers to the code; a broken link is an error
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	.ci/papers

manifests: ## hold the Kubernetes manifests, images and compose file to the programs and to themselves
	.ci/manifests

shipped: ## the images, the compose file and the balancers, as far as can be known without a container engine
	.ci/shipped
	.ci/compose-run

observability: ## hold alerts, dashboards and runbooks to the metrics that there are, and see each alert fire and end
	.ci/observability

ci: ## everything that CI runs: format, lint, licences, documentation, what is shipped and watched, tests
	cargo fmt --all --check
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory deny
	$(MAKE) --no-print-directory shipped
	$(MAKE) --no-print-directory doc
	$(MAKE) --no-print-directory manifests
	$(MAKE) --no-print-directory observability
	$(MAKE) --no-print-directory test

dev: ## a cluster in one terminal, until Ctrl-C; Enter builds and starts it anew, data stays in data/dev
	.ci/dev

deps: ## start a PostgreSQL and a Redis to develop with, until Ctrl-C
	.ci/deps up

fuzz: ## make up frames, tokens and bodies for a minute each, and see what breaks: SECONDS=60, or RUNS=10000000
	.ci/fuzz --seconds $(or $(SECONDS),60) $(if $(RUNS),--runs $(RUNS))

chaos: ## mixed faults by many seeds: SEEDS=20 FROM=1 JOBS=1, again to go on, SEED=7 to see one again
	.ci/deps run -- cargo test -q -p streamit-e2e --test chaos -- --ignored --nocapture

simulate: ## 100,000 simulated evenings, ten minutes: SEEDS=100000 FROM=1
	STREAMIT_SEEDS=$(or $(SEEDS),100000) STREAMIT_FROM=$(or $(FROM),1) cargo test -q -p streamit-e2e --test simulation whatever -- --nocapture

guarantees: ## measure what is promised under faults, each as long as it is promised for; a line of figures for each
	STREAMIT_LONG_FAULTS=1 .ci/deps run -- cargo test -q -p streamit-e2e --test guarantees -- --include-ignored --nocapture

sync: ## measure how far two real browsers on two nodes are apart, three minutes; a line of figures for each promise
	STREAMIT_LONG_SYNC=1 .ci/deps run --browser -- cargo test -q -p streamit-e2e --test browser sync -- --nocapture

metrics: ## write docs/metrics.md anew, from what the code measures
	STREAMIT_WRITE_DOCS=1 cargo test -q -p streamit-e2e --test programs the_document

screenshots: ## take the pictures of the watch page in docs/screenshots anew
	STREAMIT_SCREENSHOTS=docs/screenshots .ci/deps run --browser -- cargo test -q -p streamit-e2e --test browser screenshots

load: ## measure memory per connection and fan-out latency of an optimised build
	.ci/load

load-cluster: ## the same of a cluster with two realtime nodes, on a PostgreSQL and a Redis of its own
	.ci/load-cluster

guarantees-load: ## hold an optimised cluster to what it promises under pressure: slow readers, storms, a killed node
	.ci/load-guarantees

telemetry-load: ## what telemetry costs a node, and what a collector does that swallows everything: ROUNDS=9
	.ci/load-telemetry

siege: ## the same under 5,000 slow handshakes and 1,000 people who flood: PAIRS=5
	.ci/load-siege
