# One word each; every one does its own set-up, in .venv inside this folder.
#   make train   train on the bundled digits        make test    run all tests
#   make check   formatting, lint, types, imports   make bench   measure on this machine
#   make docs    redraw the README's pictures and run its commands and examples
# ARGS goes to the command: make train ARGS="--epochs 3", make test ARGS="-k conv2d".

.DEFAULT_GOAL := help
.PHONY: help train test check bench bench-deep docs clean

# The first Python that is new enough; `make PYTHON=... train` chooses another.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
ARGS ?=

help:
	@sed -n '2,5s/^# *//p' Makefile

.venv/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "rot180 needs Python 3.11 or newer; make PYTHON=/path/to/python names one" >&2; exit 2; }
	$(PYTHON) -m venv .venv

# Stamps: set-up runs again when what is to be installed changed, and only then.
.venv/.run: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . -c constraints.txt
	@touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt
	@touch $@ .venv/.run

train: .venv/.run
	@$(BIN)/rot180 train $(ARGS)

# Two processes, a file at a time, in the order of tests/conftest.py: the kernels use all cores themselves. Bytecode is
# kept even where the environment forbids it: the tests start many processes, and each would compile the sources anew.
test: export PYTHONDONTWRITEBYTECODE =
test: .venv/.dev
	@$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The peers of the benchmarks, hundreds of megabytes: only here, never in the tests. PyTorch is the build that the ledger
# in docs/benchmarks.md was measured with.
.venv/.bench: .venv/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,bench]' torch==2.13.0 -c constraints.txt
	@touch $@

bench: .venv/.bench
	@$(BIN)/python benchmarks/compare.py $(ARGS)

# Published networks, as torchvision and timm have them.
.venv/.bench-deep: .venv/.bench
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchvision==0.28.0 timm -c constraints.txt
	@touch $@

# Takes eight minutes; ARGS="--no-compile" spares the minutes in which PyTorch compiles.
bench-deep: .venv/.bench-deep
	@$(BIN)/python benchmarks/compare.py --work deep --trials 7 $(ARGS)

docs: .venv/.dev
	$(BIN)/python docs/draw_images.py
	$(BIN)/pytest -q tests/test_readme.py tests/test_docs.py

clean:
	rm -rf .venv build dist .coverage .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
