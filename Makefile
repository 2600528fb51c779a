# `make demo` runs the main job on the synthetic city, `make test` the tests, `make test-slow` those that take long. Each
# sets up `.venv` first. Environments of their own have `make test-mmdet3d`, which tests the networks inside mmdet3d, and
# `make test-numpy2`, which tests on numpy 2 what the official kit holds on numpy 1 elsewhere, and the reader of py123d's
# logs beside that package and all that it brings.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MMDET3D_VENV := .venv-mmdet3d
NUMPY2_VENV := .venv-numpy2
# Installs into an environment. Compiling byte code of all that is installed takes longer than installing it: Python
# compiles what it imports.
pip = $(1)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt
install = $(if $(shell command -v uv),uv pip install --quiet --python $(1)/bin/python -c constraints.txt,$(pip))
# What git knows, into a folder of its own.
copy = rm -rf $(1) && mkdir -p $(1) && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t $(1)
OUT ?= out/demo
ONLY ?=
MUTANTS := out/mutants

.PHONY: demo test test-slow test-mmdet3d test-numpy2 mutants mutants-compiled lint clean

demo: $(VENV)/.installed
	$(BIN)/python tools/demo.py --out $(OUT)

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

test-mmdet3d: $(MMDET3D_VENV)/.installed
	$(MMDET3D_VENV)/bin/python -m pytest tests/mmdet3d

test-numpy2: $(NUMPY2_VENV)/.installed
	$(NUMPY2_VENV)/bin/python -c 'import numpy, py123d; assert numpy.__version__ >= "2"'
	$(NUMPY2_VENV)/bin/python -m pytest -n 2 --dist worksteal -k 'not browser' \
	    tests/scenes tests/tracking tests/evaluation tests/visualization tests/tools/test_track.py
	$(NUMPY2_VENV)/bin/python -m pytest -m 'slow or not slow' tests/streamtrack

# `[tool.mutmut]` in pyproject.toml says which modules, by which tests; in a copy each.
mutants: $(VENV)/.installed-mutants
	$(call copy,$(MUTANTS))
	sed -i '/"evaluation\/engine\/\*\.py",/d' $(MUTANTS)/pyproject.toml
	cd $(MUTANTS) && OMP_NUM_THREADS=1 $(CURDIR)/$(BIN)/mutmut run --max-children 2 $(ONLY) > mutmut.log
	$(BIN)/python tests/mutants.py $(MUTANTS)

# mutmut leaves decorated functions alone: without numba's decorators what is compiled takes part as the Python that it
# is, by its own tests alone. Others take hours then, or call it from what is compiled.
mutants-compiled: $(VENV)/.installed-mutants
	$(call copy,$(MUTANTS)-compiled)
	cd $(MUTANTS)-compiled && sed -i -E '/^@compiled\(/d' evaluation/engine/*.py
	cd $(MUTANTS)-compiled && sed -i -E '/^    "tests\/(detection|scenes|tracking)\//d' pyproject.toml
	cd $(MUTANTS)-compiled && NUMBA_DISABLE_JIT=1 OMP_NUM_THREADS=1 $(CURDIR)/$(BIN)/mutmut run --max-children 2 \
	    $(or $(ONLY),'evaluation.engine.*') > mutmut.log
	$(BIN)/python tests/mutants.py $(MUTANTS)-compiled

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A stamp a set of packages: a second run finds it and installs nothing.
$(VENV)/.installed: setup.py constraints.txt | $(VENV)/bin/python
	$(call install,$(VENV)) -e '.[detection]'
	@touch $@

$(VENV)/.installed-test: setup.py constraints.txt | $(VENV)/bin/python
	$(call install,$(VENV)) -e '.[test]'
	@touch $@ $(VENV)/.installed

$(NUMPY2_VENV)/.installed: setup.py constraints.txt | $(NUMPY2_VENV)/bin/python
	$(call install,$(NUMPY2_VENV)) -e '.[detection,test-numpy2,py123d]'
	@touch $@

$(VENV)/.installed-mutants: setup.py constraints.txt | $(VENV)/bin/python
	$(call install,$(VENV)) -e '.[test,mutants]'
	@touch $@ $(VENV)/.installed-test $(VENV)/.installed

# mmcv has no wheel for today's torch: its build, of some minutes, takes torch from the environment and setuptools of the
# time. The bounds that mmdet3d and its parts set on packages are older than what they run with: hence no dependencies.
$(MMDET3D_VENV)/.installed: setup.py constraints.txt | $(MMDET3D_VENV)/bin/python
	$(call pip,$(MMDET3D_VENV)) 'setuptools<81' wheel ninja -e '.[test,mmdet3d]'
	$(call pip,$(MMDET3D_VENV)) --no-build-isolation --no-deps mmcv==2.1.0
	$(call pip,$(MMDET3D_VENV)) --no-deps mmdet==3.3.0 mmdet3d==1.4.0 lyft-dataset-sdk==0.0.8
	@touch $@

$(VENV)/bin/python $(MMDET3D_VENV)/bin/python $(NUMPY2_VENV)/bin/python:
	$(PYTHON) -m venv $(@D:/bin=)

clean:
	rm -rf $(VENV) $(MMDET3D_VENV) $(NUMPY2_VENV) out
