# The project's routine commands. Each sets up what it needs on a Debian machine that has python3, pip and root or
# sudo (tests/machine.py): a database server, MySQL 9 for the tests, and a Python environment for each DataJoint line.

PYTHON ?= python3
machine = $(PYTHON) tests/machine.py
python-0.14 = $$($(machine) python 0.14)
python-2.x = $$($(machine) python 2.x)

# the processes that tests start import DataJoint three times as fast once it is compiled
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo quick test test-slow test-browser lint docs bench bench-quick clean

demo:  ## export the slice behind an analysis of DataJoint Elements, load it elsewhere and replay it
	@$(machine) mariadb >/dev/null
	@python=$(python-0.14) && "$$python" -W ignore -m demo.run

quick: lint  ## lint, types, contracts and every test that starts no server: for each change
	@python=$(python-2.x) && "$$python" -W ignore -m pytest -q -p no:cacheprovider --no-server -n 2 -m "not slow"

test:  ## the test suite: two DataJoint lines, each on MariaDB and MySQL; 2.x on PostgreSQL
	@$(PYTHON) tests/matrix.py

test-slow:  ## the tests that take longer
	@$(PYTHON) tests/matrix.py --slow

test-browser:  ## report.html in a real browser
	@$(machine) mariadb >/dev/null && $(machine) chromium >/dev/null
	@python=$(python-0.14) && SQLSPY_TEST_BROWSER=1 "$$python" -W ignore -m pytest -q -p no:cacheprovider -m browser

lint:  ## style, types, and the contracts of the house
	@python=$(python-2.x) && "$$python" -m ruff check . && "$$python" -m ruff format --check . && "$$python" -m mypy \
		&& "$$(dirname "$$python")/lint-imports"

docs:  ## the documentation as a site, in build/site
	@python=$(python-2.x) && NO_MKDOCS_2_WARNING=1 "$$python" -m mkdocs build --strict

bench:  ## the measurements that the documentation quotes
	@$(machine) mariadb >/dev/null
	@python=$(python-2.x) && "$$python" -W ignore -m benchmarks

bench-quick:
	@$(machine) mariadb >/dev/null
	@python=$(python-2.x) && "$$python" -W ignore -m benchmarks --quick

clean:  ## what was made in the checkout; the cache (~/.cache/dj-sqlspy) stays
	rm -rf .venv-* build dist exports .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
