# One command each. Every target makes what it needs once, and uses it again until
# pyproject.toml or constraints.txt change.

# Inherited, this would make every start compile the whole of Dagster and Beam again.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
OURS := klio_dagster asset_defs beam_jobs sensors
# A stamp's name carries what it depends on, so a checkout that only touches files sets up nothing.
hash = $(shell cat $(1) 2>/dev/null | cksum | cut -d ' ' -f 1)
VENV := .venv/.made-$(shell pwd | cksum | cut -d ' ' -f 1)
# The place is in both names: a `.venv` that was copied or moved is made anew.
SETUP := .venv/.setup-$(call hash,pyproject.toml constraints.txt)-$(shell pwd | cksum | cut -d ' ' -f 1)
DEBIAN := .venv/.debian-$(call hash,tools/debian-packages.sh)

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-streaming dev test test-slow test-engines test-kill test-kill-runs test-kill-messages \
	test-versions lint bench bench-engines bench-scale bench-streaming proto screenshots clean distclean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(SETUP) ## the track catalogue from nothing: computed, then skipped
	@$(BIN)/python tools/demo.py

demo-streaming: $(SETUP) $(DEBIAN) ## the same asked for by messages: Pub/Sub's emulator, Dagster's daemon, a live table
	@$(BIN)/python tools/demo_streaming.py

dev: $(SETUP) ## Dagster's UI on the same catalogue
	@$(BIN)/klio dev

test: $(SETUP) $(DEBIAN) ## all tests, on three processes: they often wait (ARGS=... goes to pytest)
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not versions and not kill_long and not slow and not engines" $(ARGS)

test-slow: $(SETUP) ## what takes minutes: backfills of 40 and of 1,000 entities, locations, queues, a run stopped
	@$(BIN)/python -m pytest -m slow $(ARGS)

# Cold about four minutes of setting up; each part is made once, into .cache/engines.
test-engines: $(SETUP) ## Flink with two task managers, its job server and Prism: brought once, then what runs on them
	@$(BIN)/python -m tests.services.engine_programs
	@$(BIN)/python -m pytest -m engines $(ARGS)

# Both are gone on with when they are started again; POINT="after pull" is about messages alone.
SEED ?= 1
test-kill: $(if $(POINT),,test-kill-runs) test-kill-messages ## kills -9, of runs and of messages (hours)

test-kill-runs: $(SETUP) ## KILLS=100 kills -9 of runs at random moments of SEED=1
	@$(BIN)/python -m tests.kill.many_runs --kills $(or $(KILLS),100) --seed $(SEED) $(ARGS)

test-kill-messages: $(SETUP) ## KILLS=3 kills -9 at each POINT of a message's way, with a real daemon
	@$(BIN)/python -m tests.kill.many_messages --kills $(or $(KILLS),3) \
	    $(if $(POINT),--point "$(POINT)") $(ARGS)

test-versions: $(SETUP) ## the oldest and newest Dagster, Python 3.12 and 3.13
	@$(BIN)/python tools/test_versions.py $(ARGS)

lint: $(SETUP) ## format, rules, types, directions between the rooms, sizes, public names
	@$(BIN)/ruff format --check --quiet . || { echo 'ruff format: run $(BIN)/ruff format .'; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/pyright --project pyproject.toml --pythonpath $(BIN)/python
	@said=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$said"; exit 1; }
	@$(BIN)/python -m pytest -q -p no:randomly \
	    $(addprefix tests/contract/test_,file_sizes.py public_names.py dagster_internals.py)

bench: $(SETUP) ## every budget beside its baseline: a table, and JSON in benchmarks/results
	@$(BIN)/python benchmarks/run.py $(ARGS)

bench-scale: $(SETUP) $(DEBIAN) ## the same with 100,000 and 1,000,000 entities (minutes, gigabytes)
	@$(BIN)/python benchmarks/run.py --scale $(ARGS)

# protobuf 5, 6 and 7 all take what the compiler of 5.26 generates; later ones check that the runtime
# is not newer than themselves by more than a major version. It wants a protobuf of its own.
PROTOC := grpcio-tools==1.63.2 setuptools==80.9.0
proto: $(SETUP) ## klio_pb2.py out of klio.proto
	@rm -rf .venv-proto && $(BIN)/python -m venv .venv-proto
	@.venv-proto/bin/python -m pip install --quiet --disable-pip-version-check $(PROTOC)
	@cd klio_dagster/message && ../../.venv-proto/bin/python -m grpc_tools.protoc \
	    -I . --python_out=. --pyi_out=. klio.proto
	@rm -rf .venv-proto

bench-streaming: $(SETUP) $(DEBIAN) ## messages: throughput, latency, a backlog of 100,000, an idle sensor (15 minutes)
	@$(BIN)/python benchmarks/run.py --streaming $(ARGS)

bench-engines: $(SETUP) ## the same recordings here, on Prism and on Flink (10 minutes)
	@$(BIN)/python -m tests.services.engine_programs
	@$(BIN)/python benchmarks/run.py --engines $(ARGS)

screenshots: $(SETUP) $(DEBIAN) ## the pictures of the UI in docs/images, taken anew
	@$(BIN)/python tools/screenshots.py

setup: $(SETUP) ## the virtual environment in .venv, and nothing else

clean: ## remove the demo's catalogue and all caches, keep .venv
	rm -rf .klio .pytest_cache .ruff_cache .hypothesis .import_linter_cache benchmarks/results dist build
	find $(OURS) tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## the same, and the virtual environments
	rm -rf .venv .venv-versions .venv-proto

# python3.11 may be a shim without an interpreter behind it, so each is asked.
$(VENV):
	@for python in python3.11 python3; do \
	    if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then \
	        rm -rf .venv && $$python -m venv .venv && touch $@ && exit 0; \
	        echo 'make: the venv module does not work; install the package python3-venv' >&2; exit 1; \
	    fi; \
	done; \
	echo 'make: no Python 3.11 to 3.13 found; install one as python3.11 or python3' >&2; exit 1

# Byte-compiled here, on all cores, and not by pip on one. Some packages ship files for other
# Pythons that do not compile, hence the `-`. librosa's numba cache is filled here too: the first
# import without it takes 20 s, and would be counted as the first run's.
$(SETUP): | $(VENV)
	@rm -f .venv/.setup-*
	@echo 'setup: installing into .venv (some minutes, once)'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary --no-compile \
	    -c constraints.txt -e '.[dev]'
	-@$(BIN)/python -m compileall -qq -j 0 .venv/lib >/dev/null
	@$(BIN)/python -m compileall -qq $(OURS)
	@$(BIN)/python -m klio_dagster.engine.warm_up
	@touch $@

$(DEBIAN): tools/debian-packages.sh | $(VENV)
	@sh tools/debian-packages.sh
	@touch $@
