# Each target sets up what it needs: Python 3.11 or newer and make are enough to start with.

PYTHON ?= python3
# What pytest is given beside the choice of tests: make test ARGS="-k topics"
ARGS ?=
# What the tests use beyond Python packages, as Debian names the commands and their packages.
DEBIAN_COMMANDS := nginx faketime ip chromium chromedriver promtool redis-server openssl strace
DEBIAN_PACKAGES := nginx faketime iproute2 chromium chromium-driver prometheus redis-server openssl strace

PIP_INSTALL := .venv/bin/pip install --quiet --disable-pip-version-check
CHECK_PYTHON := import sys; \
	sys.version_info >= (3, 11) or sys.exit("eventbus needs Python 3.11 or newer; $(PYTHON) is " \
	+ sys.version.split()[0] + ": name another with make PYTHON=...")

.DEFAULT_GOAL := help
.PHONY: help run test lint soak bench diagram audit clean debian-packages

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.run ## Start the bus on PORT (3000)
	exec .venv/bin/gunicorn -c gunicorn.conf.py wsgi:app

test: .venv/.dev debian-packages ## Run the tests; ARGS="..." chooses some, and goes to pytest
	.venv/bin/$(if $(ARGS),pytest,python tests/side_by_side.py) -m "not soak" $(ARGS)

lint: .venv/.dev ## Check style, format and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

soak: .venv/.dev debian-packages ## Run the tests that take long
	.venv/bin/pytest -m soak $(ARGS)

bench: .venv/.dev ## Measure, and print a table; ARGS="--quick" for a look
	.venv/bin/python -m bench $(ARGS)

diagram: ## Print units, levels and dependencies of the code, and draw them
	$(PYTHON) -m tests.structure docs/structure.svg

audit: .venv/.dev ## Look all pinned packages up in a database of known vulnerabilities; fails where one cannot be
	.venv/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.txt

clean: ## Remove what make has made; journals stay
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# The stamps are newer than the requirements that were installed. A changed requirements.txt begins
# from an empty environment, so that it never holds more than the files say.
.venv/.run: requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "eventbus needs Python 3.11 or newer; there is no $(PYTHON)"; exit 1; } >&2
	@$(PYTHON) -c '$(CHECK_PYTHON)'
	$(PYTHON) -m venv --clear .venv
	$(PIP_INSTALL) --require-hashes -r requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt requirements.in .venv/.run
	$(PIP_INSTALL) -r requirements-dev.txt
	@touch $@

# Installs only where nobody has to be asked. Elsewhere the tests that miss a command skip and name it.
debian-packages:
	@PATH="$$PATH:/usr/sbin"; missing=; \
	for command in $(DEBIAN_COMMANDS); do command -v $$command >/dev/null || missing="$$missing $$command"; done; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get update && apt-get install -y --no-install-recommends $(DEBIAN_PACKAGES); } \
		|| echo "not installed:$$missing; the tests that need it skip" >&2; \
	fi
