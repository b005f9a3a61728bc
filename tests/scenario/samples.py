"""A vocabulary and a right scenario that the tests break in one place each."""

from __future__ import annotations

from typing import Literal

from fleet.scenario.schema import Vocabulary

VOCABULARY = Vocabulary(
    models={"Born": ("electric",), "Leon": ("diesel", "e-hybrid", "petrol")},
    regions={"munich": "Europe/Berlin", "lisbon": "Europe/Lisbon"},
    profiles=("commuter", "parked"),
    equipment={"parking_heater": bool, "doors": int, "media": Literal["media_system", "navi_system"]},
    reasons=("too_far", "busy"),
)

GOOD = """\
scenario: small
purpose: Shows every element once.
seed: 7
start: 2026-03-02T05:00
duration: 17 h
clock: x1800
region: munich
fleets:
  - name: commuters
    count: 30
    models: {Born: 1, Leon: 2}
    energies: {Leon: {petrol: 1, diesel: 3}}
    profile: commuter
    coverage: {garages: 6 %, holes: 0.02}
    equipment: {parking_heater: true}
  - name: parked
    count: 10
    models: {Leon: 1}
    profile: parked
    region: lisbon
    places: {parked_at: {latitude: 48.1, longitude: 11.5, spread: 300 m}}
commands:
  - name: honk
    rate: 120 per hour
    during: 06:00-09:00
    parameters: {mode: flash}
    distance: {from: 0 m, to: 900 m}
  - name: heater
    count: 20
    fleet: commuters
    time_to_live: 30 min
    parameters: {minutes: [10, 30, 60]}
    spin: {right: 95 %, wrong: 5 %}
expectations:
  - lost == 0
  - commands.rejected.too_far >= 1
"""
REGION = """\
region: malmo
country: SE
timezone: Europe/Stockholm
places:
  - {kind: errand, latitude: 55.6050, longitude: 13.0038}
  - {kind: home, latitude: 55.5900, longitude: 12.9800, weight: 3, spread_m: 800}
  - {kind: work, latitude: 55.7047, longitude: 13.1910, name: Lund}
  - {kind: home, latitude: 55.5760, longitude: 13.0400}
climate: {mean_c: 9.0, swing_c: 8.5}
maps: {south: 55.0, west: 10.5, north: 69.5, east: 24.5}
source: Made up.
"""
"""A region file."""
