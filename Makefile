# Each command works on a machine that has only Python >= 3.11 with pip: the environment is made on first use.
#
#   make demo         train a small language model, plot its losses, write text, save a checkpoint
#   make test         the test suite                          ARGS="tests/core -x" for a part
#   make test-matrix  its smoke part on every newer Python found here, with the newest jaxlib
#   make test-aot     programs compiled for TPUs and GPUs that are not here, with the real plugins (400 MB)
#   make test-gpu     the numeric part of the suite on a GPU, where there is one
#   make bench        the figures beside JAX and PyTorch      ROW=import for one row
#   make bench-gpu    a training step on a GPU, beside JAX, where there is one
#   make lint         style, import rules, types              make format to mend the style

SHELL := bash
PYTHON ?= $(firstword $(foreach name,python3 python3.11 python3.12 python3.13 python3.14,$(shell \
    $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
BIN := .venv/bin
READY := .venv/ready
ARGS ?=
ROW ?= all

.PHONY: demo test test-matrix test-aot test-gpu bench bench-gpu lint format clean
.DEFAULT_GOAL := test

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Canter needs Python 3.11 or newer; name one with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	$(BIN)/python -m compileall -q python mlir_lowering pjrt_plugins  # as pip does where it installs
	@touch $@

demo: $(READY)
	@$(BIN)/python examples/train_lm.py $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

test-matrix:
	@tools/test-matrix $(ARGS)

test-aot:
	@PYTHON=$(PYTHON) tools/test-aot $(ARGS)

test-gpu:
	@tools/test-gpu $(ARGS)

bench-gpu:
	@tools/bench-gpu $(ARGS)

bench: $(READY)
	@$(BIN)/python -m benchmarks --row $(ROW) $(ARGS)

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/mypy

format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-* build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
