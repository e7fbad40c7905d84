# Two commands set everything up: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Jobs find the environment's python and tools first.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test lint closure bench docs clean

demo: $(VENV)/ready
	$(BIN)/snakemake --profile profiles/local
	@echo "The report is results/demo/report.html"

test: $(VENV)/ready
	$(BIN)/python -m pytest

closure: $(VENV)/ready
	$(BIN)/snakemake --profile profiles/local --configfile config/closure.yaml
	$(BIN)/omniflow closure results/closure
	@echo "The report is results/closure/report.html"

# Compared with the H1 code where H1_CODE names a checkout (and H1_PYTHON a Python with
# TensorFlow 2.15); see benchmarks/README.md.
bench: $(VENV)/ready
	$(BIN)/python benchmarks/bench.py $(if $(H1_CODE),--h1-code $(H1_CODE)) \
		$(if $(H1_PYTHON),--h1-python $(H1_PYTHON))

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# Pages and schema that are made from the configuration's models.
docs: $(VENV)/ready
	$(BIN)/python -m omniflow.config.document

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[cpu,physics,workflow,dev]'
	# The native engine, for this processor; without a compiler TensorFlow takes its place.
	-$(BIN)/python -m omniflow.training.compiler
	touch $@

clean:
	rm -rf $(VENV) .snakemake
