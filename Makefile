# Two commands set Veil up: `make demo` and `make test`. Everything lives in .venv; PYTHON chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo

.PHONY: demo venv test test-all lint types docs bench clean

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
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: venv
	$(BIN)/python -m pytest

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

docs: venv
	$(BIN)/python -m veil.cli.reference > docs/cli.md

bench: venv .bench-venv/.installed
	$(BIN)/python benchmarks/noise.py --scale cpu

.bench-venv/.installed: benchmarks/requirements-peers.txt
	$(PYTHON) -m venv .bench-venv
	.bench-venv/bin/python -m pip install --quiet --requirement benchmarks/requirements-peers.txt
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) .bench-venv build dist
