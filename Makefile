# `make repro` regenerates the results, `make test` checks the code. Both set up what they need
# in .venv, once. See README.md.

PYTHON ?= python3
VENV   := .venv
READY  := $(VENV)/.ready
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

# PROFILE=paper stands for profiles/paper; without it, the offline default in this folder.
WHERE := $(if $(PROFILE),profiles/$(PROFILE),.)

.PHONY: repro plan test fuzz mutants lint pipeline ui benchmark lock clean help
.DEFAULT_GOAL := help

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "aopc needs Python 3.11 or newer; name one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

repro: $(READY) ## regenerate every result (dvc repro) of the default profile, or of PROFILE=paper
	@cd $(WHERE) && python -m aopc.paper.before
	dvc repro $(WHERE)/dvc.yaml
	@cd $(WHERE) && aopc track

plan: $(READY) ## say what a profile downloads, needs on disk and takes in time
	@aopc plan $(WHERE)

test: $(READY) ## run the tests
	pytest -n auto --dist loadfile

fuzz: $(READY) ## compare 5,000 random networks with full passes and float64 references
	AOPC_FUZZ_CASES=5000 pytest -n auto tests/fuzz

mutants: $(READY) ## change single places of the code: do its tests notice? COUNT=200 SEED=0 ROOMS="measures …"
	python -m mutation $(ROOMS) $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS))

lint: $(READY) ## style, types, and which room may import which
	ruff check .
	ruff format --check .
	mypy
	lint-imports

pipeline: $(READY) ## write what each stage depends on in dvc.yaml, from the imports
	python -m aopc.paper.pipeline

ui: $(READY) ## show the MLflow runs in the browser
	@aopc ui

benchmark: $(READY) ## measure speed again: all networks, or NETWORK=caffenet alone
	python benchmarks/perturbation.py $(NETWORK)
ifndef NETWORK
	python benchmarks/figure4.py
	python benchmarks/heatmaps.py
	python benchmarks/costs.py
ifdef AOPC_REAL_DATA
	aopc evaluate --images $(AOPC_REAL_DATA)/imagenet-sample/images \
	  --model squeezenet1_0 --weights $(AOPC_REAL_DATA)/squeezenet/squeezenet1_0_ilsvrc2012.pt \
	  --preprocessing caffe --limit 60 --repeats 3 --out .cache/tolerance
	python benchmarks/tolerance.py .cache/tolerance/curves
	python benchmarks/dtype.py $(AOPC_REAL_DATA)/imagenet-sample/images \
	  $(AOPC_REAL_DATA)/squeezenet/squeezenet1_0_ilsvrc2012.pt
endif
endif
	python benchmarks/report.py

lock: ## pin the dependencies of pyproject.toml anew (needs uv)
	uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  --all-extras --custom-compile-command 'make lock' pyproject.toml -o requirements.lock

clean: ## remove the environment and the caches, keep the results
	@test ! -e $(VENV) || test -f $(VENV)/pyvenv.cfg || { echo "$(VENV) is no Python environment: remove it by hand" >&2; exit 2; }
	rm -rf -- $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
