# Two commands set everything up: `make demo` and `make test`.
# The newer of the Pythons that have TensorFlow, of those that run: a name alone may be a shim.
runs = $(foreach version,$(1),$(shell python$(version) -c '' 2> /dev/null && echo python$(version)))
ifndef PYTHON
PYTHON := $(firstword $(call runs,3.12 3.11))
endif
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
ONE_NODE := $(addprefix tests/cluster/,test_large_plan.py test_ranks.py test_slurm.py)
# Jobs find the environment's python and tools first.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export TF_CPP_MIN_LOG_LEVEL ?= 2
# Bytecode is kept, also where containers say not to: each job and test process would compile the
# package anew, a quarter of its start.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test smoke test-cluster test-one-node test-several-nodes test-browser lint closure bench docs examples clean

demo: $(VENV)/ready
	$(BIN)/snakemake --profile profiles/local
	@echo "The report is results/demo/report.html"

# Up to four processes, 2 GB each. Modules stay together: their fixtures are dear. They start in the
# order of tests/conftest.py, long ones first; pytest-xdist's own puts those of few tests last.
test: $(VENV)/ready
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile \
		--no-loadscope-reorder

# The main job without TensorFlow, on every other Python that is there, with the newest packages of
# each; constraints-smoke.txt has those that were tested.
smoke: $(addprefix .venv-smoke/,$(addsuffix /passed,$(filter-out $(PYTHON),$(call runs,3.13 3.12 3.11))))

.venv-smoke/%/passed: pyproject.toml constraints-smoke.txt $(shell find src tests/smoke -name '*.py')
	$* -m venv .venv-smoke/$*
	.venv-smoke/$*/bin/python -m pip install --quiet --constraint constraints-smoke.txt \
		--editable . 'pytest>=8'
	.venv-smoke/$*/bin/python -m pytest tests/smoke
	touch $@

# On real Slurms, as root: see docs/hpc.md. KILLS=10 kills ten trainings, not two. Those of one node
# and those of several wait a part of their time, so they run side by side.
test-cluster: $(VENV)/ready
	$(MAKE) --jobs 2 --output-sync test-one-node test-several-nodes

test-one-node: $(VENV)/ready
	$(BIN)/python -m pytest $(ONE_NODE)

test-several-nodes: $(VENV)/ready
	$(BIN)/python -m pytest tests/cluster $(ONE_NODE:%=--ignore=%)

# Reports in headless Chromium, which is there already.
test-browser: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[browser]'
	$(BIN)/python -m pytest tests/browser

closure: $(VENV)/ready
	$(BIN)/snakemake --profile profiles/local --configfile config/closure.yaml
	$(BIN)/omniflow closure results/closure
	@echo "The report is results/closure/report.html"

# Beside other codes, in an environment of their own; beside the H1 code where H1_CODE names a
# checkout of it: benchmarks/results.md, in 40 minutes of two quiet cores.
bench: $(VENV)/ready $(PEERS)/ready
	benchmarks/all.sh $(BIN)/python $(PEERS)/bin/python $(H1_CODE) > benchmarks/results.part
	mv benchmarks/results.part benchmarks/results.md

# Their TensorFlow is older than Python 3.12.
$(PEERS)/ready: benchmarks/requirements.txt
	python3.11 -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --requirement $<
	touch $@

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/mypy

# Pages and schema that are made from models of the configuration and declarations of tables, then
# all pages as a site.
docs: export NO_MKDOCS_2_WARNING := 1
docs: $(VENV)/ready
	$(BIN)/python -m omniflow.config.document
	$(BIN)/python -m omniflow.tables.document
	$(BIN)/mkdocs build
	@echo "The site is build/site/index.html"

# The notebooks, in place, as large as they say; the tests execute them in a small form.
examples: $(VENV)/ready
	$(BIN)/python examples/execute.py

$(VENV)/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Neither Python 3.12 nor 3.11 runs here: install one," \
		"or name it (make PYTHON=...)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[cpu,physics,workflow,docs,dev]'
	# The native engine, for this processor; without a compiler the slower TensorFlow does its work.
	-$(BIN)/python -m omniflow.training.compiler
	touch $@

clean:
	rm -rf $(VENV) .venv-smoke $(PEERS) .snakemake
