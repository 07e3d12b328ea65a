# Flowstead: what a person types. Each target sets up what it needs and says what it installs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The pinned tools come first; the environment of the two commands is theirs.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Molecule keeps a scenario's state here instead of in the home directory.
export ANSIBLE_HOME := $(CURDIR)/.cache/ansible

# The longest first, so that at the end no core waits for one of them.
LONGEST := site site_debian_12 gateway_default gateway_alternative mlflow_default mlflow_alternative
SCENARIOS := $(LONGEST) $(filter-out $(LONGEST),$(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml))))

.PHONY: help tools demo stop clean check lint lint-ansible types unit-provisioner unit-face unit-sandbox unit-slow molecule images $(SCENARIOS:%=molecule-%) end-to-end end-to-end-upgrades end-to-end-others test bench readmes lock

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

tools: ## Install uv and the pinned Python packages into .venv: all that AWS needs
	@scripts/setup tools

demo: ## Set everything up and run the two commands against a local AWS; ends with a URL
	@scripts/setup tools sandbox
	@scripts/demo

stop: ## Stop the demo's local AWS; images stay, so the next demo is quick
	@if [ -x .venv/bin/python ]; then python -m sandbox down --name demo; fi

clean: ## Remove everything but apt packages: containers, networks, images, .venv, caches
	@scripts/clean

check: ## The fast part: lint, types, unit tests
	@scripts/setup tools
	@$(MAKE) -j --output-sync=target lint lint-ansible types unit-provisioner unit-face unit-sandbox

lint:
	@ruff check --quiet .
	@ruff format --check --quiet .
	@yamllint --strict .
	@echo "lint: nothing found"

lint-ansible:
	@ANSIBLE_INVENTORY=$(CURDIR)/inventory/controller.yml ANSIBLE_INVENTORY_ENABLED=yaml ansible-lint --offline -q
	@echo "ansible-lint: nothing found"

types:
	@mypy --no-error-summary
	@mypy --no-error-summary roles/database_access/plugin_utils

# The local AWS changes moto inside its process: its tests run in one of their own.
unit-sandbox:
	@pytest -q -m "not slow" tests/unit/sandbox tests/unit/sandbox_real

unit-provisioner:
	@pytest -q -m "not slow" tests/unit/provisioner

unit-face:
	@pytest -q -m "not slow" $(filter-out tests/unit/provisioner tests/unit/sandbox tests/unit/sandbox_real,$(patsubst %/,%,$(wildcard tests/unit/*/))) $(wildcard tests/unit/test_*.py)

unit-slow:
	@pytest -q -m slow tests/unit/provisioner tests/unit/roles

# Each scenario has a local AWS of its own: two at a time, on images that are there before.
molecule: ## Test every role on booted hosts
	@scripts/setup tools sandbox
	@$(MAKE) images
	@$(MAKE) -j2 --output-sync=target $(SCENARIOS:%=molecule-%)

images:
	@python -m sandbox.real.images debian-13 debian-12 postgresql-17 postgresql-15

# Molecule takes down what it made, unless it is killed: the pipe closes with this shell, however it ends.
$(SCENARIOS:%=molecule-%): molecule-%:
	@exec 3> >(exec setsid bash -c 'cat; python -m sandbox down --name $(subst _,-,$*)' >/dev/null 2>&1); \
	start=$$SECONDS; molecule test -s $* 3>&-; echo "molecule: $* passed in $$((SECONDS - start)) s"

# Upgrades take as long as all the others together: each half has a local AWS of its own.
end-to-end: ## The two commands, real clients and a real browser against a local AWS of its own
	@scripts/setup tools sandbox browser
	@$(MAKE) -j2 --output-sync=target end-to-end-upgrades end-to-end-others

end-to-end-upgrades:
	@pytest -v --durations=10 tests/end_to_end/test_upgrade.py

end-to-end-others:
	@pytest -v --durations=10 --ignore=tests/end_to_end/test_upgrade.py tests/end_to_end

test: ## Set everything up and run all tests
	@scripts/setup tools sandbox browser
	@$(MAKE) check
	@$(MAKE) -j2 --output-sync=target unit-slow images
	@$(MAKE) molecule end-to-end

bench: ## Measure, and print a table
	@scripts/setup tools sandbox
	@python scripts/bench.py

readmes: ## Write the tables of variables in the roles' READMEs
	@scripts/setup tools
	@python scripts/role_readmes.py

lock: ## Write the lock of a release: make lock MLFLOW=3.17.2
	@scripts/setup tools
	@python scripts/lock_mlflow.py $(MLFLOW)
