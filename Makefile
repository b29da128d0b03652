# make help says what there is. Everything is set up in this folder, in .venv.

BIN := .venv/bin
SDK := naru/checkout/sdk
TYPESCRIPT := typescript@5.9.3
# The first Python that is new enough; evaluated only when something must be set up.
PYTHON = $(shell for each in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)

.PHONY: help setup setup-demo demo serve test check types-js pytest nightly planted certify failover sbom bench docs screenshots \
	format lock clean

help:  ## say what there is
	@sed -n 's/^\([a-z-]*\):.*##\(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup-demo:
	@python="$(PYTHON)"; if [ -z "$$python" ]; then \
		echo "naru: Python 3.11 or newer is needed; install one, or name it: make PYTHON=/path/to/python3 demo" >&2; \
		exit 1; fi; "$$python" tools/bootstrap.py demo

setup:  ## everything for developing: .venv with the locked packages
	@python="$(PYTHON)"; if [ -z "$$python" ]; then \
		echo "naru: Python 3.11 or newer is needed; install one, or name it: make PYTHON=/path/to/python3 setup" >&2; \
		exit 1; fi; "$$python" tools/bootstrap.py dev

demo: setup-demo  ## gateway, sandbox PG, shop and PostgreSQL on this machine
	@exec $(BIN)/naru demo

serve: setup-demo  ## the gateway alone, with the settings of the environment
	@exec $(BIN)/naru serve

test: setup  ## everything that CI runs
	@$(MAKE) --no-print-directory check pytest

check: setup  ## formatter, linter, types, import rule
	@echo "naru: formatter" && $(BIN)/ruff format --check --quiet .
	@echo "naru: linter" && $(BIN)/ruff check --quiet .
	@echo "naru: types" && $(BIN)/mypy --strict --explicit-package-bases naru tools
	@echo "naru: import rule" && $(BIN)/lint-imports --cache-dir .import_linter_cache > .import_linter.log || \
		{ cat .import_linter.log; exit 1; }
	@$(MAKE) --no-print-directory types-js

types-js:
	@if ! ls $(SDK)/*.js >/dev/null 2>&1; then echo "naru: types of the SDK: no SDK here"; \
	elif command -v npx >/dev/null; then echo "naru: types of the SDK" && \
		npx --yes --package $(TYPESCRIPT) tsc --project $(SDK)/jsconfig.json; \
	else echo "naru: SKIPPED the types of the SDK: this machine has no npx (Node.js)"; fi

pytest: setup
	@echo "naru: tests"; chromium=$$($(BIN)/python tools/chromium.py) || exit 1; export NARU_CHROMIUM=$$chromium; \
	$(BIN)/pytest -n 3 --dist loadfile -q || { test $$? -eq 1 || exit 1; \
	echo "naru: a browser on a crowded machine may come too late: what failed has one more try, alone"; \
	$(BIN)/pytest -q --last-failed --last-failed-no-failures none; }

nightly: setup  ## the same promises a thousand times: simulation, kills, races, forgeries (an hour or more)
	@echo "naru: a night's tests" && chromium=$$($(BIN)/python tools/chromium.py) || exit 1; \
	export NARU_CHROMIUM=$$chromium NARU_NIGHTLY=1; \
	$(BIN)/pytest -n 2 --dist loadfile -q -rs tests/attacks tests/races tests/model tests/migrations tests/store \
		tests/payments tests/jobs tests/sandbox tests/kit tests/testing tests/certifier tests/guide && \
	$(BIN)/pytest -q -rs tests/simulation && $(BIN)/pytest -q -rs tests/killing && \
	$(BIN)/pytest -q -rs tests/failover

planted: setup  ## plant every defect of the catalogue in a copy of the code, and see each one found
	@exec $(BIN)/python -m tests.planted --processes 2 --write

certify: setup  ## try every attack of the certifier on every small shop, broken and correct (half an hour)
	@chromium=$$($(BIN)/python tools/chromium.py) || exit 1; \
	NARU_CHROMIUM=$$chromium $(BIN)/python -m tests.certifier

failover: setup  ## three PostgreSQL machines on loopback, the first one killed under load (needs Debian packages)
	@exec $(BIN)/python -m tests.failover

sbom: setup  ## bill of materials in dist/, licences, known vulnerabilities (needs pip-audit, or SBOM=--offline-ok)
	@$(BIN)/python -m tools.sbom $(SBOM)

bench: setup  ## complete payments per second, beside the limits of this machine
	@exec $(BIN)/python -m naru.bench

screenshots: setup  ## picture every state of the window into docs/images, with a demo of its own
	@chromium=$$($(BIN)/python tools/chromium.py) || exit 1; \
	NARU_CHROMIUM=$$chromium $(BIN)/python docs/screenshots.py

docs: setup  ## write what the code itself says into docs/reference
	@$(BIN)/python tools/write_docs.py && $(BIN)/python -m tools.fault_matrix > .fault_matrix.log || \
		{ cat .fault_matrix.log; exit 1; }

format: setup  ## put the code in order
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

lock:  ## pin the newest packages that fit pyproject.toml (needs uv)
	@set -e; compile="uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url pyproject.toml --group build"; \
	$$compile --extra server --extra async --output-file requirements.txt; \
	$$compile --all-extras --constraints requirements.txt --output-file requirements-dev.txt

clean:  ## remove what was made here, except the demo's data in .naru
	@rm -rf .venv .venv.lock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .import_linter.log \
		.fault_matrix.log .hypothesis dist .clients
	@find naru tests tools -name __pycache__ -prune -exec rm -rf {} +
