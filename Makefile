# The one command interface: people, CI and the docs use the same targets.

# The Python that makes the environments: 3.11. Which vLLM: auto, cpu or cuda.
PYTHON ?= python3
ENGINE ?= auto
# What pytest is given beside the selection, e.g. make test ARGS="-k supervisor".
ARGS ?=
# All that a clone has the data for; `embedder` and `retrieval` need sets of questions (--data).
BENCHMARKS ?= abuse conversation forms freshness gateway guard injection knowledge labels prefix prices sample
SOAK_SECONDS ?= 180

BIN := .venv/bin

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help up test test-full bench soak lint format lock prepare environments environments-dev clean clean-all

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

up: environments ## prepare all, then serve on http://127.0.0.1:8080 until Ctrl-C
	@$(BIN)/groundtone up

test: environments-dev lint-only ## lints, types, unit and end-to-end tests, the real engine included
	$(BIN)/pytest -m "not full" $(ARGS)

test-full: environments-dev lint-only ## the same with the long counts
	$(BIN)/pytest $(ARGS)

bench: environments-dev ## the benchmarks that the docs quote
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name $(ARGS); done

soak: environments-dev ## questions, changes and restarts for SOAK_SECONDS; fails where something leaks
	$(BIN)/python -m benchmarks.soak --seconds $(SOAK_SECONDS)

lint: environments-dev lint-only ## style, types and the layers of imports

.PHONY: lint-only
lint-only:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/pyright

format: environments-dev ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## resolve the locks anew; ARGS=--upgrade takes newer versions
	$(PYTHON) deploy/locks/compile.py $(ARGS)

environments: ## only make the two environments; start nothing
	@$(PYTHON) deploy/bootstrap.py --engine $(ENGINE)

prepare: environments

environments-dev:
	@$(PYTHON) deploy/bootstrap.py --dev --engine $(ENGINE)

clean: ## remove caches and build output; the environments and .groundtone stay
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

clean-all: clean ## remove the environments too; .groundtone stays
	rm -rf .venv .venv-engine
