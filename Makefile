# `make demo` and `make test` set up everything they need; see tools/setup.sh.
# ARGS goes to the command that runs: make test ARGS="-k loader -x"

.DEFAULT_GOAL := help
# The targets share one environment, so `make -j` must not start two of them at once.
.NOTPARALLEL:
.PHONY: help demo test test-fast test-wheel test-nightly conformance mutants rule-book check build clean

ARGS ?=
# Live tests wait more than they work: two of them for each core keep it busy.
LIVE_WORKERS ?= $(shell expr 2 '*' `getconf _NPROCESSORS_ONLN`)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: ## Set up and let 2 000 cars live a working day in under a minute
	@bash tools/setup.sh some-broker
	@.venv/bin/fleet run rush-hour $(ARGS)

test: ## Set up and run all tests on all cores: those without a broker, the live ones, alone those that measure time, and examples/
	@bash tools/setup.sh dev broker
	@.venv/bin/python -m pytest -n auto --dist worksteal -m "not live" $(ARGS) || [ $$? = 5 ]  # 5: ARGS selects none of them
	@.venv/bin/python -m pytest -n $(LIVE_WORKERS) --dist loadgroup -m "live and not alone" $(ARGS) || [ $$? = 5 ]
	@.venv/bin/python -m pytest -m "live and alone" $(ARGS) || [ $$? = 5 ]
	@$(if $(ARGS),,cd examples && ../.venv/bin/python -m pytest && cd foreign && ../../.venv/bin/python -m pytest)  # back ends that are not ours, each with its own configuration

test-fast: ## Set up and run the tests that need no broker
	@bash tools/setup.sh dev
	@.venv/bin/python -m pytest -n auto --dist worksteal -m "not live" $(ARGS)

test-wheel: ## Set up, build the wheel and run a selection of the tests on it, in an environment of its own
	@bash tools/setup.sh
	@bash tools/test_wheel.sh $(ARGS)

test-nightly: ## Set up and run what takes too long for every run: many more random draws, the tests marked nightly, and another Python
	@bash tools/setup.sh dev broker
	@FLEET_NIGHTLY=1 .venv/bin/python -m pytest -n auto --dist loadgroup -m "nightly or random" $(ARGS)
	@$(if $(ARGS),,bash tools/test_in_chroot.sh)  # the fast ones, on Debian 13's Python 3.13

conformance: ## Run the foreign suites in FLEET_SUITES (see CONTRIBUTING.md) and hold each case against what is known of it
	@bash tools/setup.sh dev broker
	@.venv/bin/python -m tests.conformance $(ARGS)

rule-book: ## Write scenarios/rule-book.yaml anew, from the catalogue of services and tests/rule_book/
	@bash tools/setup.sh dev
	@.venv/bin/python -m tests.rule_book

mutants: ## Set up and plant semantic bugs, one at a time in a copy: each must be caught by a shipped scenario and verify
	@bash tools/setup.sh dev
	@.venv/bin/python -m mutants $(ARGS)

check: ## Formatting, lint, types and the direction of imports
	@bash tools/setup.sh dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

build: ## Build the wheel into dist/
	@bash tools/setup.sh
	@rm -rf dist
	.venv/bin/python -m pip wheel -q --no-deps --wheel-dir dist .
	@ls dist

clean: ## Remove what was built and cached; .venv stays
	rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find fleet tests examples -name __pycache__ -type d -prune -exec rm -rf {} +
