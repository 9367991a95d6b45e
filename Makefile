# One command to start (make demo), one to test (make test), one to check (make check).
# Needs Python >= 3.11, git and make; everything else goes into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# The newest Python that really starts (a pyenv shim may not) and can make virtual environments.
PYTHON ?= $(shell for python in python3.14 python3.13 python3.12 python3.11 python3; do \
	if $$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo $$python; break; fi; done)

# Test processes: one a core, at least 2 (some tests wait for a disk), at most 8.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); \
	echo $$(( n < 2 ? 2 : n > 8 ? 8 : n )))

.PHONY: help install demo test check format bench soak clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

install: $(INSTALLED) ## make .venv with everything in it

# Again only when pyproject.toml changed.
$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 with venv found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(INSTALLED) ## a hub and several devices that go offline, edit, crash and agree; DATA=folder for real data
	@$(BIN)/holdfast demo $(if $(DATA),--data "$(DATA)")

test: $(INSTALLED) ## every test; TESTS=path for some
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup $(TESTS)

check: $(INSTALLED) ## lint, types, structure, documents, coverage of the core; ONLY="size links" for some
	@$(BIN)/python -m checks $(ONLY)

format: $(INSTALLED) ## format and mend what ruff can mend
	@$(BIN)/ruff check --fix --quiet --exit-zero . && $(BIN)/ruff format .

bench: $(INSTALLED) ## figures of this machine beside their physical limits
	@$(BIN)/python -m bench

soak: $(INSTALLED) ## property tests with many more examples, random seeds; stops when one fails
	@HOLDFAST_HYPOTHESIS=soak $(BIN)/python -m pytest -q -x -n $(WORKERS) --dist loadgroup $(or $(TESTS),tests/properties)

clean: ## remove .venv and everything generated
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
