# What a person types. Everything installs itself into .venv and the user's cache folder.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The stamp's name is the content it was made from: a changed file makes a new environment, a half-made one has none.
STAMP := $(VENV)/.installed-$(shell cat requirements.txt requirements-dev.txt pyproject.toml 2>/dev/null | sha256sum | cut -c1-16)
LOCAL := PYTHONPATH=deploy/local $(BIN)/python -m localcluster
# End-to-end tests mostly wait: more processes than cores, each with the next longest of what is left.
PROCESSES ?= 4
TOGETHER := tests/e2e -m "not alone" -n $(PROCESSES) --dist loadscope --no-loadscope-reorder --durations=15
ALONE := tests/e2e -m alone
IMAGES := env PYTHONPATH=.:examples/demo:deploy/local $(BIN)/python -m tests.e2e.images
# The quick tests. Those that start processes mostly wait for them, so that on two cores more lines than two are quicker.
UNIT := tests/unit
WIDER := tests/property tests/scenario tests/contract
STARTING := tests/unit/probe tests/unit/demo tests/unit/systems
COMPUTING := $(UNIT) $(STARTING:%=--ignore=%)
DEMO := PYTHONPATH=examples/demo:deploy/local $(BIN)/python -m memroll_demo

.PHONY: help demo demo-down test check lint types layers e2e e2e-durations bench bench-detect bench-probe bench-roll soak crds requirements cluster-up cluster-down cluster-status clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	@hack/venv "$(PYTHON)" "$(VENV)" "$(STAMP)"

demo: $(STAMP) ## set up a real cluster and watch memroll keep leaking services alive (SYSTEM=name: docs/systems.md, docs/langflow.md)
	@mkdir -p build
	@$(DEMO) run $(if $(SYSTEM),--system $(SYSTEM))

demo-down: $(STAMP) ## remove the demo and the local cluster
	@$(DEMO) down

check: $(STAMP) ## the quick part: no root, no cluster, two minutes
	@env -u CI hack/abreast '$(MAKE) -s lint types layers' '$(BIN)/pytest -q $(COMPUTING)' \
	  '$(BIN)/pytest -q $(STARTING)' $(WIDER:%='$(BIN)/pytest -q %')

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP)
	@$(BIN)/mypy

layers: $(STAMP)
	@PYTHONPATH=probe $(BIN)/lint-imports --no-cache

# With the cluster up, every tool is there: CI=true makes what `check` may skip a failure.
test: lint types layers ## everything, on a real cluster (or CLUSTER=current)
	@mkdir -p build
	@PYTHONPATH=.:deploy/local $(BIN)/python -m tests.contract.prometheus.newest >/dev/null
	@CI=true hack/with-cluster hack/abreast '$(BIN)/pytest -q $(UNIT)' '$(BIN)/pytest -q $(WIDER)' '$(IMAGES)' -- \
	  '$(BIN)/pytest -q $(TOGETHER) --keep-operator' -- '$(BIN)/pytest -q $(ALONE)'

e2e: $(STAMP) ## only the end-to-end tests
	@mkdir -p build
	@hack/with-cluster hack/abreast '$(BIN)/pytest -q $(TOGETHER) --keep-operator' -- '$(BIN)/pytest -q $(ALONE)'

e2e-durations: $(STAMP) ## the same, and write down how long each takes: by that they are spread over processes
	@mkdir -p build
	@hack/with-cluster hack/abreast '$(BIN)/pytest -q $(TOGETHER) --keep-operator --write-durations' -- \
	  '$(BIN)/pytest -q $(ALONE) --write-durations'

bench: $(STAMP) ## the benchmarks
	@PYTHONPATH=operator $(BIN)/python tests/bench/judge.py

bench-detect: $(STAMP) ## the detector beside simpler rules, on labelled traces (TRACES=DIR: recorded ones, too)
	@PYTHONPATH=.:operator $(BIN)/python -m tests.bench.detect

bench-probe: $(STAMP) ## what the probe costs the service it is in
	@PYTHONPATH=.:probe $(BIN)/python -m tests.bench.probe

bench-roll: $(STAMP) ## a roll beside plain eviction and rollout restart, on a real cluster
	@mkdir -p build
	@PYTHONPATH=.:operator:examples/demo:deploy/local hack/with-cluster $(BIN)/python -m tests.bench.roll

soak: $(STAMP) ## rolls by the hundred, then faults, then the real ones, on a real cluster (two hours; ONLY=name, ROLLS=n)
	@mkdir -p build
	@PYTHONPATH=.:operator:examples/demo:deploy/local hack/with-cluster $(BIN)/python -m tests.soak $(if $(ONLY),--only $(ONLY)) $(if $(ROLLS),--rolls $(ROLLS))
	@$(if $(ONLY),,PYTHONPATH=.:operator:examples/demo:deploy/local hack/with-cluster $(BIN)/python -m tests.faults)
	@$(if $(ONLY),,PYTHONPATH=examples/demo:deploy/local hack/with-cluster $(BIN)/python -m memroll_demo run --system langflow)
	@$(if $(ONLY),,PYTHONPATH=examples/demo:deploy/local hack/with-cluster $(BIN)/python -m memroll_demo run --system chatchat)

crds: $(STAMP) ## write the CRDs from the models
	@PYTHONPATH=operator $(BIN)/python -m memroll crds --write deploy/crds
	@PYTHONPATH=operator $(BIN)/python -m memroll crds --write deploy/helm/memroll/files/crds

requirements: $(STAMP) ## pin all dependencies again, by hash and without an index
	@hack/pin $(BIN)

cluster-up: $(STAMP) ## start the local one-node cluster
	@$(LOCAL) up

cluster-down: $(STAMP) ## stop it and clean up after it
	@$(LOCAL) down

cluster-status: $(STAMP)
	@$(LOCAL) status

clean: ## remove what was built here (caches and the cluster stay)
	@rm -rf $(VENV) build dist
