# Two commands matter: `make replicate` and `make test`. Both start from nothing and may be repeated.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

ifneq ($(words $(CURDIR)),1)
  $(error Makefile: folder: given $(CURDIR); accepted: a path without spaces, since Snakemake does not quote its python)
endif

PYTHON ?= python3
CORES ?= all

VENV := .venv
# Not in requirements.lock: `make scorers` alone brings them.
OPENCV := 5.0.0.93
LMMS_EVAL := 0.7.3
INSTALLED := $(VENV)/.installed
# Memory of tensors is kept and laid on large pages; other C libraries ignore this (docs/mini.md says what it brings).
MALLOC := glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184
# Snakemake's scripts, papermill and its kernel are looked up on PATH.
IN_VENV := PATH="$(CURDIR)/$(VENV)/bin:$$PATH" GLIBC_TUNABLES="$(MALLOC)"

.PHONY: help install scorers replicate test lint format ledger record restore audit lock

help: ## Show this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

install: $(INSTALLED) ## Make .venv with the exact versions of requirements.lock

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11, 5) else \
	  "Makefile: PYTHON: given $(PYTHON) %d.%d.%d; accepted: 3.11.5 or newer" % v[:3])'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --requirement requirements.lock
	$(VENV)/bin/python -m pip install --no-deps --editable .
	touch $@

scorers: install ## Add the scorers of VBVR-Bench to .venv, without what their wheel asks for and does not use
	$(VENV)/bin/python -m pip install --no-deps opencv-python-headless==$(OPENCV) lmms-eval==$(LMMS_EVAL)

replicate: install ## Install, then run everything: cases to report (CORES=all)
	$(IN_VENV) snakemake --cores $(CORES)

# Files in their own order: whole workflows first, many small ones at the end (tests/conftest.py). Otherwise those with
# most tests, which are short, go first, and one worker ends alone on a workflow.
# What is compiled is kept, whatever the shell says: otherwise pytest rewrites all tests anew in each worker.
test: install ## Install, then run the tests
	$(IN_VENV) PYTHONDONTWRITEBYTECODE= python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: install ## Check the workflow and the code; change nothing
	$(IN_VENV) snakemake --lint
	$(IN_VENV) snakefmt --check Snakefile workflow
	$(IN_VENV) ruff check
	$(IN_VENV) ruff format --check

format: install ## Bring workflow and code into the form that lint accepts
	$(IN_VENV) snakefmt Snakefile workflow
	$(IN_VENV) ruff check --fix
	$(IN_VENV) ruff format

ledger: install ## Write dvc.yaml from the workflow
	$(IN_VENV) python -m chainofsteps.ledger stages

record: install ## Hash a finished run into dvc.lock, with where and how it ran
	$(IN_VENV) python -m chainofsteps.ledger record

restore: install ## Bring recorded results back from a DVC remote, without a run
	$(IN_VENV) python -m chainofsteps.ledger restore

audit: install ## Say of each result whether it is as recorded, and why not
	$(IN_VENV) python -m chainofsteps.ledger audit

# Not after `install`: that would put back the versions that are to be replaced.
lock: ## Write what .venv holds into requirements.lock and environment.yml
	{ echo '# Made by `make lock`: pip freeze, without the project, without local versions (+cpu). Do not edit.'; \
	  $(VENV)/bin/python -m pip freeze --all --exclude pip --exclude wheel --exclude chainofsteps \
	  | sed -E 's/\+[a-z0-9.]+$$//' | LC_ALL=C sort -f; } > requirements.lock.part
	mv requirements.lock.part requirements.lock
	{ printf '%s\n' '# Made by `make lock` from requirements.lock. Do not edit.' 'name: chainofsteps' 'channels:' \
	    '  - conda-forge' '  - nodefaults' 'dependencies:' '  - python>=3.11.5,<3.12' '  - pip' '  - pip:'; \
	  sed -n '/^[^#]/s/^/      - /p' requirements.lock; } > environment.yml
