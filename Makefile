# Everything a person does with this repository. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

SEN := target/release/sen
# What the tests need from Debian; npm and Cargo bring the rest by their lock files.
DEBIAN := mosquitto mosquitto-clients python3-paho-mqtt chromium victoria-metrics nats-server

.PHONY: help run build web test test-rust test-web test-browser apart kills lint bench check debian

help: ## List these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: build ## Build and start the whole centre with a simulated province
	@echo "Sen is starting; Ctrl-C stops it."
	$(SEN) run --simulate

build: web ## Build the screens and the release binary
	cargo build --release --locked -p sen

# The centre runs without Node too, with a plain page in place of the screens.
web: ## Build the screens into web/dist
	@if node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null && command -v npm >/dev/null; then \
	  cd web && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund; } && npm run build; \
	else \
	  echo "Node.js 20.19 or later is missing, so a plain page takes the place of the screens."; \
	  echo "To have the screens, install it (nodejs.org, or: sudo apt-get install -y nodejs npm where that is new enough), then: make run"; \
	fi

test: debian ## Install what the tests need, run every test, print counts
	tests/run

test-rust: ## Run the Rust tests only
	cargo build --workspace --locked
	cargo test --workspace --locked

test-web: ## Run the tests of the screens only
	cd web && npm run check && npm test

test-browser: web ## Run the stories in Chromium only
	tests/run browser

apart: ## Tell every story of the centre apart that makes sense there
	cargo build --workspace --locked
	cargo test --locked -p sen-tests --test apart --test scenarios-apart --test scenarios-apart-too

kills: ## Kill what runs apart at random, 30 times (SEN_KILLS, SEN_SEED)
	cargo build --workspace --locked
	cargo test --locked -p sen-tests --test apart kills -- --ignored --nocapture

lint: ## Formatting, clippy and types
	@cd web && { [ -d node_modules ] || npm ci --no-audit --no-fund; }
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cd web && npm run check

bench: build ## Measure (see docs/benchmarks.md)
	$(SEN) bench all

check: build ## Tell every mistake in config/
	$(SEN) check

debian:
	@tests/debian $(DEBIAN)
