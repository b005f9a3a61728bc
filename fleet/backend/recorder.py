"""The port for a journal of a back end: what records its machines and the commits of its store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from fleet.backend.store import Batch, Committed
from fleet.cloud.centre import ServiceCentre
from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import DeskInput, DeskOutput, DeskStart
from fleet.cloud.rule import CentreInput, CentreOutput
from fleet.kernel.machine import Machine


class Recorder(Protocol):
    """Stands between a back end and its machines; `runtime.journalling.BackendRecorder` writes a journal."""

    def desk(self, desk: Desk, start: DeskStart) -> Machine[DeskInput, DeskOutput]:
        """Return the machine to drive in the place of a desk that begins with `start`."""
        ...

    def centre(self, centre: ServiceCentre, state: Mapping[str, Mapping[str, Any]]) -> Machine[CentreInput, CentreOutput]:
        """Return the machine to drive in the place of a service centre that begins with the notes `state`."""
        ...

    def committed(self, batch: Batch, done: Committed) -> None:
        """Take a commit of the store."""
        ...


class NoRecorder:
    """Records nothing: the machines are driven as they are."""

    def desk(self, desk: Desk, start: DeskStart) -> Desk:  # noqa: ARG002
        return desk

    def centre(self, centre: ServiceCentre, state: Mapping[str, Mapping[str, Any]]) -> ServiceCentre:  # noqa: ARG002
        return centre

    def committed(self, batch: Batch, done: Committed) -> None:
        """Do nothing."""
