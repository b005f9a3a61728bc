"""Fleet as it is installed from the built wheel, with no checkout in reach; `make test-wheel` runs these with a few others."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points, files
from pathlib import Path

import pytest

import fleet
from fleet.runtime.resources import resource_dir

pytestmark = pytest.mark.wheel

PACKAGE = Path(fleet.__file__).parent
COMMAND = Path(sys.executable).parent / "fleet"


def call(*arguments: str | Path, cwd: Path) -> str:
    """Run the installed command; return what it prints."""
    done = subprocess.run([COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fleet_is_the_installed_one() -> None:
    """Else every other test here says nothing."""
    assert PACKAGE.is_relative_to(sys.prefix)


@pytest.mark.parametrize("name", ["broker", "scenarios"])
def test_data_lie_in_the_package(name: str) -> None:
    assert resource_dir(name) == PACKAGE / "_data" / name  # type: ignore[arg-type]  # mypy takes the parameters for any text


def test_the_wheel_holds_the_files_it_needs_and_no_tests() -> None:
    """Data files, the broker's configuration, the mark of a typed package and the licence; neither tests nor benches."""
    held = {str(path) for path in files("connectfleet") or ()}
    assert {"fleet/_data/broker/mosquitto.conf", "fleet/_data/broker/acl", "fleet/cli/__init__.py", "fleet/py.typed"} <= held
    assert any(name.endswith("licenses/LICENSE") for name in held)
    assert {name.partition("/")[0] for name in held if not name.startswith(("..", "connectfleet-"))} == {"fleet"}


def test_the_plugin_is_found_by_its_entry_point() -> None:
    (plugin,) = [point for point in entry_points(group="pytest11") if point.name == "fleet"]
    assert plugin.value == "fleet.harness.plugin"
    assert Path(plugin.load().__file__).is_relative_to(PACKAGE)


def test_a_shipped_scenario_runs_and_holds(tmp_path: Path) -> None:
    """From the list to a verified journal, by the command alone."""
    assert "find-my-car" in call("scenarios", cwd=tmp_path)
    assert call("check", "find-my-car", cwd=tmp_path).startswith(str(PACKAGE / "_data" / "scenarios"))
    call("run", "find-my-car", "--clock", "virtual", "--out", "out", cwd=tmp_path)
    assert "all holds" in call("verify", "out/journal.jsonl", cwd=tmp_path)
