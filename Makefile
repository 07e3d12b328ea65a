# Flowstead: what a person types. Each target sets up what it needs and says what it installs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The pinned tools come first; the environment of the two commands is theirs.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Molecule keeps a scenario's state here instead of in the home directory.
export ANSIBLE_HOME := $(CURDIR)/.cache/ansible

# What `make test` runs in place of the four small roles' own scenarios: one host for all four.
BASE := $(foreach role,host_baseline python iam_credentials database_access,$(role)_default $(role)_alternative)
# The host of the scenario site is the one of gateway_default, too.
ALONE := $(BASE) gateway_default
SCENARIOS := $(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))
# End-to-end tests by the deployment that they share: each group has a local AWS of its own. A file that is named nowhere is in the last group.
upgrades := test_upgrade
releases := test_releases
operations := test_operations test_replacement test_lifecycle
slow := test_slow_aws
network := test_sandbox_network test_sandbox_hosts test_sandbox_databases test_sandbox_clusters test_sandbox_volumes
clients := $(filter-out test_bake $(upgrades) $(releases) $(operations) $(slow) $(network),$(basename $(notdir $(wildcard tests/end_to_end/test_*.py))))
GROUPS := upgrades releases operations slow network clients
# Whole systems, each from its file in examples/deployments to nothing left, with a local AWS of its own.
# Models are served from the deployment that they are promoted in.
SYSTEMS := $(filter-out models,$(patsubst test_%,%,$(basename $(notdir $(wildcard tests/systems/test_*.py)))))
system-promotion: ALSO := tests/systems/test_models.py
# Jobs at a time. They wait for hosts, for databases and for each other's locks: two on each two processors would leave some idle.
JOBS := 3
# Notes what a part takes, for the table at the end.
TIMED = python scripts/timing.py part $@

.PHONY: help tools demo stop clean check check-parts lint lint-ansible lint-scenarios types unit-provisioner unit-cli unit-cli-apart unit-others unit-sandbox unit-slow molecule images baked-debian-13 baked-debian-12 $(SCENARIOS:%=molecule-%) end-to-end $(GROUPS:%=end-to-end-%) systems $(SYSTEMS:%=system-%) all-at-once test bench bench-serving readmes lock

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

tools: ## Install uv and the pinned Python packages into .venv: all that AWS needs
	@scripts/setup tools

demo: ## Set everything up and run the two commands against a local AWS; ends with a URL
	@scripts/setup tools sandbox
	@scripts/demo

stop: ## Stop the demo's local AWS and forget its runs; images stay, so the next demo is quick
	@if [ -x .venv/bin/python ]; then python -m sandbox down --name demo; fi

clean: ## Remove all but apt packages and uv's downloads: containers, networks, images, .venv, caches
	@scripts/clean

check: ## The fast part: lint, types, unit tests
	@scripts/setup tools
	@$(MAKE) -j$$(($$(getconf _NPROCESSORS_ONLN) + 1)) --output-sync=target check-parts

# The longest come first: what begins last ends last.
check-parts: unit-provisioner unit-cli unit-cli-apart lint-ansible unit-others unit-sandbox types lint

lint:
	@ruff check --quiet .
	@ruff format --check --quiet .
	@yamllint --strict .
	@echo "lint: nothing found"

ANSIBLE_LINT := ANSIBLE_INVENTORY=$(CURDIR)/inventory/controller.yml ANSIBLE_INVENTORY_ENABLED=yaml ansible-lint --offline -q

# It starts Ansible for each playbook: those of the scenarios take two thirds of the time, and wait for `make test`, which runs them.
lint-ansible:
	@$(ANSIBLE_LINT) --exclude molecule
	@echo "ansible-lint: nothing found"

lint-scenarios:
	@$(ANSIBLE_LINT) molecule
	@echo "ansible-lint: nothing found in the scenarios"

types:
	@mypy --no-error-summary
	@mypy --no-error-summary roles/database_access/plugin_utils
	@mypy --no-error-summary plugins/modules plugins/callback plugins/inventory
	@mypy --no-error-summary $(filter-out %_databases.py,$(wildcard plugins/action/*.py))
	@mypy --no-error-summary roles/mlflow_release/files/app/flowstead_server
	@mypy --no-error-summary roles/mlflow_data/files/host
	@mypy --no-error-summary roles/mlflow_release/files/bill_of_materials.py roles/mlflow_server/files/container.py
	@mypy --no-error-summary roles/model_server/files/host
	@MYPYPATH=tests/end_to_end mypy --no-error-summary scripts/*.py

# The local AWS changes moto inside its process: its tests run in one of their own.
unit-sandbox:
	@pytest -q -m "not slow" tests/unit/sandbox tests/unit/sandbox_real

unit-provisioner:
	@pytest -q -m "not slow" tests/unit/provisioner

# The longest goes in two, so that at the end no processor waits for it.
APART := $(addprefix tests/unit/provisioner_cli/,test_bake.py test_bake_again.py test_two_at_once.py test_first_contact.py)

unit-cli:
	@pytest -q -m "not slow" tests/unit/provisioner_cli $(APART:%=--ignore=%)

unit-cli-apart:
	@pytest -q -m "not slow" $(APART)

unit-others:
	@pytest -q -m "not slow" $(filter-out tests/unit/provisioner tests/unit/provisioner_cli tests/unit/sandbox tests/unit/sandbox_real,$(patsubst %/,%,$(wildcard tests/unit/*/))) $(wildcard tests/unit/test_*.py)

unit-slow:
	@$(TIMED) pytest -q -m slow --junitxml=.cache/timing/$@.xml tests/unit

molecule: ## Test every role on booted hosts
	@scripts/setup tools sandbox
	@$(MAKE) -j$(JOBS) --output-sync=target $(filter-out $(ALONE:%=molecule-%),$(SCENARIOS:%=molecule-%))

images:
	@$(TIMED) python -m sandbox.real.images

# Most scenarios start from an image with everything installed, as users' hosts do.
baked-debian-13 baked-debian-12: baked-%: images
	@$(TIMED) pytest -v --junitxml=.cache/timing/$@.xml -k $* tests/end_to_end/test_bake.py

# Molecule takes down what it made, unless it is killed: the pipe closes with this shell, however it ends.
$(SCENARIOS:%=molecule-%): molecule-%: images
	@exec 3> >(exec setsid bash -c 'cat; python -m sandbox down --name $(subst _,-,$*)' >/dev/null 2>&1); \
	$(TIMED) molecule test -s $* 3>&-

# Empty once a step of `make test` has baked.
BAKED_13 := baked-debian-13
BAKED_12 := baked-debian-12
molecule-mlflow_default molecule-gateway_default: $(BAKED_13)
molecule-mlflow_alternative molecule-gateway_alternative: $(BAKED_12)

end-to-end: ## The two commands, real clients and a real browser against a local AWS of its own
	@scripts/setup tools sandbox browser
	@$(MAKE) -j$(JOBS) --output-sync=target $(GROUPS:%=end-to-end-%)

$(GROUPS:%=end-to-end-%): end-to-end-%: images
	@$(TIMED) pytest -v --junitxml=.cache/timing/$@.xml $($*:%=tests/end_to_end/%.py)

$(filter-out end-to-end-network end-to-end-slow,$(GROUPS:%=end-to-end-%)): $(BAKED_13)

systems: ## Each system of examples/deployments/, from its file to nothing left, in a local AWS of its own
	@scripts/setup tools sandbox
	@$(MAKE) -j$(JOBS) --output-sync=target $(SYSTEMS:%=system-%)

$(SYSTEMS:%=system-%): system-%: images $(BAKED_13)
	@$(TIMED) pytest -v --junitxml=.cache/timing/$@.xml tests/systems/test_$*.py $(ALSO)

# What others wait for is a step of its own, with a scenario that takes as long: make comes back to what had to wait only when it has begun
# all else. In the next step the longest come first, so that at the end no processor waits for one of them.
FIRST := baked-debian-13 baked-debian-12 molecule-base_roles_default
# Slow unit tests use one processor: beside others the second has work.
ALL := unit-slow end-to-end-upgrades $(SYSTEMS:%=system-%) end-to-end-releases end-to-end-operations molecule-site molecule-site_debian_12 end-to-end-clients molecule-mlflow_default
ALL += $(filter-out $(FIRST) $(ALL) $(ALONE:%=molecule-%),$(SCENARIOS:%=molecule-%) $(GROUPS:%=end-to-end-%))
all-at-once: $(ALL)

test: ## Set everything up and run all tests; ends with a table of what took how long
	@scripts/setup tools sandbox browser
	@python scripts/timing.py begin
	@status=0; { $(MAKE) -j --output-sync=target check-parts lint-scenarios images && \
	$(MAKE) -j$(JOBS) --output-sync=target $(FIRST) && \
	$(MAKE) -j$(JOBS) --keep-going --output-sync=target all-at-once BAKED_13= BAKED_12=; } || status=$$?; \
	python scripts/timing.py report; exit $$status

bench: ## Measure, and print a table
	@scripts/setup tools sandbox
	@python scripts/bench.py

bench-serving: ## Measure what a server carries compared with a plain MLflow, and print a table
	@scripts/setup tools sandbox load
	@python scripts/bench_serving.py

readmes: ## Write the lists of variables in the roles' READMEs
	@scripts/setup tools
	@python scripts/role_readmes.py

lock: ## Write the lock of a release: make lock MLFLOW=3.17.2
	@scripts/setup tools
	@python scripts/lock_mlflow.py $(MLFLOW)
