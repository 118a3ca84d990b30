SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test unit lint generate lock clean bench bench-build bench-serving bench-workflow

BIN := .venv/bin
SIDE_BY_SIDE = --numprocesses $(shell nproc) --maxprocesses 4 --dist loadscope --no-loadscope-reorder
SCRIPTS = $(shell find .ci scripts -type f -exec awk 'FNR == 1 && /^\#!.*sh/ { print FILENAME }' {} +)
WORKFLOWS = $(wildcard .github/workflows/*.yml)
FORMS = .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/idea.yml

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(BIN)/ml-containerize ## make .venv with the command in .venv/bin

demo: setup ## turn a real Keras model into a tested, scanned, tagged image; needs no container engine
	@$(BIN)/python scripts/demo.py

test: $(BIN)/.dev ## run all tests; installs a container engine where none answers (ARGS="-k name")
	@scripts/engine with $(BIN)/pytest $(SIDE_BY_SIDE) $(ARGS)

unit: $(BIN)/.dev ## run the tests that need no container engine, in seconds
	@$(BIN)/pytest $(SIDE_BY_SIDE) -m 'not e2e' $(ARGS)

lint: $(BIN)/.dev ## check style, types, workflows, action, Dockerfile and shell scripts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/zizmor --offline --persona pedantic --quiet action.yml .github
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS)
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms $(FORMS)
	$(BIN)/hadolint Dockerfile
	$(BIN)/shellcheck $(SCRIPTS)

generate: $(BIN)/.dev ## write what is made of declarations: action.yml, docs/reference, the schema
	@$(BIN)/python scripts/generate.py

bench: bench-build bench-serving bench-workflow ## run every comparison

bench-build: $(BIN)/.dev ## compare build and push with the classic Dockerfile: one JSON line a case
	@$(BIN)/python -m benchmarks.build

bench-serving: $(BIN)/.dev ## compare the model server with others, a JSON line a case (ARGS="soak --seconds 600")
	@$(BIN)/python -m benchmarks.serving $(ARGS)

bench-workflow: $(BIN)/.dev ## time what workflows add to the work: finding models, the action around its stages
	@$(BIN)/python -m benchmarks.workflow $(ARGS)

LOCK = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
RUNTIMES = tensorflow keras-jax keras-torch onnx sklearn xgboost lightgbm torch python
PEERS = classic bentoml litserve mlflow

lock: setup ## lock all requirements anew, with hashes (UV_INDEX=… names PyTorch's index for CPUs)
	$(LOCK) pyproject.toml -o requirements/command.lock
	$(LOCK) requirements/build.in -o requirements/build.lock
	$(LOCK) requirements/trivy.in -o requirements/trivy.lock
	cd serving/requirements && for runtime in $(RUNTIMES); do \
		../../$(LOCK) server.in $$runtime.in -o $$runtime.lock || exit; done
	cd benchmarks/serving && for peer in $(PEERS); do ../../$(LOCK) $$peer.in -o $$peer.lock || exit; done
	$(LOCK) pyproject.toml requirements/dev.in -o requirements/dev.lock \
		-c requirements/command.lock -c requirements/trivy.lock \
		$(foreach runtime,tensorflow onnx sklearn xgboost lightgbm,-c serving/requirements/$(runtime).lock)

clean: ## stop an engine that was started here, and delete everything that was made
	@scripts/engine stop
	rm -rf .venv .cache .ml-containerize .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/ml-containerize: requirements/command.lock requirements/build.lock pyproject.toml
	@scripts/setup
	@touch $@

$(BIN)/.dev: $(BIN)/ml-containerize requirements/dev.lock
	@scripts/setup dev
	@touch $@
