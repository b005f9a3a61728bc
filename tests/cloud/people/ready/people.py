"""What has to be there before the examples of `fleet service people` can be done: nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.cloud.people.lab import PeopleLab

READY: dict[str, Callable[[PeopleLab], dict[str, Any]]] = {}


def OTHERWISE(_lab: PeopleLab) -> dict[str, Any]:  # noqa: N802  the name that all of these have
    return {}
