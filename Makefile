PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ASSETS := $(abspath ../shared/assets)
ifneq ($(wildcard $(ASSETS)/data),)
export LUTHIER_ASSETS ?= $(ASSETS)
endif

.DEFAULT_GOAL := help
.PHONY: help install demo check format test test-all bench bench-methods docs clean

help:  ## list what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

install: $(BIN)/luthier  ## create .venv with .venv/bin/luthier in it

$(BIN)/luthier: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --use-pep517 --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install  ## fine-tune a small model on 14,000 human-rated reviews and open the report
	$(BIN)/luthier demo

check: install  ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: install  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: install  ## the test suite, under 15 minutes on 2 cores
	$(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal -m "not slow"

test-all: install  ## the slow tests too
	$(BIN)/pytest

bench: install  ## measure against transformers.Trainer; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/train_text.py

bench-methods: install  ## measure what the methods cost; writes benchmarks/METHODS.md
	$(BIN)/python benchmarks/train_methods.py

docs: install  ## write the generated pages anew: docs/recipe.md, and what works on what, which takes a quarter of an hour
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/grid.py

clean:  ## remove the environment and all caches of the project
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache
