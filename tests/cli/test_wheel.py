"""What ships in the wheel is found there: fleet works without a checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.lab import clean_environment

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as it lies in an environment, without the checkout beside it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("connectfleet-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def fleet_of(site: Path, *arguments: str) -> str:
    """Run the wheel's fleet in a folder that has nothing to do with it; return what it prints."""
    environment = clean_environment() | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "fleet", *arguments]
    done = subprocess.run(command, cwd=os.sep, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_shipped_files_are_found_inside_the_wheel(unpacked: Path) -> None:
    """Scenarios are listed and checked from the wheel's own folder."""
    listed = fleet_of(unpacked, "scenarios")
    assert "rush-hour" in listed
    assert "find-my-car" in listed
    assert fleet_of(unpacked, "check", "rush-hour").startswith(str(unpacked / "fleet" / "_data" / "scenarios"))


def test_the_wheel_holds_what_is_needed_and_no_tests(unpacked: Path) -> None:
    """Data files, the broker's configuration and the licence; neither tests nor benches."""
    held = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert {"fleet/_data/broker/mosquitto.conf", "fleet/_data/broker/acl", "fleet/cli/__init__.py"} <= held
    assert any(name.endswith("licenses/LICENSE") for name in held)
    assert not [name for name in held if name.startswith(("tests", "bench"))]
