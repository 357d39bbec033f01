# Everything happens in local virtual environments; nothing is installed globally.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := -q --disable-pip-version-check
# xdist workers: one per core; the live tests (they own the swap areas of the machine) run alone afterwards
PYTEST := $(BIN)/python -m pytest -q

.PHONY: help demo test check test-oldest test-plain live bench fuzz compositions golden traces docs bpf clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/.run: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP) -e '.[fast]'
	touch $@

$(BIN)/.dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install $(PIP) -e '.[fast,dev]'
	touch $@ $(BIN)/.run

demo: $(BIN)/.run  ## compare three swap layouts on a real recording (sets itself up)
	$(BIN)/swaptrace diff traces/redis_zram.parquet -p swap-table -p vswap-v6 -p flash-vswap

check: $(BIN)/.dev  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check  ## all checks and all tests (sets itself up)
	$(PYTEST) -n 2 --dist worksteal -m 'not live and not bench' --doctest-modules tests swaptrace
	$(PYTEST) -m live tests/live

live: $(BIN)/.dev  ## only the tests that record this machine's kernel
	$(PYTEST) -m live tests/live

test-plain: $(BIN)/.dev  ## the tests without numba: same results from the numpy engine
	SWAPTRACE_ENGINE=numpy $(PYTEST) -n 2 --dist worksteal -m 'not live and not bench' tests

test-oldest:  ## the tests with the lowest versions that pyproject.toml allows
	test -x $(VENV)-oldest/bin/python || $(PYTHON) -m venv $(VENV)-oldest
	$(PYTHON) tests/oldest.py > $(VENV)-oldest/constraints.txt
	$(VENV)-oldest/bin/pip install $(PIP) -c $(VENV)-oldest/constraints.txt -e '.[fast,dev]'
	$(VENV)-oldest/bin/python -m pytest -q -n 2 --dist worksteal -m 'not live and not bench' tests

bench: $(BIN)/.dev  ## speed and memory on 10 M and 40 M events, as ratios of one run
	$(BIN)/python -m tests.bench
	$(PYTEST) -s -m bench tests/bench

fuzz: $(BIN)/.dev  ## import 20,000 damaged recordings of each format: make fuzz FUZZ='csv --variants 100000'
	$(BIN)/python -m tests.fuzz $(FUZZ)

compositions: $(BIN)/.dev  ## 3,000 random compositions against their twins and the contract: make compositions EXAMPLES=20000
	SWAPTRACE_EXAMPLES=$(or $(EXAMPLES),3000) $(PYTEST) tests/conformance/test_compositions.py

golden: $(BIN)/.dev  ## accept the current figures as the golden reports of the sample traces
	$(BIN)/python -m tests.golden

traces: $(BIN)/.dev  ## cut the sample traces again: make traces RECORDINGS=folder
	$(BIN)/python traces/make_traces.py $(RECORDINGS)

docs: $(BIN)/.dev  ## write the generated pages of docs/
	$(BIN)/python -m tests.docs

# Only for whoever changes the BPF programs: clang (>= 14), llvm-strip and libbpf-dev; the object is in the repository.
BPF := swaptrace/capture/bpf
CLANG ?= clang
LLVM_STRIP ?= llvm-strip
BPF_FLAGS := -g -O2 -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror -target bpf -D__TARGET_ARCH_x86 -fdebug-compilation-dir=.

bpf:  ## build the object of the BPF tier (clang, libbpf-dev)
	cd $(BPF) && $(CLANG) $(BPF_FLAGS) -c swaptrace.bpf.c -o swaptrace.bpf.o
	$(LLVM_STRIP) -g $(BPF)/swaptrace.bpf.o

clean:  ## remove the virtual environments and caches
	rm -rf $(VENV) $(VENV)-oldest build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
