# gpucnn: `make` lists the targets. Needs Linux, make and Python >= 3.10; everything else is
# installed into .venv from the package index.

CONFIG ?= configs/digits_lenet.yaml## the run that `make train` does
DEVICE ?=## cpu, cuda, cuda:N or auto (default: what the config says)
EXTRAS ?= plot,images## what `make train` installs; on a GPU machine: cuda13,plot,images
OUTPUT ?=## the run folder (default: the first free of runs/NAME, runs/NAME-2, ...)
PYTHON ?= python3## the interpreter that .venv is made with

empty :=
comma := ,
VENV := .venv
BIN := $(VENV)/bin
# One stamp a set of extras: nothing is installed again until pyproject.toml changes.
RUN_STAMP := $(VENV)/installed-$(subst $(comma),-,$(strip $(EXTRAS)))
DEV_STAMP := $(VENV)/installed-dev
# CuPy for the driver: EXTRAS=cuda12, or cuda13 where EXTRAS names neither.
CUPY := $(firstword $(filter cuda%,$(subst $(comma), ,$(EXTRAS))) cuda13)
GPU_STAMP := $(VENV)/installed-dev-$(CUPY)
GPU_OPTION := --device $(or $(strip $(DEVICE)),cuda)
TIMED := $(patsubst %,configs/mnist_%.yaml,sprint lenet best)
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help train test test-all gpu-acceptance gpu-measure lint clean

help:  ## list targets and variables
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{printf "%-17s %s\n", $$1, $$2}'
	@echo "Variables (make train CONFIG=configs/debug_cpu.yaml):"
	@sed -n 's/^\([A-Z]*\) ?= *\([^#]*\)## \(.*\)/  \1|\3|\2/p' Makefile | awk -F'|' '{printf "%-17s %s%s\n", $$1, $$2, $$3 == "" ? "" : " [" $$3 "]"}'

train: $(RUN_STAMP)  ## make .venv, install, and train CONFIG
	@output='$(strip $(OUTPUT))'; \
	if [ -z "$$output" ]; then \
	  stem=$$(basename '$(strip $(CONFIG))'); stem=runs/$${stem%.*}; output=$$stem; n=2; \
	  while [ -e "$$output" ]; do output=$$stem-$$n; n=$$((n + 1)); done; \
	fi; \
	exec $(BIN)/python -m gpucnn train '$(strip $(CONFIG))' --output "$$output" $(if $(strip $(DEVICE)),--device '$(strip $(DEVICE))')

test: $(DEV_STAMP)  ## make .venv, install, and run the tests (without those marked slow)
	$(BIN)/python -m pytest -m "not slow"

test-all: $(DEV_STAMP)  ## run every test
	$(BIN)/python -m pytest

gpu-acceptance: $(GPU_STAMP)  ## check and time everything on this machine's GPU (8 minutes)
	$(BIN)/python scripts/gpu_acceptance.py $(if $(strip $(DEVICE)),--device '$(strip $(DEVICE))') $(if $(strip $(OUTPUT)),--output '$(strip $(OUTPUT))')

gpu-measure: gpu-acceptance  ## the same, then time training on this GPU (20 minutes)
	$(BIN)/python benchmarks/conv_candidates.py $(GPU_OPTION) --record
	$(BIN)/python benchmarks/training_steps.py $(GPU_OPTION) --record
	$(BIN)/python benchmarks/time_to_accuracy.py $(TIMED) $(GPU_OPTION) --record
	$(BIN)/python scripts/update_tables.py

lint: $(DEV_STAMP)  ## check style and types
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy

clean:  ## remove .venv, caches and build products; runs/ and data/ stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v '$(PYTHON)' >/dev/null || { \
	  echo "make: $(PYTHON) not found: install Python 3.10 or newer, or name one with PYTHON=" >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "make: gpucnn needs Python 3.10 or newer, but $(PYTHON) is $$('$(PYTHON)' --version 2>&1): name a newer one with PYTHON=" >&2; exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: $(PYTHON) cannot make virtual environments: install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	'$(PYTHON)' -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(RUN_STAMP): $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.$(if $(strip $(EXTRAS)),[$(strip $(EXTRAS))])'
	@touch $@

$(DEV_STAMP): $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(GPU_STAMP): $(BIN)/python pyproject.toml
	$(BIN)/python -m pip uninstall --quiet --disable-pip-version-check --yes $(filter-out cupy-$(CUPY)x,cupy-cuda12x cupy-cuda13x)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,$(CUPY)]'
	@touch $@
