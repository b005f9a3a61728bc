"""What the book knows of cars and commands that the catalogue cannot say, in tables.

The right answers are those of the domain, written down once more: nothing of a car or a desk is asked for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.rule_book.book import DROP
from tests.rule_book.variations import OK, OUT_OF_RANGE

MODES: Final = {"G3": ("maximum_privacy",), "G4": ("online", "offline")}
"""What the privacy switch of a generation can be set to, beside online_with_location."""
SILENT: Final = ("maximum_privacy", "offline")
FLEETS: Final = {
    "leon": "models: {Leon: 1}, energies: {Leon: {petrol: 1}}, profile: parked, coverage: {garages: 0 %, holes: 0 %}, "
    "equipment: {parking_heater: true, remote_ventilation: true, window_heating: false, media: navi_system, build_week: 202225}",
    "born": "models: {Born: 1}, profile: parked, coverage: {garages: 0 %, holes: 0 %}, "
    "equipment: {window_heating: true, media: navi_system, build_week: 202225}",
    "hybrid": "models: {Formentor: 1}, energies: {Formentor: {e-hybrid: 1}}, profile: parked, "
    "coverage: {garages: 0 %, holes: 0 %}, equipment: {media: navi_system, build_week: 202310}",
    "ateca": "models: {Ateca: 1}, energies: {Ateca: {diesel: 1}}, profile: parked, coverage: {garages: 0 %, holes: 0 %}, "
    "equipment: {parking_heater: true, remote_ventilation: true, media: navi_system, build_week: 202310}",
    "plain": "models: {Leon: 1}, energies: {Leon: {petrol: 1}}, profile: parked, coverage: {garages: 0 %, holes: 0 %}, "
    "equipment: {parking_heater: false, remote_ventilation: false, media: media_system, build_week: 202224}",
    "bare": "models: {Born: 1}, profile: parked, coverage: {garages: 0 %, holes: 0 %}, "
    "equipment: {window_heating: false, media: media_system, build_week: 202224}",
    "early": "models: {Leon: 1}, energies: {Leon: {petrol: 1}}, profile: parked, coverage: {garages: 0 %, holes: 0 %}, "
    "equipment: {parking_heater: true, build_week: 202049}",
    "first": "models: {Leon: 1}, energies: {Leon: {petrol: 1}}, profile: parked, coverage: {garages: 0 %, holes: 0 %}, "
    "equipment: {parking_heater: true, build_week: 202048}",
    "albanian": "models: {Leon: 1}, energies: {Leon: {petrol: 1}}, profile: parked, coverage: {garages: 0 %, holes: 0 %}, "
    "registered_in: AL",
    "older": "models: {Leon: 1}, energies: {Leon: {petrol: 1}}, profile: parked, coverage: {garages: 0 %, holes: 0 %}, "
    "equipment: {media: navi_system, build_week: 202224}",
}
"""The cars of the book. Leon and Born are of the first week for area and speed alerts, plain and bare of the last one without."""
GENERATION: Final = {"leon": "G3", "born": "G4", "hybrid": "G3", "ateca": "G3"}


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What the book knows of a command beside the catalogue.

    `fits`: fleets that have all it needs. `words`: parameters that are right. `then`: how the car stands once it succeeded.
    `plug`: it needs charge to fill, and the plug. `once`: it can succeed once for a car. `takes_s`: how long its actuator works
    (None: it is done at once). `lacking`: for each equipment a fleet without it. `engine_on`: how it ends in any state.
    """

    fits: tuple[str, ...] = ("leon", "born")
    words: Mapping[str, Any]
    then: str | None = None
    plug: bool = False
    once: bool = False
    takes_s: float | None = None
    lacking: Mapping[str, str]
    engine_on: str = OK
    stands: Mapping[str, Any] | None = None
    """Words of the step, such as where the user stands."""


_TIMERS: Final = {"timers": [{"at": "23:30", "days": ["monday"]}]}
KNOWN: Final[Mapping[str, Knowledge]] = {
    "honk": Knowledge(words={}, takes_s=10, lacking={}, stands={"distance": "20 m"}),
    "lock": Knowledge(words={}, takes_s=0.8, lacking={}, then="car.locked == yes"),
    "unlock": Knowledge(words={}, takes_s=0.8, lacking={}, then="car.locked == no"),
    "heater": Knowledge(
        words={}, fits=("leon",), takes_s=3, lacking={"parking_heater": "plain"}, then="car.heater == on"
    ),
    "ventilation": Knowledge(
        words={}, fits=("leon",), takes_s=0.8, lacking={"remote_ventilation": "plain"}, then="car.climate == ventilation"
    ),
    "ventilation_timers": Knowledge(words=_TIMERS, fits=("leon",), takes_s=0.8, lacking={"remote_ventilation": "plain"}),
    "climatisation": Knowledge(
        words={}, fits=("born", "hybrid"), plug=True, takes_s=0.8, lacking={"climatisation": "leon"},
        then="car.climate == climatisation",
    ),
    "charging": Knowledge(
        words={}, fits=("born",), plug=True, takes_s=0.8, lacking={"charging_socket": "leon"},
        then="car.charging == charging", engine_on="rejected(not_plugged_in)",
    ),
    "charging_settings": Knowledge(words={"limit_percent": 80}, fits=("born", "hybrid"), lacking={"charging_socket": "leon"}),
    "charging_locations": Knowledge(
        words={"locations": [{"name": "home", "latitude": 48.1, "longitude": 11.5}]}, fits=("born", "hybrid"),
        lacking={"charging_socket": "leon"},
    ),
    "departure_timers": Knowledge(
        words=_TIMERS, fits=("born", "hybrid"), lacking={"charging_socket": "leon", "climatisation": "plain"}
    ),
    "refresh": Knowledge(words={}, lacking={}),
    "area_alert": Knowledge(
        words={"zones": [{"name": "home", "latitude": 48.1, "longitude": 11.5, "radius_m": 500}]}, lacking={"built_from": "plain"}
    ),
    "speed_alert": Knowledge(words={}, lacking={"built_from": "bare"}),
    "reset": Knowledge(words={}, once=True, lacking={}),
    "route_import": Knowledge(
        words={"trips": [{"name": "lake", "waypoints": [{"latitude": 48.2, "longitude": 11.6}]}]}, once=True,
        lacking={"navi_system": "plain"},
    ),
    "system_update": Knowledge(
        words={"campaign": "spring", "version": "2.0", "size_mb": 1000, "consent": True}, once=True, lacking={}
    ),
}  # fmt: skip
OF_BACK_END: Final[Mapping[str, Mapping[str, Any]]] = {
    "enrol_user": {"user": "p1", "role": "primary"}, "show_notice": {"kind": "activation"},
}  # fmt: skip
"""The commands that only the back end sends, with words that are right."""
_NIGHT: Final = {"begins": "22:00", "ends": "06:00"}
COMPANIONS: Final[Mapping[str, Mapping[tuple[str, ...], Mapping[str, Any]]]] = {
    "honk": {("latitude",): {"longitude": 11.5}, ("longitude",): {"latitude": 48.1}, ("mode",): {}, ("duration_s",): {}},
    "charging_settings": {
        ("begins",): {"ends": "06:30"}, ("ends",): {"begins": "22:30"}, ("night_window", "true"): _NIGHT,
    },
    "charging_locations": {
        ("locations", "begins"): {"ends": "06:30"}, ("locations", "ends"): {"begins": "22:30"},
        ("locations", "night_window", "true"): _NIGHT,
    },
    "area_alert": {
        ("zones", "width_m"): {"radius_m": DROP, "height_m": 500}, ("zones", "height_m"): {"radius_m": DROP, "width_m": 500},
        ("zones", "begins"): {"ends": "06:30"}, ("zones", "ends"): {"begins": "22:30"},
    },
    "ventilation_timers": {("timers", "date"): {"days": DROP}},
    "departure_timers": {("timers", "date"): {"days": DROP}},
}  # fmt: skip
"""Words that must go with a parameter."""
_EDGES: Final = (("latitude", "-90"), ("latitude", "90"), ("longitude", "-180"), ("longitude", "180"))
INSTEAD: Final[Mapping[tuple[str, str, str], str]] = {
    **{("honk", *edge): "rejected(too_far)" for edge in _EDGES},
    **{("area_alert", *edge): OUT_OF_RANGE for edge in _EDGES},
    **{("route_import", *edge): "rejected(no_map_data)" for edge in _EDGES},
    ("system_update", "consent", "false"): "rejected(consent_missing)",
}
"""What a service's own rule makes of a value within the range: no car is at the pole, and no zone on the date line."""
