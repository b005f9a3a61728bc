"""Completion in the shell: names that are found without reading a scenario or waiting for a broker."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import typer

from fleet.backend.reader import StoreReader
from fleet.cloud.actions import load_actions
from fleet.dialects.opening import names
from fleet.errors import FleetError
from fleet.runtime.resources import resource_dir
from fleet.vehicle.catalogue import load_catalogue
from fleet.wire.commands import COMMANDS
from fleet.wire.services import load_services

LATEST: Final = Path("runs") / "latest"
"""The newest run in this folder."""
CLOCKS: Final = ("real", "x60", "x600", "x1800", "virtual")


def complete_scenario(incomplete: str) -> list[str]:
    """Offer the shipped scenarios; the shell itself offers files."""
    return [
        name for name in sorted(path.stem for path in resource_dir("scenarios").glob("*.yaml")) if name.startswith(incomplete)
    ]


def complete_vin(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the cars of the store that was named, or of the latest run; none where there is no store."""
    try:
        with StoreReader(context.params.get("store") or LATEST / "store.sqlite") as reader:
            return [row.vin for row in reader.cars() if row.vin.startswith(incomplete.upper())]
    except (FleetError, OSError):
        return []


def complete_command(incomplete: str) -> list[str]:
    """Offer the remote commands that a user may send."""
    return [name for name, known in COMMANDS.items() if known.entry.is_of_users and name.startswith(incomplete)]


def complete_service(incomplete: str) -> list[str]:
    """Offer commands, events and requests."""
    services = load_services()
    names = dict.fromkeys((*services.commands, *services.events, *services.requests))
    return [name for name in names if name.startswith(incomplete)]


def complete_rule(incomplete: str) -> list[str]:
    """Offer the services of the back end that can be asked."""
    return [name for name, entry in load_actions().items() if entry.actions and name.startswith(incomplete)]


def complete_action(context: typer.Context, incomplete: str) -> list[str]:
    """Offer the actions of the service that was named."""
    entry = load_actions().get(context.params.get("name") or "")
    return [] if entry is None else [action for action in entry.actions if action.startswith(incomplete)]


def complete_dialect(incomplete: str) -> list[str]:
    """Offer the dialects that are shipped or registered; the shell itself offers files."""
    return [name for name in names() if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Offer the models of cars."""
    return [name for name in load_catalogue().models if name.startswith(incomplete)]


def complete_clock(incomplete: str) -> list[str]:
    """Offer some clocks; any factor will do."""
    return [clock for clock in CLOCKS if clock.startswith(incomplete)]
