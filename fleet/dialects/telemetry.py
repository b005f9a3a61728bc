"""The dialect of Tesla's fleet-telemetry: the mapping beside this file, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fleet.dialects.mapped import MappedDialect
from fleet.dialects.mapping_files import read_mapping_file
from fleet.wire.fleet_dialect import FleetDialect

MAPPING: Final = Path(__file__).with_name("telemetry.yaml")


class TelemetryDialect(MappedDialect):
    """A topic for each field, as Tesla's fleet-telemetry hands its vehicles to MQTT."""

    def __init__(self, own: FleetDialect) -> None:
        """Take ours, in which tools and desk speak."""
        super().__init__(read_mapping_file(MAPPING), own)
