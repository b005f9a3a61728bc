"""A small mapping that is right, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

from fleet.dialects.mapping_files import check_mapping_file
from fleet.errors import MappingError

RIGHT = """\
mapping: small
purpose: A small one.
base: cars/{vin}
status:
  - topic: "{base}/state"
    fields:
      km: mileage_km
      x: vin
      lock: {from: doors.front_left.locked, values: {true: LOCKED, false: OPEN}}
events:
  - topic: "{base}/event/{event}"
    fields: {at: captured_at, data: data}
presence:
  - topic: "{base}/link"
    payload: text
    value: connection
commands:
  - command: climatisation
    topic: "{base}/do/{action}"
    when: {topic.action: warm}
    parameters: {target_c: payload.celsius}
responses:
  - topic: "{base}/done"
    fields: {id: command_id, state: state}
leaves_out: [requests, status.energy, status.adblue, status.service, status.windows, status.lights, status.position,
  status.climate, status.charging, status.driving, status.health, status.low_voltage, status.software]
"""


def errors_of(text: str, tmp_path: Path) -> list[str]:
    """Return what is wrong, without the name of the file."""
    file = tmp_path / "m.yaml"
    file.write_text(text, encoding="utf-8")
    found = check_mapping_file(file)
    assert all(isinstance(error, MappingError) for error in found)
    return [f"{str(error).removeprefix(f'{file}:')} | {error.hint}" for error in found]


def only_error(right: str, wrong: str, tmp_path: Path) -> str:
    """Return the one thing that is wrong when `wrong` takes the place of `right`."""
    assert right in RIGHT
    found = errors_of(RIGHT.replace(right, wrong, 1), tmp_path)
    assert len(found) == 1, "\n".join(found)
    return found[0]
