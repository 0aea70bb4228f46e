# `make demo` and `make test` each start from nothing: they make .venv, install what they need and run.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help demo test lint slow clean

help:
	@echo "make demo   fit the borehole function and the diabetes table; writes runs/"
	@echo "make test   run the test suite"
	@echo "make lint   ruff and pyright"
	@echo "make slow   run the long tests"
	@echo "make clean  remove the environment and the runs"

demo: $(VENV)/.demo
	$(BIN)/infinity run configs/borehole.toml configs/diabetes.toml

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Infinity needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12 demo" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[demo]"
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) runs
