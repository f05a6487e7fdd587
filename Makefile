# make demo            a small plant on this machine, until Ctrl-C     (make demo ARGS=--once ends by itself)
# make test            every check and every test
# make check           what needs no server: format, lint, types, layers, generated files
# make bench           the figures of docs/benchmarks.md, with their ratio to the limit measured in the same run

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
STAMP  := $(VENV)/.installed

# With --only-binary no compiler is ever needed: a package without a wheel for this machine fails at once, by name.
# The project itself is built from this folder, which the option does not touch.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -c constraints.txt

.PHONY: demo test check bench clean install

demo: $(STAMP)
	$(BIN)/nexus demo $(ARGS)

test: check
	$(BIN)/python -m pytest tests $(ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nexus schema --check
	$(BIN)/python -m pytest -q tests/unit/database/test_tables_match_migrations.py

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks $(ARGS)

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "NEXUS needs Python 3.11 or newer; make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[test]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
