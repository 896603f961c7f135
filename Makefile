# Two commands do everything: `make run` and `make test`.
#
# TORCH_INDEX: an index with CPU builds of torch, to spare several GB of CUDA libraries:
#   make run TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
TORCH_INDEX ?=
PIP_FLAGS := --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: run test check lint validate benchmark fuzz schemas clean

run: $(INSTALLED)
	$(BIN)/powerml optimize

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup

check: lint test

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Slow: proves that the region is the training, and runs the tests that take minutes (about half an
# hour on 2 cores).
validate: $(INSTALLED)
	$(BIN)/python -m pytest -m validation
	$(BIN)/python benchmarks/region.py

benchmark: $(INSTALLED)
	$(BIN)/python benchmarks/repeatability.py
	$(BIN)/python benchmarks/times.py
	$(BIN)/python benchmarks/environment.py

# A campaign of bad inputs, ten minutes on 2 cores; what it finds is in fuzz-findings/.
fuzz: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --editable '.[fuzz]'
	$(BIN)/python -m fuzz

# Write the JSON schemas of the records and the tables of options again, after a change that is meant.
schemas: $(INSTALLED)
	$(BIN)/python scripts/write_schemas.py
	$(BIN)/python scripts/write_option_tables.py

clean:
	rm -rf $(VENV) build src/*.egg-info src/powerml/guest/*.so src/powerml/host/*.so src/powerml/memory/*.so \
	       src/powerml/scopes/*.so
	rm -f $(addprefix src/powerml/instrument/,powerml-*-linux built_for not_built plugin_not_built)

$(INSTALLED): pyproject.toml setup.py constraints.txt src/powerml/guest/_client_requests.c src/powerml/host/_loops.c \
              src/powerml/scopes/_requests.c \
              src/powerml/memory/_allocations.c \
              $(wildcard src/powerml/instrument/*.[ch])
	scripts/install_system_packages.sh "$(PYTHON)"
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --editable '.[torch,litert,dashboard,dask,data,storage,dev]'
	touch $@
