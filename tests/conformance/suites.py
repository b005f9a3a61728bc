"""The foreign suites: where they come from, the state that our lists of failures are for, and where they are on this machine."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleet.errors import UsageError

VARIABLE: Final = "FLEET_SUITES"


@dataclass(frozen=True, slots=True)
class Source:
    """A repository that holds suites; `sign` is a file by which its folder is known."""

    folder: str
    url: str
    commit: str
    dated: str
    licence: str
    sign: str


PAHO: Final = Source(
    "paho.mqtt.testing",
    "https://github.com/eclipse/paho.mqtt.testing",
    "9d7bb80bb8b9d9cfc0b52f8cb4c1916401281103",
    "2024-01-18",
    "EPL-1.0 or EDL-1.0",
    "interoperability/client_test5.py",
)
MOSQUITTO: Final = Source(
    "mosquitto",
    "https://github.com/eclipse-mosquitto/mosquitto",
    "7b8aba105b77253309de24664bbae69d0cae3da0",
    "2026-06-30",
    "EPL-2.0 or BSD-3-Clause",
    "test/broker/data/CONNECT.json",
)
FUZZ: Final = Source(
    "mqtt_fuzz",
    "https://github.com/F-Secure/mqtt_fuzz",
    "72ca1e24fa96c90555bb5ea57c4bebe2b7d6d83f",
    "2021-02-02",
    "Apache-2.0",
    "valid-cases/connect/mqtt.connect.raw",
)


def folder_of(source: Source, suites: Path) -> Path:
    """Return where the source is in the folder of suites. Raises UsageError when it is not there."""
    folder = suites / source.folder
    if not (folder / source.sign).is_file():
        raise UsageError(
            f"{folder / source.sign} is not there", hint=f"Clone it: git clone {source.url} {folder} (see CONTRIBUTING.md)."
        )
    return folder


def lack(source: Source) -> str:
    """Return why the suites of a source cannot run here, for a test that is skipped; nothing when they can."""
    named = os.environ.get(VARIABLE, "")
    if not named:
        return f"{VARIABLE} names no folder of foreign suites (see CONTRIBUTING.md)"
    try:
        folder_of(source, Path(named))
    except UsageError as error:
        return str(error)
    return ""


def here(source: Source) -> Path:
    """Return where the source is, after `lack` found nothing lacking."""
    return folder_of(source, Path(os.environ[VARIABLE]))


def commit_of(folder: Path) -> str:
    """Return the commit that a clone is at, or nothing when that cannot be found out."""
    command = ["git", "-C", str(folder), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    top, commit = run.stdout.split()
    return commit if Path(top).samefile(folder) else ""
