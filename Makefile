# Everything is made by the target that needs it: on a machine with git and Python (with venv), start with `make demo`.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The first Python that is new enough; say `make PYTHON=/path/to/python` to choose.
PYTHON ?= $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(name) -c 'import sys, venv; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
JOBS ?= auto
# Much of what a test does is to wait, for a disk or a process: with two workers more than cores no core waits as well.
TEST_JOBS = $(if $(filter auto,$(JOBS)),$(shell echo $$(( $$(nproc) + 2 ))),$(JOBS))
PYTEST_ARGS ?=
SEED ?= 1

.PHONY: help venv demo test shap example-pytorch oracle hostile fuzz soak-serve soak-pull bad-models open-inference mlflow-client bench-serve limits torture torture-kills torture-cuts torture-lives audit-torture check check-format check-lint check-types check-imports check-schemas format constraints clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(READY) ## Make the virtual environment in .venv

$(READY): pyproject.toml constraints.txt
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer with the venv module is needed; say which: make PYTHON=/path/to/python' >&2; exit 1; }
	@test -x $(BIN)/python || { echo 'making $(VENV) ...' >&2; $(PYTHON) -m venv $(VENV); }
	@echo 'installing what constraints.txt pins into $(VENV); the first time takes a minute or two ...' >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 \
		--constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -m compileall -q runner
	@touch $@

demo: $(READY) ## Show one pipeline from the first plan to a live prediction (about half a minute)
	@$(BIN)/python examples/demo.py

test: $(READY) ## Run the tests
	@$(BIN)/python -m pytest --quiet --numprocesses $(TEST_JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

shap: $(READY) ## Install shap (210 MB) into .venv, so that its tests run too
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'shap>=0.48'

# A Python that has PyTorch; the runner stays in .venv, and stages get an environment of their own.
TORCH_PYTHON ?= /usr/bin/python3

example-pytorch: $(READY) ## Run examples/pytorch with the PyTorch of TORCH_PYTHON, as apt-get install python3-torch brings it
	@$(TORCH_PYTHON) -c 'import torch, yaml' || { echo 'PyTorch is not there: apt-get install --no-install-recommends python3-torch' \
		'(650 MB), or say which Python has torch and pyyaml: make example-pytorch TORCH_PYTHON=/path/to/python' >&2; exit 1; }
	@$(TORCH_PYTHON) -m venv --without-pip --system-site-packages $(VENV)/pytorch
	@$(BIN)/python -m pip --python $(VENV)/pytorch/bin/python install --quiet --disable-pip-version-check \
		--constraint constraints.txt 'safetensors>=0.4'
	@WITH_TORCH=$(CURDIR)/$(VENV)/pytorch/bin/python $(BIN)/python -m pytest --quiet tests/packaging/test_example_pytorch.py $(PYTEST_ARGS)

audit-torture: $(READY) ## Do everything to a ledger that can be done, and see all of it found (17 minutes on two cores; SEED=1)
	@SEED=$(SEED) $(BIN)/python -m pytest --quiet --numprocesses $(JOBS) tests/audit/torture.py $(PYTEST_ARGS)

FUZZ ?= 100000

hostile: $(READY) ## Try every hostile repository of the corpus, not one in four (HOSTILE=all)
	@HOSTILE=all $(BIN)/python -m pytest --quiet --numprocesses $(JOBS) --dist load tests/hostile/test_corpus.py $(PYTEST_ARGS)

fuzz: $(READY) ## Mutate what a stranger may write FUZZ times from SEED on; what fails is left in tests/hostile/corpus/
	@FUZZ=$(FUZZ) SEED=$(SEED) $(BIN)/python -m pytest --quiet --numprocesses $(JOBS) --dist load tests/hostile/many_mutations.py $(PYTEST_ARGS)

SWAPS ?= 1000
BODIES ?= 100000

soak-serve: $(READY) ## Swap served models SWAPS times under eight clients, and send BODIES rough bodies
	@SWAPS=$(SWAPS) BODIES=$(BODIES) SEED=$(SEED) $(BIN)/python -m pytest --quiet tests/serve -k 'swapped or no_body' $(PYTEST_ARGS)

RELEASES ?= 60

soak-pull: $(READY) ## Release RELEASES models to two servers while the remote comes and goes (SEED=1)
	@RELEASES=$(RELEASES) SEED=$(SEED) $(BIN)/python -m pytest --quiet -s tests/delivery/soak.py $(PYTEST_ARGS)

BAD ?= 240

bad-models: $(READY) ## Offer a server BAD models that must not be served while four clients ask the good one (SEED=1)
	@BAD_MODELS=$(BAD) SEED=$(SEED) $(BIN)/python -m pytest --quiet tests/serve/test_bad_folders.py $(PYTEST_ARGS)

# The official document of the protocol at a commit; say which file where there is no network.
OPEN_INFERENCE ?= $(VENV)/open_inference_rest.yaml
OPEN_INFERENCE_COMMIT := 18d5991e9e45d291f53103cc79e13ecc6212ffae
EXAMPLES ?= 500

open-inference: $(READY) ## Hold the server's answers against the official OpenAPI file of the Open Inference Protocol (EXAMPLES=500)
	@test -s '$(OPEN_INFERENCE)' || curl --fail --silent --show-error --location --output '$(OPEN_INFERENCE)' \
		https://raw.githubusercontent.com/kserve/open-inference-protocol/$(OPEN_INFERENCE_COMMIT)/specification/protocol/open_inference_rest.yaml
	@OPEN_INFERENCE='$(abspath $(OPEN_INFERENCE))' EXAMPLES=$(EXAMPLES) SEED=$(SEED) \
		$(BIN)/python -m pytest --quiet tests/serve/test_openapi.py $(PYTEST_ARGS)

mlflow-client: $(READY) ## Ask the server by MLflow's own client, in an environment beside .venv (mlflow-skinny, 100 MB)
	@site='import sysconfig; print(sysconfig.get_path("purelib"))'; test -x $(VENV)/mlflow/bin/python || { \
		$(BIN)/python -m venv $(VENV)/mlflow; \
		$(BIN)/python -c "$$site" > "$$($(VENV)/mlflow/bin/python -c "$$site")/beside.pth"; }
	@$(VENV)/mlflow/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt 'mlflow-skinny==3.17.2'
	@WITH_MLFLOW=$(CURDIR)/$(VENV)/mlflow/bin/python $(BIN)/python -m pytest --quiet tests/serve/test_mlflow_client.py $(PYTEST_ARGS)

bench-serve: $(READY) ## Requests per second of runner serve beside others (PEERS and MLFLOW: folders of programs; WRK=1, WRITE=docs/serving.md)
	@$(BIN)/python -m benchmarks.serving $(if $(PEERS),--peers $(PEERS)) $(if $(MLFLOW),--mlflow $(MLFLOW)) $(if $(WRK),--wrk) $(if $(WRITE),--write $(WRITE))

limits: $(READY) ## Show what specs at their bounds take: CPU seconds and memory
	@$(BIN)/python -m tests.hostile.limits

torture: torture-kills torture-cuts torture-lives audit-torture ## Try for hours to break what must never break; say SEED=N to replay

KILLS ?= 10000
KILLS_ARGS ?=
CUTS_ARGS ?=

torture-kills: $(READY) ## Kill a runner at least KILLS times, in whole stories, in every way there is, and look whether anything was lost
	@$(BIN)/python -m tests.torture.torture --kills $(KILLS) --seed $(SEED) $(KILLS_ARGS)

torture-cuts: $(READY) ## Cut the connection that pushes results after every single byte
	@$(BIN)/python -m tests.torture.cuts $(CUTS_ARGS)

torture-lives: $(READY) ## Live a million lives of simulated runners (SIM_SEED, SIM_SCHEDULES, SIM_SECONDS)
	@$(BIN)/python -m tests.simulator.torture

check: check-format check-lint check-types check-imports check-schemas ## Check all that is no test; -k shows all that is wrong

check-format: $(READY)
	$(BIN)/ruff format --check .

check-lint: $(READY)
	$(BIN)/ruff check .

check-types: $(READY)
	$(BIN)/mypy

check-imports: $(READY)
	$(BIN)/lint-imports

check-schemas: $(READY)
	$(BIN)/check-jsonschema --check-metaschema schemas/*.schema.json
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml examples/github/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml

format: $(READY) ## Format the code and mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

constraints: ## Pin the newest closure that the declared ranges allow
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(PYTHON) -m venv "$$folder/venv"; \
	"$$folder/venv/bin/pip" install --quiet --disable-pip-version-check '.[dev,shap]' 'safetensors>=0.4'; \
	{ echo '# The whole closure of gitops-runner[dev,shap] and safetensors, pinned. Made by: make constraints'; \
	  "$$folder/venv/bin/pip" freeze --exclude gitops-runner; } > constraints.txt

clean: ## Remove whatever the other targets made
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
