# Everything a fresh Debian or Ubuntu machine with Python >= 3.11 and make needs: `make demo` and `make test` set up by themselves.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test check types lint layers bench ingest faults mutants coverage vessim soak kills setup lock clean help

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 10

demo: $(READY) mosquitto $(if $(SLURM),slurm) ## broker, simulated site, daemon and page; FOR=2min stops by itself, BUILDING=telegraf, plain or nested, SLURM=1
	@$(BIN)/facility demo $(if $(BUILDING),--building $(BUILDING)) $(if $(SLURM),--slurm) $(if $(FOR),--for $(FOR))

# Two workers test what real processes do in real time, and mostly wait.
WORKERS := $(shell echo $$(($$(nproc) + 2)))

test: $(READY) mosquitto postgresql slurm chromium prometheus ## every test, on all processors
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

check: $(READY) types lint layers docs test ## types, lint, layers, docs, tests

types: $(READY) ## mypy --strict
	$(BIN)/mypy

lint: $(READY) ## ruff
	$(BIN)/ruff check .

layers: $(READY) ## imports go down only
	$(BIN)/lint-imports

docs: $(READY) ## doctests, and the README's map of the house is true
	$(BIN)/python -m pytest --doctest-modules models facility tests/test_readme.py

bench: $(READY) ## times and memory over the solver's, arrays' and rivals'; QUICK=1 in a minute, SIZE="S M", SOAK=10000
	@$(BIN)/python -m tests.bench.bench $(if $(QUICK),--quick) $(if $(SIZE),--size $(SIZE)) $(if $(SOAK),--soak $(SOAK))

faults: $(READY) mosquitto ## every fault with the real parts, then each test without its fault, when it must fail; FUZZ=100000
	$(BIN)/python -m pytest tests/faults $(if $(FUZZ),--fuzz $(FUZZ))
	$(BIN)/python -m pytest tests/faults --no-inject

mutants: $(READY) ## every hand-made mistake of the safety code in a copy of the tree, which its tests must notice; ONLY=arbitrate
	$(BIN)/python -m tests.mutants.run $(ONLY)

coverage: $(READY) mosquitto postgresql slurm chromium prometheus ## branches that the tests take, also in processes they start: 95 % of the whole, all of what judges; half an hour
	rm -f .coverage .coverage.*
	-$(BIN)/python -m coverage run -m pytest -q # slower than the clocks of some tests allow; whether they pass is the business of `make test`
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m tests.covered

vessim: $(READY) ## thirty days against a plant made of Vessim (installs it), with faults; DAYS=3, SEED=2
	@$(BIN)/python -c 'import vessim' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check 'vessim>=0.16,<0.17'
	@$(BIN)/python -m tests.vessim.days $(if $(DAYS),--days $(DAYS)) $(if $(SEED),--seed $(SEED))

soak: $(READY) ## simulated days with faults, a seed each, on every core; DAYS=1000; goes on where it ended
	@$(BIN)/python -m tests.simulation.soak --days $(or $(DAYS),1000)

kills: $(READY) mosquitto ## kill -9 the daemon amid commands, KILLS=500 times; goes on where it stopped
	$(BIN)/python -m tests.faults.kills $(or $(KILLS),500)

ingest: $(READY) mosquitto postgresql ## what a reading costs from the broker into the history; FOR=5min
	@$(BIN)/python -m tests.bench.ingest $(if $(FOR),--for $(FOR))

setup: $(READY) mosquitto postgresql slurm chromium prometheus ## virtual environment, broker, database, Slurm, browser and Prometheus, nothing else

lock: ## pin what pyproject.toml asks for, with hashes
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-strip-extras --no-header --python-version 3.11 \
		--extra dev pyproject.toml -o requirements.lock

clean: ## remove what was made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "facility needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "installing python3-venv through the system's package manager"; $(call install,python3-venv); }
	@echo "installing into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

.PHONY: mosquitto postgresql slurm chromium prometheus docs
mosquitto:
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || { \
		echo "installing mosquitto through the system's package manager"; $(call install,mosquitto mosquitto-clients); }
	@command -v mosquitto_pub >/dev/null || { \
		echo "installing mosquitto-clients through the system's package manager"; $(call install,mosquitto-clients); }

postgresql:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
		echo "installing postgresql through the system's package manager, for the tests of the history"; $(call install,postgresql); }

# Where a system has no packages of it, its tests say so and are skipped.
SLURM_PACKAGES := slurm-wlm slurmrestd slurm-wlm-jwt-plugin munge
slurm: $(READY)
	@$(BIN)/python -c 'from facility.simulate.slurm import missing; raise SystemExit(bool(missing(rest=True)))' || { \
		echo "installing Slurm through the system's package manager, for the tests of its agent"; \
		{ $(call install,$(SLURM_PACKAGES)); } || echo "Slurm cannot be installed here: its tests will be skipped"; }

# Where no package has a browser that runs by itself (a snap does not), its tests say so and are skipped.
chromium:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
		echo "installing chromium through the system's package manager, for the tests of the report"; \
		{ $(call install,chromium); } || echo "chromium cannot be installed here: tests/browser will be skipped"; }

prometheus:
	@{ command -v promtool && command -v prometheus; } >/dev/null || { \
		echo "installing prometheus through the system's package manager, for the tests of metrics"; $(call install,prometheus); }

# The tests and the demonstration start brokers and databases of their own on free ports; those of the packages are not needed running.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
define install
$(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $(1) >/dev/null
endef
