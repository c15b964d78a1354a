# Everything below works on a fresh clone with python3 (3.11 or newer), make and git.
# Each target sets up what it needs in .venv first; the stamps record what has been installed.

PYTHON ?= python3
BIN := .venv/bin
SAY := @echo 'Setting up .venv for this: once, a minute or two.'
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
REQUIREMENTS := pyproject.toml constraints.txt
# Numba does not notice an edited loss inside a cached kernel: the directory is named by a hash of the sources.
WITH_CACHE = NUMBA_CACHE_DIR="$${NUMBA_CACHE_DIR:-$$($(BIN)/python tests/support/numba_cache.py)}"

.DEFAULT_GOAL := help
.PHONY: help demo test soak check wheel test-oldest test-newest audit format bench clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "offbeat needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=/path/to/python3.11 ...")'
	@$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/.demo: $(BIN)/python $(REQUIREMENTS)
	$(SAY)
	@$(PIP) -e '.[demo]'
	@touch $@

.venv/.dev: $(BIN)/python $(REQUIREMENTS)
	$(SAY)
	@$(PIP) -e '.[dev]'
	@touch $@ .venv/.demo

.venv/.bench: $(BIN)/python $(REQUIREMENTS)
	$(SAY)
	@$(PIP) -e '.[bench,demo]'
	@touch $@ .venv/.demo

demo: .venv/.demo ## fit real flights, write offbeat-demo/report.html
	@$(WITH_CACHE) $(BIN)/offbeat demo $(ARGS)

test: .venv/.dev ## run the tests: make test ARGS="tests/conformance -k logistic"
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

soak: .venv/.dev ## run the tests that take minutes
	$(BIN)/python -m pytest -m soak $(ARGS)

check: .venv/.dev ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel: .venv/.dev ## build the source archive, and the wheel from it, into dist/
	rm -rf dist
	PIP_CONSTRAINT="$(CURDIR)/constraints.txt" $(BIN)/python -m build --outdir dist .

test-oldest: wheel ## install the wheel with the oldest supported dependencies on Python 3.11, and test that
	@python=$$(.ci/find-python 11); if [ -n "$$python" ]; then .ci/test-wheel "$$python" constraints-oldest.txt $(ARGS); \
	else echo 'SKIPPED: the oldest dependencies need Python 3.11, which is not on this machine'; fi

test-newest: wheel ## install the wheel with the newest dependencies on the newest Python there is, and test that
	@python=$$(.ci/find-python 14 13 12); [ -n "$$python" ] || echo 'SKIPPED: no Python after 3.11 on this machine'; \
	.ci/test-wheel "$${python:-$(PYTHON)}" constraints.txt $(ARGS)

audit: ## look for known vulnerabilities of the versions in constraints.txt; needs a service outside
	@$(PYTHON) -m venv build/audit
	@build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	@build/audit/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt || \
		{ echo 'Not clean, or not audited: a dependency that is "not found" means that the service cannot be reached.'; exit 1; }

format: .venv/.dev ## rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

bench: .venv/.bench ## install the peers and race them
	@$(WITH_CACHE) $(BIN)/python -m benchmarks $(ARGS)

clean: ## remove everything that was made: environment, caches, reports
	rm -rf .venv .numba-cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf build dist offbeat-demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
