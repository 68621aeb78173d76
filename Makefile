# Every target sets up what it needs in .venv/ and target/; a second run rebuilds nothing.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

# A fresh rustup is not on the PATH until the next login.
export PATH := $(PATH):$(HOME)/.cargo/bin
PYTHON ?= $(firstword $(foreach it,python3 python3.14 python3.13 python3.12 python3.11,\
  $(shell $(it) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(it))))
RUST_MIN := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
PYTHON_FITS = $(and $(PYTHON),$(shell $(PYTHON) -c \
  'import sys, ensurepip, venv; print("yes" if sys.version_info >= (3, 11) else "")' 2>/dev/null))
# Old makes do not export PATH to $(shell).
SHELL_PATH = PATH='$(PATH)'
RUST_FOUND = $(and $(shell $(SHELL_PATH) cargo --version 2>/dev/null),\
  $(word 2,$(shell $(SHELL_PATH) rustc --version 2>/dev/null)))
RUST_FITS = $(and $(RUST_FOUND),$(filter $(RUST_MIN),$(firstword \
  $(shell printf '%s\n' $(RUST_MIN) $(RUST_FOUND) | sort -V))))

VENV := .venv
BIN := $(VENV)/bin
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# One interpreter for every cargo call: PyO3's build script reruns when it changes.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

DEPS := $(VENV)/.deps
PROTO := python/spanmill/v1/.generated
CORE := $(VENV)/.core
PEERS := $(VENV)/.peers
PROTO_SOURCES := $(wildcard proto/spanmill/v1/*.proto)
RUST_SOURCES := $(shell find rust -name target -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print) \
  Cargo.toml Cargo.lock $(wildcard rust-toolchain.toml .cargo/config.toml)

# The heap as the daemon has it (python/spanmill/allocator.py): a question's scratch of some
# megabytes is not mapped afresh each time, which costs as much again as the merge.
KEEPS_BLOCKS := MALLOC_MMAP_THRESHOLD_=33554432 MALLOC_TRIM_THRESHOLD_=134217728

.PHONY: help demo test test-peers sim kill bench bench-memory bench-query bench-digest lint docs lock clean toolchain lint-tools

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(CORE) $(PROTO) ## build, play one hour of a fleet's traffic, show what spanmill makes of it
	$(BIN)/spanmill demo

test: lint $(CORE) $(PROTO) ## lint, then every test that needs nothing beyond Python and Rust
	cargo test --locked --workspace --exclude spanmill-py -- --quiet
	$(BIN)/python -m pytest

test-peers: $(CORE) $(PROTO) $(PEERS) ## tests against peers: other engines, other toolchains, long fuzzing
	$(BIN)/python -m pytest tests/peers

sim: toolchain ## the simulator over 10,000 seeds, or SEEDS=n; SEED=n runs one again and shows what led to it
	cargo run --locked --release --quiet --package spanmill-core --example sim -- \
	  $(if $(SEED),--seed $(SEED),$(or $(SEEDS),10000))

kill: $(CORE) $(PROTO) ## kill -9 a daemon under load at 50 random instants
	SPANMILL_KILLS=50 $(BIN)/python -m pytest tests/e2e/test_kill.py

bench: $(CORE) $(PROTO) ## run the named scenarios and keep the figures in bench/runs/
	$(BIN)/python -m bench

bench-digest: $(CORE) $(PROTO) $(PEERS) ## our digest against its peers: error, bytes, speed; kept in bench/runs/
	$(BIN)/python -m bench.digest

bench-memory: toolchain ## a million series in a budget, ten times the load, a billion events; JSON lines
	cargo build --locked --release --package spanmill-core --example bench_memory
	for scenario in cardinality 'load --series 4 --rate 500' 'load --series 4 --rate 5000' soak; do \
	  target/release/examples/bench_memory $$scenario || exit 1; done

bench-query: toolchain ## seven quantiles over up to 576,000 centroids beside full ingest; JSON lines
	$(KEEPS_BLOCKS) cargo run --locked --release --quiet --package spanmill-core --example bench_query

lint: lint-tools $(CORE) $(PROTO) ## ruff, mypy, stubtest, rustfmt and clippy; warnings are errors
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy python
	$(BIN)/python -m mypy.stubtest spanmill._core
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings

docs: $(CORE) $(PROTO) ## write the generated pages of docs/ again
	$(BIN)/python -m docs.generate

lock: $(DEPS) ## resolve requirements/*.in again, for every platform, with hashes
	$(BIN)/python -m pip install --quiet uv
	cd requirements && for name in runtime dev peers; do \
	  ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --custom-compile-command 'make lock' $$name.in --output-file $$name.txt \
	  || exit 1; done

clean: ## remove everything that make set up
	rm -rf $(VENV) target python/spanmill/v1 python/spanmill/*.so
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find python tests bench -name __pycache__ -prune -exec rm -rf {} +

$(DEPS): requirements/dev.txt | toolchain
	$(if $(PYTHON_FITS),,$(error spanmill needs Python 3.11 or newer with its venv module: install it \
	(Debian: python3 and python3-venv), or name one with make PYTHON=/path/to/python3))
	@echo 'installing the packages of requirements/dev.txt into $(VENV)/'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --requirement requirements/dev.txt
	@touch $@

# What cannot be installed is left out; the stamp says why, and so does the bench.
$(PEERS): requirements/peers.txt bench/digest/install.py $(DEPS)
	@echo 'installing the packages of requirements/peers.txt into $(VENV)/'
	@$(BIN)/python -m bench.digest.install $@

$(PROTO): $(PROTO_SOURCES) $(DEPS)
	$(BIN)/python -m grpc_tools.protoc --proto_path=proto --python_out=python --pyi_out=python \
	  $(PROTO_SOURCES)
	@touch $@

$(CORE): $(RUST_SOURCES) pyproject.toml $(DEPS) | toolchain
	PIP_QUIET=1 $(BIN)/maturin develop --release --locked
	@touch $@

toolchain:
	$(if $(RUST_FITS),,$(error spanmill needs Rust $(RUST_MIN) or newer with cargo, found \
	$(or $(RUST_FOUND),none): install it with rustup, or the packages rustc and cargo))

lint-tools: toolchain
	$(if $(and $(shell $(SHELL_PATH) cargo fmt --version 2>/dev/null),\
	$(shell $(SHELL_PATH) cargo clippy --version 2>/dev/null)),,\
	$(error make lint needs rustfmt and clippy: rustup component add rustfmt clippy))
