"""Mapped dialects for tests with cars."""

from __future__ import annotations

from fleet.dialects.mapped import MappedDialect
from fleet.wire.fleet_dialect import FleetDialect
from tests.dialects.test_spec import mapping_of

TELEMETRY = """
mapping: telemetry
purpose: A field a topic, only what changed, and commands in words.
base: "tel/{vin}"
intervals: {driving: 10 s, charging: 1 min}
status:
  - topic: "{base}/v/{field}"
    frames: field
    changes_only: true
    each: {value: value}
    fields:
      Soc: energy.charge_percent
      Fuel: energy.fuel_level_percent
      Odometer: {from: mileage_km, unit: mi}
      Latitude: position.latitude
      Longitude: position.longitude
      Accuracy: position.accuracy_m
      FixedAt: {from: position.fixed_at, unit: iso8601}
      Locked: {from: doors.front_left.locked, every: 5 min}
      Gear: {from: state, values: {parked: P, driving: D, ignition_on: N, offline: P}}
      Why: trigger
events: [{topic: "{base}/alerts/{event}", fields: {d: data}}]
presence: [{topic: "{base}/connectivity", fields: {s: connection, r: reason}}]
responses:
  - topic: "{base}/done/{nr}"
    fields: {state: state, why: reason, text: detail}
commands:
  - {command: lock, topic: "{base}/do/{nr}", id: topic.nr, payload: text, when: {payload: lock}}
  - {command: unlock, topic: "{base}/do/{nr}", id: topic.nr, payload: text, when: {payload: unlock}}
leaves_out: [requests]
"""


def telemetry(own: FleetDialect) -> MappedDialect:
    """Return the dialect of a system that has a topic for each field."""
    return MappedDialect(mapping_of(TELEMETRY), own)
