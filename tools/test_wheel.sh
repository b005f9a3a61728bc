#!/usr/bin/env bash
# Builds the wheel, installs it into an environment of its own with what the tests need, and runs a selection of the tests there,
# out of reach of the checkout's modules: missing data, a missing dependency or an entry point that leads nowhere shows.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

selection=(
  tests/wheel
  tests/harness/test_plugin.py
  tests/scenario/test_shipped.py
)

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
.venv/bin/python -m pip wheel -q --no-deps --disable-pip-version-check --wheel-dir "$place" .
.venv/bin/python -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check --upgrade 'pip>=25.1' # the first that knows --group
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check "$place"/connectfleet-*.whl --group pyproject.toml:test

mkdir "$place/elsewhere"
cp -R tests pyproject.toml "$place/elsewhere"
cd "$place/elsewhere"
PATH=$place/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 python -m pytest -q -n auto -p no:cacheprovider -m "not live" "${selection[@]}" "$@"
