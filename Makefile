# `make help` lists the targets. The virtual environment is made on first use, with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo dev test test-real check bench bench-cycle bench-sources bench-detection bench-notifications bench-optimization bench-root-cause bench-service serve screenshots clean

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: set PYTHON=python3.11, for example.")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(INSTALLED) ## A simulated fleet through the whole pipeline, without keys (installs on first use)
	$(BIN)/perf-pipeline demo

dev: $(INSTALLED) ## Dagster's UI on the demo's data, at http://127.0.0.1:3000
	$(BIN)/perf-pipeline dev --demo

serve: $(INSTALLED) ## The dashboard and the HTTP API on the demo's data, at http://127.0.0.1:8080
	$(BIN)/perf-pipeline serve --demo

test: $(INSTALLED) ## The tests that need no server
	$(BIN)/python -m pytest -n 2

test-real: $(INSTALLED) ## The tests against real servers: Phoenix, PostgREST, Slack's API, the Dagster daemon
	$(BIN)/python -m pytest -m real -n 2 --dist loadgroup tests/real

check: $(INSTALLED) ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: bench-cycle bench-sources bench-detection bench-notifications bench-optimization bench-root-cause bench-service ## All benchmarks

bench-cycle: $(INSTALLED) ## Times of a cycle of 7 agents and 1,000 spans, and of loading the definitions
	$(BIN)/python -m benchmarks.cycle

bench-sources: $(INSTALLED) ## Spans per second by every road, on a real Phoenix with 100,000 spans, and a window of a million
	$(BIN)/python -m benchmarks.sources

bench-detection: $(INSTALLED) ## Found, missed and false alarms on simulated fleets and the Numenta benchmark, beside other detectors
	$(BIN)/python -m benchmarks.detection

bench-notifications: $(INSTALLED) ## Senders killed between claim and mark, storms of incidents, and the time from an incident to Slack
	$(BIN)/python -W ignore -m benchmarks.notifications --stride 10

bench-optimization: $(INSTALLED) ## Budgets under faults and kills, GEPA killed under Dagster, the gate's error rates, gains on held-out texts
	$(BIN)/python -W ignore -m benchmarks.optimization

bench-root-cause: $(INSTALLED) ## True causes found first, on simulated incidents and on labelled cases, beside a naive ranking and a library
	$(BIN)/python -W ignore -m benchmarks.root_cause

bench-service: $(INSTALLED) ## The HTTP service over 200 agents and 90 days, at 50 requests a second for a minute
	$(BIN)/python -W ignore -m benchmarks.service

screenshots: $(INSTALLED) ## Pictures of Dagster's UI on the demo's data, into .demo/screenshots (needs Chromium)
	$(BIN)/python -m pytest -m browser tests/browser

clean: ## Remove what the targets made, but for the virtual environment
	rm -rf .demo .perf-pipeline .pytest_cache .ruff_cache .hypothesis
