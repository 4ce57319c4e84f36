# make demo: set up and make the first samples.  make test: set up, then lint, types and tests.  CI runs `make test` and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STORE ?= ./data/store

.DEFAULT_GOAL := help
.PHONY: help setup system demo test check lint types tests format bench soak clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

# What is missing of the system: GL for headless rendering, and venv where Debian packs it apart. Nothing is done where all is there.
system:
	@scripts/system.sh $(PYTHON)

# Installed again whenever pyproject.toml changes; an environment that was left half-made is made anew.
$(VENV)/.ready: pyproject.toml | system
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing synth and its tools into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 --editable '.[test]'
	@touch $@

setup: $(VENV)/.ready  ## install what is missing

demo: setup  ## 64 samples of scene=tabletop, committed and drawn
	@$(BIN)/python scripts/demo.py --store $(STORE)

test: setup  ## set up, then lint, types and all tests
	@$(MAKE) --no-print-directory check

check: lint types tests  ## ruff, mypy --strict, pytest

lint:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types:
	@$(BIN)/mypy

tests:
	@$(BIN)/pytest -n auto --dist loadfile

format:  ## let ruff write
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup  ## ratios, measured side by side in one run
	@$(BIN)/python -m benchmarks

soak: setup  ## the long storms, in full
	@$(BIN)/python -m benchmarks.soak

clean:  ## remove the environment; data stays
	@rm -rf $(VENV)
