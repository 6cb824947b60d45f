# make demo   trains on the phantom films and prints a table
# make test   runs all tests
# make quick  runs those that are not marked slow
# make tutorials   executes the notebooks anew
# make test-floor  the tests with the oldest libraries that setup.py allows
# Each makes its own virtual environment in .venv first; PYTHON names the
# interpreter to make it with.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
TRAIN := $(BIN)/sskeras train --data $(DEMO)/films/manifest.csv --labeled 0.05 \
	--class-weight 1 1 2 --filters 16 32 --learning-rate 0.003 --decay cosine --epochs 20 --seed 0

.PHONY: demo test quick test-floor tutorials

demo: $(DEMO)/supervised/metrics.json $(DEMO)/ssresnet/metrics.json
	$(BIN)/sskeras compare $(DEMO)/supervised $(DEMO)/ssresnet
	@echo "Curves, matrices, models and predictions are in $(DEMO)/."

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

quick: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-floor:
	$(MAKE) test VENV=.venv-floor PIP_CONSTRAINT=$(CURDIR)/tests/floor.txt

tutorials: $(VENV)/installed
	$(BIN)/python tutorials/build.py

$(VENV)/installed: setup.py tests/floor.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'sskeras needs Python 3.11 or newer; try make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

$(DEMO)/films/manifest.csv: | $(VENV)/installed
	$(BIN)/python -m data_tools phantom --out $(DEMO)/films --count 6000 --size 64

$(DEMO)/supervised/metrics.json: | $(DEMO)/films/manifest.csv
	$(TRAIN) --method supervised --out $(DEMO)/supervised

$(DEMO)/ssresnet/metrics.json: | $(DEMO)/films/manifest.csv
	$(TRAIN) --method ssresnet --set consistency_space=probabilities \
		--out $(DEMO)/ssresnet
