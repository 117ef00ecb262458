# Everything a newcomer needs; `make` alone lists the targets.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup lint check test web demo bench lock clean

help:  ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.ready: pyproject.toml requirements.lock
	tools/make_venv.sh $(PYTHON) $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	@touch $@

setup: $(VENV)/.ready  ## virtual environment with everything

lint: setup  ## format, style, types, import rules
	$(BIN)/ruff format --check src tests tools
	$(BIN)/ruff check src tests tools
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint  ## lint and the quick tests, about a minute
	$(BIN)/python -m pytest tests/unit tests/contract -n auto

test: lint  ## everything
	tools/test_packages.sh
	tools/test_web.sh
	$(BIN)/python -m pytest tests/unit tests/contract -n auto
	$(BIN)/python -m pytest tests --ignore=tests/unit --ignore=tests/contract --ignore=tests/browser -n 2
	$(BIN)/python -m pytest tests/browser -n 2

web:  ## build the pages in web/ (needs node 20 or newer; nothing else does)
	cd web && npm ci --ignore-scripts && npm run build

demo: setup  ## a running server with a small fleet
	$(BIN)/odograph demo --lan

lock:  ## write requirements.lock from what is installed
	$(BIN)/python -m pip freeze --exclude-editable | grep -v '^odograph' > requirements.lock

clean:  ## remove what the targets above made
	rm -rf $(VENV) web/node_modules demo-data .mypy_cache .ruff_cache .hypothesis
