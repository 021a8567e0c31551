# Two commands for a stranger: `make demo` and `make test`. The rest is for those who work on xmsec.
BIN := .venv/bin
export PYTHON

.PHONY: demo test test-long check shape lock wheel vendor bundle golden bench setup clean

demo: setup  ## simulate a city's system and run the whole platform on it (ARGS=--once ends by itself)
	@$(BIN)/xmsec demo $(ARGS)

test: setup check  ## every check and every test
	@scripts/servers.sh
	@scripts/test.sh $(ARGS)

test-long: setup  ## the costly ones at full length
	@scripts/servers.sh
	@$(BIN)/python -m pytest -q -m long $(ARGS)

check: setup  ## style, types, imports, shape
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python scripts/shape.py
	@scripts/vendor.sh check

shape: setup  ## the table of style figures; fails beyond the hard limits
	@$(BIN)/python scripts/shape.py

bench: setup  ## speeds as ratios to baselines of the same run
	@$(BIN)/xmsec bench pipeline

wheel: setup  ## dist/*.whl with the content inside
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist .

vendor:  ## fetch the console's front-end files again from npm, and check them
	@scripts/vendor.sh

bundle: setup  ## dist/xmsec-*.tar.gz: installs on a machine that reaches no registry
	@scripts/bundle.sh

golden: setup  ## rewrite the golden files
	@$(BIN)/python -m pytest -q tests/golden --golden

COMPILE := UV_SYSTEM_CERTS=1 $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-annotate --custom-compile-command 'make lock' pyproject.toml

lock: setup  ## renew requirements.lock, and production.lock: the part of it that is installed without tools
	@$(COMPILE) --upgrade --extra dev --group dev -o requirements.lock
	@$(COMPILE) --extra kafka --extra elastic --extra oidc --constraint requirements.lock -o production.lock

setup:
	@scripts/setup.sh

clean:
	rm -rf .venv .cache dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
