# Two commands matter: `make demo` and `make test`. Python >= 3.11 and Node.js >= 20 are needed.
SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
LOCAL := $(BIN)/python -m local

PROMPT ?= a slice of watermelon
PRESET ?= balanced
STEPS ?=
SEED ?=
OUT ?=
STAGE ?= dev
IMAGES ?= 500
IMAGE ?= nvfp4-ddim:cpu

.PHONY: help install demo up down destroy status test lint unit image-test cost checkov bench \
  bench-smoke clean

help: ## Show this help
	@echo "make demo    deploy everything into a local cloud and draw a picture"
	@echo "             PROMPT=\"red heart\" PRESET=fast|balanced|quality STEPS=30 SEED=7 OUT=heart.png"
	@echo "make install only install, for cdk deploy and the library"
	@echo "make up      deploy and leave it running, with the console page"
	@echo "make down    stop the local cloud and everything in it"
	@echo "make destroy cdk destroy --all in the local cloud"
	@echo "make test    everything that CI runs"
	@echo "make image-test  hold a built image against the server's contract: IMAGE=nvfp4-ddim:cpu"
	@echo "make cost    what a stage costs a month: STAGE=dev|prod IMAGES=500"
	@echo "make checkov check the templates of STAGE with checkov, in an environment of its own"
	@echo "make bench   measure every number of docs/benchmarks again (hours); bench-smoke: does that work? a minute"
	@echo "make clean   stop the local cloud and remove what these commands made"

install: $(VENV)/.runtime node_modules/.installed ## Install only

# The prompt goes by the environment: quotes in it can't end a shell string.
export PROMPT
demo: $(VENV)/.runtime node_modules/.installed 
	@$(LOCAL) demo --prompt "$$PROMPT" --preset "$(PRESET)" \
	  $(if $(STEPS),--steps $(STEPS)) $(if $(SEED),--seed $(SEED)) $(if $(OUT),--out "$(OUT)")

up: $(VENV)/.runtime node_modules/.installed ## Deploy and leave it running
	@$(LOCAL) up

down: $(VENV)/.runtime ## Stop the local cloud
	@$(LOCAL) down

destroy: $(VENV)/.runtime node_modules/.installed ## cdk destroy --all
	@$(LOCAL) destroy

status: $(VENV)/.runtime ## Is it running?
	@$(LOCAL) status

test: lint ## Everything that CI runs
	$(BIN)/python -m pytest

lint: $(VENV)/.test node_modules/.installed ## Style, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.test ## Fast tests only
	$(BIN)/python -m pytest tests/unit

image-test: $(VENV)/.test ## The contract, against a built image
	NVFP4_IMAGE="$(IMAGE)" $(BIN)/python -m pytest tests/integration/server tests/image

cost: $(VENV)/.runtime ## What a stage costs
	@$(BIN)/python -m operations cost --stage "$(STAGE)" --images-per-day $(IMAGES)

checkov: $(VENV)/.runtime ## Checkov's opinion of the templates
	CDK_OUTDIR=cdk.out CDK_CONTEXT_JSON='{"stage": "$(STAGE)"}' $(BIN)/python app.py
	scripts/checkov.sh cdk.out

# The peers are large and one of them is built from source: only measuring needs them.
$(VENV)/.peers: pyproject.toml $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[peers,plots]"
	@touch $@

bench: $(VENV)/.peers ## Every benchmark, then docs/benchmarks/README.md
	$(BIN)/python -m benchmarks.suite

bench-smoke: $(VENV)/.runtime ## Do the comparison of speeds and the page work? In under a minute
	$(BIN)/python -m benchmarks.smoke

clean: ## Stop the local cloud and remove what these commands made
	@if [ -x $(BIN)/python ]; then $(LOCAL) down || true; fi
	rm -rf .local-cloud cdk.out cdk.out.* $(VENV) node_modules

$(VENV)/bin/python:
	@python=; for each in python3.13 python3.12 python3.11 python3; do \
	  if command -v $$each >/dev/null 2>&1 && \
	    $$each -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	      >/dev/null 2>&1; \
	  then python=$$each; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11 or newer with its venv module is needed (on Debian and Ubuntu: apt install python3-venv)." >&2; \
	  exit 1; fi; \
	"$$python" -m venv $(VENV)

$(VENV)/.runtime: requirements.txt constraints.txt pyproject.toml lambdas/requirements.txt | $(VENV)/bin/python
	@echo "Installing pinned dependencies into $(VENV); this takes a few minutes the first time."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.test: requirements-dev.txt $(VENV)/.runtime
	@echo "Installing the test tools."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

node_modules/.installed: package.json package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null || { \
	  echo "Node.js 20 or newer is needed for the AWS CDK: https://nodejs.org" >&2; exit 1; }
	npm ci --no-audit --no-fund --silent
	@touch $@
