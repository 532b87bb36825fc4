# One-word commands; `make help` lists them. Each works from a clean clone and may be run twice.
SHELL := /bin/bash
.DEFAULT_GOAL := help
STAMP := .venv/.requirements
PYTHON := .venv/bin/python
CLUSTER_TOOL := $(or $(SYSTEM_PYTHON),python3) hack/cluster
WORKERS := -n 3 --dist loadscope
CODE := operator/modelmill images/trainer/modelmill_trainer images/server/modelmill_server hack tests cli/kubectl-modelmill

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

venv: $(STAMP) ## Python environment with everything that is checked and tested
$(STAMP): requirements/dev.txt
	@echo "==> Python environment in .venv"
	@test -x .venv/bin/python || python3 -m venv .venv
	@.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip --upgrade >/dev/null
	@.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $(STAMP)

cluster-up: ## Bring the test cluster up, with S3, Prometheus, Alertmanager and a gateway
	@$(CLUSTER_TOOL) up
	@$(CLUSTER_TOOL) services up
	@$(CLUSTER_TOOL) gateway up

cluster-down: ## End the test cluster; nothing is left behind
	@$(CLUSTER_TOOL) down

images: ## Build the three images and load them into the cluster
	@$(CLUSTER_TOOL) images --load

demo: venv cluster-up images ## Play the whole life of a model on real data
	@$(PYTHON) -m hack.demo

test: venv cluster-up images ## Run every test: unit, integration and e2e
	@$(PYTHON) -m pytest $(WORKERS) tests; code=$$?; [ $$code = 1 ] || exit $$code; \
	  echo "==> what failed beside other tests, once more by itself; what passes here depends on the machine's load and wants a look"; \
	  $(PYTHON) -m pytest --last-failed --last-failed-no-failures none --maxfail 1 -v tests

test-unit: venv ## Run the unit tests only
	@$(PYTHON) -m pytest $(WORKERS) tests/unit

check: venv ## Format, lint, types, import rules, generated files
	@echo "==> format and lint"
	@.venv/bin/ruff format --check -q $(CODE)
	@.venv/bin/ruff check -q $(CODE)
	@echo "==> types"
	@.venv/bin/mypy
	@echo "==> import rules"
	@PYTHONPATH=operator:images/trainer:images/server .venv/bin/lint-imports --no-cache > .lint-imports.log || { cat .lint-imports.log; exit 1; }; rm -f .lint-imports.log
	@echo "==> generated files"
	@PYTHONPATH=operator:images/trainer:. $(PYTHON) hack/generate/all.py --check

generate: venv ## Write the generated files anew
	@PYTHONPATH=operator:images/trainer:. $(PYTHON) hack/generate/all.py

format: venv ## Format the code
	@.venv/bin/ruff format -q $(CODE)
	@.venv/bin/ruff check -q --fix $(CODE)

lock: ## Write requirements/*.txt anew from pyproject.toml (needs uv)
	@for extra in operator trainer server; do \
	  uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	    --python-version 3.11 --extra $$extra pyproject.toml -o requirements/$$extra.txt; done
	@uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	  --python-version 3.11 --all-extras --group dev pyproject.toml -o requirements/dev.txt
	@for name in kserve mlserver; do \
	  uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
	    --python-version 3.11 requirements/clients-$$name.in -o requirements/clients-$$name.txt; done

proof-serving: venv cluster-up images ## No failed request: a million over 50 rollouts, 50 aborts, lost pods, scaling, and an operator and an API server that are away; the invariants of rollouts over 72 of them by a gateway
	@MODELMILL_SERVING_REQUESTS=1000000 MODELMILL_SERVING_RATE=500 MODELMILL_INVARIANTS_ROUNDS=24 $(PYTHON) -m pytest -n0 -s \
	  tests/e2e/test_no_failed_request.py tests/e2e/test_invariants.py

proof-monitoring: venv ## What monitoring and the loop do on public data, 20 seeds of each story by either engine, and both engines on 400 generated histories
	@MODELMILL_HISTORIES=400 $(PYTHON) -m pytest -n0 tests/unit/monitoring/test_engines_agree.py
	@OMP_NUM_THREADS=1 PYTHONPATH=operator:images/server:images/trainer:. $(PYTHON) -m tests.verdicts.table 20 20

proof: export MODELMILL_RESULTS = $(CURDIR)/build/results.jsonl
proof: venv ## The long proofs: 10,000 generated calls, 50,000 mutations of bodies and 300,000 of gRPC, ten minutes of mutated HTTP, 100 ends under load, a million requests, each fault of a store at each call
	@MODELMILL_OPENAPI_CALLS=10000 MODELMILL_FUZZ_MUTATIONS=50000 MODELMILL_GRPC_MUTATIONS=300000 $(PYTHON) -m pytest \
	  tests/integration/server/test_openapi_calls.py tests/integration/server/test_fuzz.py \
	  tests/integration/server/test_grpc_hostile.py
	@MODELMILL_EDGE_SECONDS=600 MODELMILL_EDGE_SHARE=1 $(PYTHON) -m pytest \
	  tests/unit/server/test_edge_fuzz.py tests/integration/server/test_edge.py tests/integration/server/test_edge_proxies.py
	@mkdir -p build && rm -f $$MODELMILL_RESULTS
	@MODELMILL_CRASH_SHARE=1 MODELMILL_CRASH_OBJECTS=200 MODELMILL_CRASH_SEQUENCES=500 $(PYTHON) -m pytest -n 2 --dist load tests/crash
	@MODELMILL_TIER1_PLANS=100 $(PYTHON) -m pytest tests/integration/engine/faults
	@PYTHONPATH=operator:. $(PYTHON) -m tests.crash.guards
	@MODELMILL_INVARIANTS_EXAMPLES=200 $(PYTHON) -m pytest tests/unit/serving/test_invariants.py
	@MODELMILL_STORE_SHARE=1 $(PYTHON) -m pytest -n 2 --dist load tests/integration/store_faults
	@PYTHONPATH=operator:. $(PYTHON) -m tests.crash.table $$MODELMILL_RESULTS
	@MODELMILL_CRASHES=all MODELMILL_ARTIFACT_MUTATIONS=600 $(PYTHON) -m pytest tests/unit/artifacts
	@$(PYTHON) hack/bench/serving/sigterm.py
	@$(PYTHON) hack/bench/serving/memory.py

bench: venv ## Measure the control loop beside its peers on a real API server without a kubelet
	@$(PYTHON) hack/bench/control_loop.py

.PHONY: help venv cluster-up cluster-down images demo test test-unit check generate format lock proof proof-serving proof-monitoring bench
