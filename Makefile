# Everything a fresh machine needs is python3 (3.11 or newer, with venv), git and make; the rest is installed below .venv and .uv.
PYTHON ?= python3
UV = .uv/bin/uv
BIN = .venv/bin

# Tools whose dependencies meet neither ours nor each other's, each in an environment of its own.
TOOLS = ministack sam checkov
TOOL_MARKS = $(TOOLS:%=.tools/%/.done)

AS_ROOT = $(shell test "$$(id -u)" = 0 || echo sudo -n)

STACK ?= accesslake
ARCHITECTURE ?= arm64
ARCHITECTURES ?= arm64 x86_64

.PHONY: help setup tools browser java spark demo test test-engines lint bench docs template package deploy lock clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: .venv/.done ## the environment, exactly as locked

.venv/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer with venv is needed: apt-get install python3-venv, or make PYTHON=python3.12"; exit 1; }
	test -x $(UV) || { $(PYTHON) -m venv .uv && .uv/bin/pip install --quiet uv==0.13.9; }
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip sync --quiet --python .venv --require-hashes requirements.lock
	$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	touch $@

tools: setup $(TOOL_MARKS) ## the emulator and the template checkers of the tests

.tools/%/.done: infra/tools/%.lock
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .tools/$*
	$(UV) pip sync --quiet --python .tools/$* --require-hashes $<
	touch $@

browser: ## Chromium for the tests of pages, where apt may install it; without it they are skipped
	@command -v chromium >/dev/null || { $(AS_ROOT) apt-get -qq update && \
		$(AS_ROOT) apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; } || \
		echo "Chromium is not there and cannot be installed"

java: ## Java 17 and Maven for the tests of engines, where apt may install them; without them those are skipped
	@command -v java mvn >/dev/null && java -version 2>&1 | grep -q '"1[7-9]\|"2[0-9]' || { $(AS_ROOT) apt-get -qq update && \
		$(AS_ROOT) apt-get -qq install -y --no-install-recommends openjdk-17-jdk-headless maven >/dev/null; } || \
		echo "Java 17 and Maven are not there and cannot be installed"

# 340 MB that only the tests of engines need, so `setup` goes without: it is put on top, and again whenever `setup` tidied up.
spark: setup .venv/.spark ## PySpark, as AWS Glue 5.1 has it, on top of the environment

.venv/.spark: infra/tools/spark.lock .venv/.done
	$(UV) pip install --quiet --python .venv --require-hashes --requirement $<
	touch $@

demo: setup ## the whole pipeline on generated logs, in ./demo-lake
	$(BIN)/accesslake demo

test: setup tools browser lint ## every suite but the benchmarks
	ACCESSLAKE_ARTEFACTS=artefacts $(BIN)/pytest --ignore=tests/engines --ignore=tests/spark -n 2 --dist loadgroup --cov --cov-report=
	$(BIN)/coverage report --include="etl/parse/*,etl/schema.py" --fail-under=100 --show-missing --skip-covered

test-engines: spark java ## Trino on the tables and views, Spark on compaction (270 MB of Trino once, in ~/.cache/accesslake)
	$(BIN)/pytest tests/engines tests/spark

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup ## the parser beside its alternatives (see benchmarks/README.md for the others)
	$(UV) pip install --quiet --python .venv --group bench
	$(BIN)/python -m benchmarks.run_parse

docs: setup ## the pages that are made from the code
	$(BIN)/python -c 'from etl.cli._docs import docs_commands; print(docs_commands(), end="")' > docs/commands.md
	$(BIN)/python -c 'from etl.query import docs_queries; print(docs_queries(), end="")' > docs/queries.md
	$(BIN)/python -c 'from pathlib import Path; from etl.cost import docs_scale; \
		page = Path("docs/scale.md"); page.write_text(docs_scale(page.read_text()))'

template: setup ## the parts of infra/template.yaml that are made from the code
	$(BIN)/python -m infra.generate_template

package: setup ## the functions and their layers in ./build (ARCHITECTURES="arm64 x86_64")
	$(BIN)/python -m infra.package $(ARCHITECTURES:%=--architecture %)

# Needed: LOG_BUCKET and LAKE_BUCKET. Further parameters of the template: PARAMETERS="Sink=parquet AlarmEmail=me@example.com".
deploy: setup .tools/sam/.done ## package, then make or update the stack: LOG_BUCKET=... LAKE_BUCKET=... [STACK=accesslake]
	@test -n "$(LOG_BUCKET)" -a -n "$(LAKE_BUCKET)" || \
		{ echo "make deploy LOG_BUCKET=... LAKE_BUCKET=... [STACK=accesslake] [ARCHITECTURE=arm64] [PARAMETERS='Name=value ...']"; exit 2; }
	$(BIN)/python -m infra.package --architecture $(ARCHITECTURE)
	SAM_CLI_TELEMETRY=0 .tools/sam/bin/sam deploy --template-file build/template-$(ARCHITECTURE).yaml --stack-name $(STACK) \
		--resolve-s3 --capabilities CAPABILITY_IAM --no-confirm-changeset --no-fail-on-empty-changeset \
		--parameter-overrides LogBucketName=$(LOG_BUCKET) LakeBucketName=$(LAKE_BUCKET) Architecture=$(ARCHITECTURE) $(PARAMETERS)

lock: ## resolve the dependencies anew
	$(UV) pip compile pyproject.toml --extra pandas --extra report --group dev --universal --python-version 3.11 --generate-hashes \
		--quiet --upgrade --output-file requirements.lock
	for tool in $(TOOLS) spark; do $(UV) pip compile infra/tools/$$tool.in --universal --python-version 3.11 --generate-hashes \
		--quiet --upgrade --output-file infra/tools/$$tool.lock; done
	sed -i "1,2c # Made by \`make lock\` with uv: every dependency for every supported Python, by hash." requirements.lock \
		$(TOOLS:%=infra/tools/%.lock) infra/tools/spark.lock

clean: ## remove the environments and the demo
	rm -rf .venv .uv .tools demo-lake demo-lake-logs demo-lake.html artefacts build dist
