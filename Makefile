# Commands for developers. Everything is installed into .venv and the user's cache folder.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The stamp's name has the hash of its inputs: a changed file makes a new environment, an incomplete one has no stamp.
STAMP := $(VENV)/.installed-$(shell cat requirements.txt requirements-dev.txt pyproject.toml 2>/dev/null | sha256sum | cut -c1-16)
FUZZ_VENV := .venv-fuzz
FUZZ_STAMP := $(FUZZ_VENV)/.installed-$(shell cat requirements-fuzz.txt 2>/dev/null | sha256sum | cut -c1-16)
MINUTES ?= 10
RELEASE_URL ?= https://example.com/releases
# What a packaged chart names, each left out while it is empty.
HOME_URL ?=
SOURCE_URL ?= $(HOME_URL)
DOCS_URL ?= $(if $(SOURCE_URL),$(SOURCE_URL)/blob/main/docs)
MAINTAINERS ?=
IMAGE ?=
LOCAL := PYTHONPATH=deploy/local $(BIN)/python -m localcluster
# End-to-end tests mostly wait: more processes than cores, each takes the longest remaining test. The isolated ones change
# the node or Prometheus for all, and run one after the other.
E2E_PROCESSES ?= 4
E2E_SHARED := tests/e2e -m "not alone" -n $(E2E_PROCESSES) --dist loadscope --no-loadscope-reorder --durations=15
E2E_ISOLATED := tests/e2e -m alone
E2E_IMAGES := env PYTHONPATH=.:examples/demo:deploy/local $(BIN)/python -m tests.e2e.images
# The quick tests. Tests that start subprocesses mostly wait, so more than two run in parallel on two cores.
UNIT := tests/unit
SLOW_UNIT := tests/property tests/scenario tests/contract
UNIT_SUBPROCESS := tests/unit/probe tests/unit/demo tests/unit/systems
UNIT_CPU := $(UNIT) $(UNIT_SUBPROCESS:%=--ignore=%)
DEMO := PYTHONPATH=examples/demo:deploy/local $(BIN)/python -m memroll_demo

.PHONY: help demo demo-down test check lint types layers language e2e e2e-durations compat bench bench-detect bench-probe bench-reads bench-roll bench-scale fuzz soak crds requirements dist chart cluster-up cluster-down cluster-status clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	@hack/venv "$(PYTHON)" "$(VENV)" "$(STAMP)"

demo: $(STAMP) ## set up a real cluster and watch memroll keep leaking services alive (SYSTEM=name: docs/systems.md, docs/langflow.md)
	@mkdir -p build
	@$(DEMO) run $(if $(SYSTEM),--system $(SYSTEM))

demo-down: $(STAMP) ## remove the demo and the local cluster
	@$(DEMO) down

check: $(STAMP) ## the quick checks: no root, no cluster, two minutes
	@env -u CI hack/parallel '$(MAKE) -s lint types layers' '$(BIN)/pytest -q $(UNIT_CPU)' \
	  '$(BIN)/pytest -q $(UNIT_SUBPROCESS)' $(SLOW_UNIT:%='$(BIN)/pytest -q %')

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP)
	@$(BIN)/mypy

layers: $(STAMP)
	@PYTHONPATH=probe $(BIN)/lint-imports --no-cache

language: $(STAMP) ## count forbidden openings, private words and duplicate class names (LIST=1: show each)
	@PYTHONPATH=. $(BIN)/python -m tests.language $(if $(LIST),--list)

# With the cluster up, every tool is installed: with CI=true a test that `check` may skip fails instead.
test: lint types layers ## everything, on a real cluster (or CLUSTER=current)
	@mkdir -p build
	@PYTHONPATH=.:deploy/local $(BIN)/python -m tests.contract.prometheus.build_servers >/dev/null
	@PYTHONPATH=.:deploy/local $(BIN)/python -m tests.contract.workflows.build_actionlint >/dev/null
	@CI=true hack/with-cluster hack/parallel '$(BIN)/pytest -q $(UNIT)' '$(BIN)/pytest -q $(SLOW_UNIT)' '$(E2E_IMAGES)' -- \
	  '$(BIN)/pytest -q $(E2E_SHARED) --keep-operator' -- '$(BIN)/pytest -q $(E2E_ISOLATED)'

e2e: $(STAMP) ## only the end-to-end tests
	@mkdir -p build
	@hack/with-cluster hack/parallel '$(BIN)/pytest -q $(E2E_SHARED) --keep-operator' -- '$(BIN)/pytest -q $(E2E_ISOLATED)'

e2e-durations: $(STAMP) ## the same, and record the duration of each test, by which tests are distributed over processes
	@mkdir -p build
	@hack/with-cluster hack/parallel '$(BIN)/pytest -q $(E2E_SHARED) --keep-operator --write-durations' -- \
	  '$(BIN)/pytest -q $(E2E_ISOLATED) --write-durations'

compat: $(STAMP) ## the end-to-end tests on another version of Kubernetes: KUBERNETES=1.30 (docs/compatibility.md)
	@test -n "$(KUBERNETES)" || { echo "set KUBERNETES, such as KUBERNETES=1.30; there are deploy/local/kubernetes-*" >&2; exit 2; }
	@MEMROLL_KUBERNETES="$(KUBERNETES)" $(MAKE) -s e2e

bench: $(STAMP) ## the benchmarks
	@PYTHONPATH=operator $(BIN)/python tests/bench/assess.py

bench-detect: $(STAMP) ## compare the detector with simpler rules, on labelled traces (ONLY=set, SIZE=full, SENSITIVITY=1; TRACES=DIR: recorded ones, too)
	@PYTHONPATH=.:operator $(BIN)/python -m tests.bench.detect

bench-probe: $(STAMP) ## the cost of the probe for a service
	@PYTHONPATH=.:probe $(BIN)/python -m tests.bench.probe

bench-reads: $(STAMP) ## what a policy costs its Prometheus, by kind of container (SCRAPES=30,60; JSON=file)
	@PYTHONPATH=.:operator:deploy/local $(BIN)/python -m tests.bench.reads

bench-roll: $(STAMP) ## compare a roll with plain eviction and rollout restart, on a real cluster
	@mkdir -p build
	@PYTHONPATH=.:operator:examples/demo:deploy/local hack/with-cluster $(BIN)/python -m tests.bench.roll

SCALE_ARGUMENTS = $(if $(SIZE),--size $(SIZE)) $(if $(SUSPECTS),--suspects $(SUSPECTS)) $(if $(MONDAY),--monday) \
  $(if $(ROLLS),--rolls $(ROLLS)) $(if $(ONE_POLICY),--one-policy) $(if $(INTERVAL),--interval $(INTERVAL)) \
  $(if $(INTERVALS),--intervals $(INTERVALS)) $(if $(SCRAPE),--scrape $(SCRAPE)) $(if $(MEMORY),--memory $(MEMORY)) \
  $(if $(PEER),--peer $(PEER)) $(if $(JSON),--json $(JSON))

bench-scale: $(STAMP) ## one operator for SIZE pods, on a control plane of its own (docs/scale.md)
	@PYTHONPATH=.:operator:deploy/local $(BIN)/python -m tests.bench.scale $(SCALE_ARGUMENTS)

$(FUZZ_STAMP): requirements-fuzz.txt
	@hack/venv "$(PYTHON)" "$(FUZZ_VENV)" "$(FUZZ_STAMP)" requirements-fuzz.txt

fuzz: $(FUZZ_STAMP) ## fuzz the readers of everything that a tenant can write (MINUTES=n in total, ONLY=target)
	@PYTHONPATH=.:operator $(FUZZ_VENV)/bin/python -m tests.fuzz --minutes $(MINUTES) $(ONLY)

soak: $(STAMP) ## hundreds of rolls, then faults, then the real systems, on a real cluster (two hours; ONLY=name, ROLLS=n)
	@mkdir -p build
	@PYTHONPATH=.:operator:examples/demo:deploy/local hack/with-cluster $(BIN)/python -m tests.soak $(if $(ONLY),--only $(ONLY)) $(if $(ROLLS),--rolls $(ROLLS))
	@$(if $(ONLY),,PYTHONPATH=.:operator:examples/demo:deploy/local hack/with-cluster $(BIN)/python -m tests.faults)
	@$(if $(ONLY),,PYTHONPATH=examples/demo:deploy/local hack/with-cluster $(BIN)/python -m memroll_demo run --system langflow)
	@$(if $(ONLY),,PYTHONPATH=examples/demo:deploy/local hack/with-cluster $(BIN)/python -m memroll_demo run --system chatchat)

crds: $(STAMP) ## generate the CRDs and docs/api.md from the models
	@PYTHONPATH=operator $(BIN)/python -m memroll crds --write deploy/crds
	@PYTHONPATH=operator $(BIN)/python -m memroll crds --write deploy/helm/memroll/files/crds
	@PYTHONPATH=operator $(BIN)/python hack/api-reference

requirements: $(STAMP) ## pin all dependencies again, by hash and without an index
	@hack/pin $(BIN)

dist: $(STAMP) ## the files of a release, in dist/ (ONLY=wheel|command|chart|image|sbom, PYTHON=..., BASE=..., IMAGE=..., RELEASE_URL=..., TAG=...)
	@PYTHONPATH=deploy/release:deploy/local $(BIN)/python -m memroll_release --only "$(ONLY)" --tag "$(TAG)" \
	  --python "$(PYTHON)" --base "$(BASE)" --image "$(IMAGE)" --release-url "$(RELEASE_URL)"

chart: $(STAMP) ## the packaged chart in dist/ (HOME_URL, SOURCE_URL, DOCS_URL, MAINTAINERS="Name <email>, ...", IMAGE)
	@$(BIN)/python deploy/helm/package.py dist --home "$(HOME_URL)" --source "$(SOURCE_URL)" --docs "$(DOCS_URL)" \
	  --maintainers "$(MAINTAINERS)" --image "$(IMAGE)"

cluster-up: $(STAMP) ## start the local one-node cluster
	@$(LOCAL) up

cluster-down: $(STAMP) ## stop it and remove everything that it put on the machine
	@$(LOCAL) down

cluster-status: $(STAMP)
	@$(LOCAL) status

clean: ## remove the virtual environments, build and dist (caches and the cluster stay)
	@rm -rf $(VENV) $(FUZZ_VENV) build dist
