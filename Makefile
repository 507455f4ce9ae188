# `make demo` and `make test` work as the first command after a clone: they need python3 (3.11 to
# 3.13), make and a network connection for the one-time installation into .venv.
PYTHON ?= python3
VENV   ?= .venv
OUT    ?= runs/demo

SHELL := /bin/sh
BIN   := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test slow lint format bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

setup: $(VENV)/.ready-dev ## install everything that developers need into .venv

demo: $(VENV)/.ready ## the whole pipeline in small: sentences to a fine-tuned policy and a report
	$(BIN)/vla-jax demo --out $(OUT)

PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.ready-dev ## run the tests, but for the slow ones
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

slow: $(VENV)/.ready-dev ## run the slow tests
	$(PYTEST) -m slow $(PYTEST_ARGS)

lint: $(VENV)/.ready-dev ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.ready-dev ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.ready-dev ## measure physics, renderer, environment and training
	$(BIN)/vla-jax bench physics render env ppo

clean: ## remove the environment, builds and caches; keeps runs/
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps make an installation happen again only when the requirements change.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "vla-jax needs Python 3.11 to 3.13; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
	       "Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make virtual environments." \
	       "On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.ready: pyproject.toml | $(VENV)/.created
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.ready-dev: pyproject.toml | $(VENV)/.created
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.ready
