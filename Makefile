# Two commands set Veil up: `make demo` and `make test`. Everything lives in .venv; PYTHON chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
PAPERS := $(patsubst results/%/report,%,$(wildcard results/*/report))
FUZZ_SECONDS ?= 3600
FUZZ ?=
BENCH_MODEL ?= ../shared/data/weights/mobilenetv2_100.toml
BENCH_PHOTOS ?= data/nips17/images

.PHONY: demo venv test test-all test-oldest fuzz lock lint types docs bench clean

demo: venv
	$(BIN)/veil demo --out $(DEMO)

venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

test: venv
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-all: venv
	$(BIN)/python -m pytest

# The suite with the lowest versions that pyproject.toml allows.
test-oldest: .oldest-venv/.installed
	.oldest-venv/bin/python -m pytest -n 2 --dist worksteal -m "not slow"

.oldest-venv/.installed: pyproject.toml tests/support/oldest.py
	$(PYTHON) -m venv .oldest-venv
	$(PYTHON) tests/support/oldest.py > .oldest-venv/constraints.txt
	.oldest-venv/bin/python -m pip install --quiet --upgrade pip
	.oldest-venv/bin/python -m pip install --quiet --constraint .oldest-venv/constraints.txt --editable ".[dev]"
	touch $@

# The versions of constraints.txt with the hashes of their files, for all systems.
lock: .lock-venv/.installed
	.lock-venv/bin/uv pip compile pyproject.toml --no-config --all-extras --constraint constraints.txt --universal \
		--python-version 3.11 --generate-hashes --no-annotate --quiet --custom-compile-command "make lock" \
		--output-file requirements.lock

.lock-venv/.installed:
	$(PYTHON) -m venv .lock-venv
	.lock-venv/bin/python -m pip install --quiet "uv>=0.13"
	touch $@

fuzz: venv
	PYTHONPATH=tests/fuzz $(BIN)/python -m fuzzing --seconds $(FUZZ_SECONDS) $(FUZZ)

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

docs: venv
	$(BIN)/python -m veil.cli.reference > docs/cli.md
	$(BIN)/python benchmarks/nips17.py table
	for paper in $(PAPERS); do $(BIN)/veil report $$paper --scale cpu --markdown docs/$$paper.md || exit 1; done
	PYTHONPATH=docs $(BIN)/python -m quoted

bench: venv .bench-venv/.installed
	$(BIN)/python benchmarks/noise.py --scale cpu --model $(BENCH_MODEL) --photos $(BENCH_PHOTOS)

.bench-venv/.installed: benchmarks/requirements-peers.txt
	$(PYTHON) -m venv .bench-venv
	.bench-venv/bin/python -m pip install --quiet --requirement benchmarks/requirements-peers.txt
	.bench-venv/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) .bench-venv .oldest-venv .lock-venv build dist
