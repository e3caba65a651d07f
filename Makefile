# Everything sets itself up: the first target that needs the environment makes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: run test test-pydicom test-real serve fuzz check bench expected clean

run: $(READY) ## convert testdata/clean: one Bundle a line on standard output
	@$(BIN)/dicom2fhir convert testdata/clean

test: $(READY) ## all tests that need no server and no Java
	$(BIN)/python -m pytest

test-pydicom: $(READY) ## those tests again that read DICOM, all of it by pydicom
	$(BIN)/python -m pytest --reader pydicom

test-real: $(READY) ## the official referee, real FHIR servers, a real archive; installs what is missing
	tests/referee/build.sh
	tests/hapi/build.sh
	tests/orthanc/install.sh
	$(BIN)/python -m pytest tests/real

serve: $(READY) ## a real FHIR server to try things on: HAPI FHIR, R4, in memory, at http://127.0.0.1:8080/baseR4
	$(BIN)/python tests/real/servers.py r4 --port 8080

MUTANTS ?= 20000
SEED ?= 1
fuzz: $(READY) ## mutants of small files through both readers: make fuzz MUTANTS=100000 SEED=2
	$(BIN)/python tests/fuzz.py --mutants $(MUTANTS) --seed $(SEED)

check: $(READY) ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_house.py

LARGE ?= 1000000
bench: $(READY) ## speed and memory, as ratios against others on the same files: a quarter of an hour; make bench LARGE=200000
	$(BIN)/python tests/bench.py --show table,stages,slow,million --large $(LARGE)

expected: $(READY) ## write test data, golden output and the README's tables anew
	$(BIN)/python testdata/make.py
	$(BIN)/python tests/check.py --write
	$(BIN)/python tests/readme.py --write

clean:
	rm -rf $(VENV) build dist tests/*/target *.egg-info .mypy_cache .ruff_cache .hypothesis

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")' 1>&2
	@$(PYTHON) -m venv $(VENV) 1>&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fast,test,check]' 1>&2
	@touch $@
