# make demo            a small plant on this machine, until Ctrl-C     (make demo ARGS=--once ends by itself)
# make test            every check and every test
# make check           format, lint, types, layers, generated files, migrations against the tables
# make bench           the figures of docs/benchmarks.md, with their ratio to the limit measured in the same run
# make peers           what some tests speak with: npm packages (needs Node.js; one needs a compiler), actionlint (Go), HiveMQ CE (mvn, javac), Keycloak (mvn)
# make chaos           a plant under faults from a seed (make chaos ARGS="--seed 7 --minutes 60 --site thousand")

# Commands and tests start hundreds of interpreters: without bytecode each compiles the package again, for half a second.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
STAMP  := $(VENV)/.installed

# With --only-binary no compiler is ever needed: a package without a wheel for this machine fails at once, by name.
# The project itself is built from this folder, which the option does not touch.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -c constraints.txt

# One run of all of them: where one waits, another computes (tests/order.py). A worker takes a file at a time: its tests
# share servers, and have ports and folders of their own. More workers than processors, because most tests wait.
TESTS   := tests/unit tests/properties $(wildcard tests/test_*.py) tests/contract tests/integration tests/e2e
WORKERS := -n 5 --dist loadfile --no-loadscope-reorder

.PHONY: demo test check bench chaos peers clean install

demo: $(STAMP)
	$(BIN)/nexus demo $(ARGS)

test: check
	$(BIN)/python -m pytest -q $(WORKERS) $(TESTS) $(ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nexus schema --check --docs docs/codes
	$(BIN)/python -m pytest -q tests/integration/test_migrations.py -k check_is_clean

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks $(ARGS)

chaos: $(STAMP)
	$(BIN)/python -m tests.chaos $(ARGS)

# Only one of them may run what it brings: it compiles. Where that fails, its tests say so.
peers:
	npm install --prefix tests/peers --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error
	npm rebuild --prefix tests/peers node-snap7 --foreground-scripts --loglevel=error >/dev/null 2>&1 || echo "node-snap7 could not be compiled; its tests will say so" >&2
	GOBIN="$(CURDIR)/tests/peers/bin" go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.7 || echo "actionlint could not be had (it needs Go); its test will say so" >&2
	$(PYTHON) -m tests.hivemq || echo "HiveMQ CE could not be prepared (it needs mvn and javac); its tests will say so" >&2
	$(PYTHON) -m tests.keycloak || echo "Keycloak could not be had (it needs mvn); its tests will say so" >&2

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "NEXUS needs Python 3.11 or newer; make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing about 120 packages into $(VENV): one to four minutes, nothing is compiled"
	$(PIP_INSTALL) --progress-bar on -e '.[test]'
	touch $(STAMP)
	@echo "ready: $(BIN)/nexus --help, or: export PATH=\"\$$PWD/$(BIN):\$$PATH\""

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
