# The only entry point that CI uses. `make` shows the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
OUT ?= out/demo
# Where .ci/setup builds what no package brings.
export PATH := $(PATH):$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/frontdesk/bin
# Processes of `make test` and `make test-slow`: two fit the machine that its time is promised for.
WORKERS ?= 2

.PHONY: help setup demo test test-slow test-load test-rehearsal test-cluster test-s3a lint type bench clean lock golden images manifests

help: ## Show the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/.ready ## Make .venv with everything in it, and find or install Java 17

.venv/.ready: requirements.lock pyproject.toml
	./.ci/setup
	touch $@

demo: setup ## Run the ticket lifecycle on simulated tickets and ask the server one question
	.venv/bin/frontdesk demo --out $(OUT)

test: lint type ## Lint, type-check and run every test but the slow ones
	$(PYTHON) -m pytest -m "not slow and not load and not rehearsal and not cluster" -n $(WORKERS) --dist loadfile

test-slow: setup ## Run the slow tests: runs killed at every job, Spark that fails
	$(PYTHON) -m pytest -m slow -n $(WORKERS) --dist loadfile

test-load: setup ## Run the load tests: overload, killed parts, a rolling restart
	$(PYTHON) -m pytest -m load -s tests/load

test-rehearsal: setup ## Run the rehearsals: three simulated months, a rollout on one machine
	$(PYTHON) -m pytest -m rehearsal

test-cluster: setup ## Test images, chart and services on the cluster of KUBECONFIG (docs/cluster.md)
	$(PYTHON) -m pytest -m cluster -s --durations=15 $(or $(PYTEST),tests/cluster)

test-s3a: setup ## Fetch the jars of s3a from Maven Central and test Spark with them
	grep -v '^#' images/spark-jars.txt | xargs -I{} mvn -q -B dependency:get -Dtransitive=false -Dartifact={}
	$(PYTHON) -m pytest tests/parity/test_spark_s3a.py

lint: setup ## Check style and format
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

type: setup ## Check the library's types
	.venv/bin/mypy

bench: setup ## Measure the engines and the server beside their peers
	$(PYTHON) -m benchmarks.engines
	$(PYTHON) -m benchmarks.serving

golden: setup ## Write the golden files anew; read the difference before you commit it
	FRONTDESK_UPDATE_GOLDEN=1 $(PYTHON) -m pytest tests/golden

manifests: setup ## Write manifests/base and the overlays anew, from the chart
	$(PYTHON) manifests/render.py

images: ## Build the images with buildah (docs/images.md); IMAGES holds the options of images/build
	images/build $(IMAGES)

lock: ## Resolve the dependencies anew into requirements.lock
	uv pip compile --python-version 3.11 --generate-hashes --all-extras --no-header --no-annotate -q pyproject.toml -o requirements.lock

clean: ## Remove .venv, caches and results
	rm -rf .venv out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
