# One environment, made once and again when its list of packages changes; every target makes it if there is none.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
ENGINE ?=
# pytest keeps the assertions that it has rewritten, unless this is set.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(RUN) -m pytest
# Two processes, each with the tests of one engine as far as they last (tests/scheduling.py); more take the rest.
WORKERS ?= 2
BOTH := $(if $(ENGINE),--engine=$(ENGINE),-n $(WORKERS))

FILE ?=

.PHONY: venv quickstart test unit lint bench soak matrix clean

venv: $(STAMP)  ## the environment alone

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "odin_graph needs Python 3.11 or newer: make PYTHON=python3.11"'
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	$(RUN) -m pip install --quiet --editable '.[cpu,dev]'
	@touch $@

quickstart: $(STAMP)  ## the main job on real images, in about a minute
	$(RUN) -m odin_graph.cli quickstart --out quickstart-out

test: $(STAMP)  ## the suite on both graph engines; `make test ENGINE=neo4j` for one, FILE=tests/... for a part
	$(PYTEST) $(BOTH) $(or $(FILE),tests)

unit: $(STAMP)  ## what needs no graph engine
	$(PYTEST) -n $(WORKERS) -m unit tests

lint: $(STAMP)  ## formatting, lint, types, levels: no test, under a minute
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy odin_graph
	$(VENV)/bin/lint-imports
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml
	$(VENV)/bin/dockerfile-doctor --severity warning docker/Dockerfile

bench: $(STAMP)  ## every goal, timed; never part of `test`
	$(RUN) -m benchmarks --json bench.json

soak: $(STAMP)  ## the long counts: crashes, all random cases, every test on every engine, the older Neo4j
	$(PYTEST) $(BOTH) --soak --timeout=0 tests

matrix:  ## a smoke with the oldest and the newest dependencies (Python 3.11 and 3.13), and of wheel and sdist
	.ci/matrix

clean:  ## what the targets above left behind; never a workspace
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache quickstart-out bench.json build/matrix
