# run: set up and serve.  test: set up and run what CI runs.  quick: under a minute.  bench: numbers.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SERVE ?=
# A test process for each core. Each takes its part of the tests in their order, so that those of a
# module share their servers; who is done first takes from the others.
PARALLEL := -n logical --maxprocesses 8 --dist worksteal

.PHONY: run test quick lint peers viewer bench clean

run: $(VENV)/.product viewer
	$(BIN)/isocenter serve $(SERVE)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.product: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(STAMP): pyproject.toml | $(VENV)/.product
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

# Programs we did not write, to test against. Without the right to install, tests that need them say so.
peers:
	sh tools/peers.sh

# The viewer OHIF; without it all else works.
viewer: $(VENV)/.product
	@$(BIN)/isocenter viewer install || echo 'going on without the viewer: see docs/howto/view-with-ohif.md'

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/limits.py

quick: lint
	$(BIN)/pytest -q $(PARALLEL) tests/unit

test: lint peers viewer
	$(BIN)/pytest -q $(PARALLEL) --durations=15

bench: $(STAMP) peers
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) build dist
