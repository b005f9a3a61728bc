"""The faults that a car can have: one table of warning lights and how often each comes on."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from fleet.wire.messages import WarningLight

FaultName = Literal[
    "tyre_pressure", "brake_pads", "washer_fluid", "headlight", "tail_light", "engine_oil", "coolant", "engine_control",
    "drive_system", "front_camera", "key_battery",
]  # fmt: skip


Category = Literal["lighting", "tyre", "engine", "assistance", "other"]


class Hazard(NamedTuple):
    """A fault and how often it comes: by distance, or (with 0 km) by time; `needs` is what a car must have to have it.

    The lower the `priority`, the more urgent.
    """

    name: FaultName
    category: Category
    priority: int
    text: str
    mean_km: float = 0.0
    mean_days: float = 0.0
    needs: Literal["any", "engine", "plug"] = "any"

    @property
    def light(self) -> WarningLight:
        """The warning light as a health report tells it."""
        return WarningLight(id=self.name, text=self.text, category=self.category, priority=self.priority)


HAZARDS: Final[dict[FaultName, Hazard]] = {
    hazard.name: hazard
    for hazard in (
        Hazard("tyre_pressure", "tyre", 2, "Tyre pressure is low", mean_km=25_000),
        Hazard("brake_pads", "other", 2, "Brake pads are worn", mean_km=60_000),
        Hazard("washer_fluid", "other", 4, "Washer fluid is low", mean_km=10_000),
        Hazard("headlight", "lighting", 3, "A headlight has failed", mean_km=50_000),
        Hazard("tail_light", "lighting", 3, "A tail light has failed", mean_km=50_000),
        Hazard("engine_oil", "engine", 2, "Engine oil level is low", mean_km=40_000, needs="engine"),
        Hazard("coolant", "engine", 1, "Coolant level is low: stop", mean_km=150_000, needs="engine"),
        Hazard("engine_control", "engine", 2, "Engine fault: workshop", mean_km=120_000, needs="engine"),
        Hazard("drive_system", "engine", 1, "Electric drive system fault", mean_km=200_000, needs="plug"),
        Hazard("front_camera", "assistance", 4, "Front camera: no view", mean_days=500),
        Hazard("key_battery", "other", 4, "Key battery is low", mean_days=600),
    )
}
"""All frequencies are ours. Hazards do not change with age: that they compete then needs one draw for the next of them all."""
