"""The dialect of Home Assistant: ours in JSON, but a status is a retained frame for each group, and a car announces itself.

What Home Assistant asks comes in its own words to the car's end; tools, desk and services go on in ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

import msgspec

from fleet.dialects.collecting import KNOWN_CARS, Bounded, Parts
from fleet.dialects.homeassistant.car_end import HomeAssistantEnd, Reported
from fleet.dialects.homeassistant.entities import Discovery
from fleet.dialects.homeassistant.topics import CAR, CONTROLS, HomeAssistantTopics
from fleet.errors import Undecodable
from fleet.wire.dialect import CarEnd, CarFacts, TopicAccess
from fleet.wire.fleet_dialect import FleetDialect, json_codec
from fleet.wire.frame import Frame
from fleet.wire.messages import STATUS_GROUPS, FromCar, Header, Status
from fleet.wire.numbering import Part, read_number


class HomeAssistantDialect(FleetDialect):
    """Cars as devices of Home Assistant, under the prefix of our own topics."""

    def __init__(self, own: FleetDialect, discovery: Discovery = "device") -> None:
        """Take ours, for its prefix, and how cars announce themselves."""
        self._topics = HomeAssistantTopics(own.topics.prefix)
        super().__init__(self._topics, json_codec())
        self._discovery: Discovery = discovery
        hints = get_type_hints(Status)
        self._readers_of = {group: msgspec.json.Decoder(hints[group]).decode for group in STATUS_GROUPS}
        self._readers_of[CAR] = msgspec.json.Decoder(Reported).decode
        self._parts = Parts()
        self._known: Bounded[dict[str, Any]] = Bounded(KNOWN_CARS)

    @property
    def name(self) -> str:
        """`homeassistant`, with `-components` where each entity is announced by itself."""
        return "homeassistant" if self._discovery == "device" else "homeassistant-components"

    @property
    def access(self) -> TopicAccess | None:
        """The topics that a broker must allow."""
        return self._topics.access()

    def car_end(self, car: CarFacts, snapshot: Callable[[], Status]) -> CarEnd | None:
        """Return a new end for a car."""
        return HomeAssistantEnd(car, snapshot, topics=self._topics, plain=self, discovery=self._discovery)

    # --- car to cloud

    def read_from_car(self, frame: Frame) -> FromCar | None:  # type: ignore[override]  # ours alone never has None
        """Read a message of a car; None for a group of a status that is not yet whole, and for what is in no account."""
        address = self._topics.parse(frame.topic)
        if address.channel != "status":
            return super().read_from_car(frame)
        group, part = address.name, read_number(frame)
        if group == CONTROLS or not frame.payload:
            return None  # in no account: what no message has, and what was cleared
        if part is not None and part.header.vin != address.vin:
            raise Undecodable("foreign_vin", f"{part.header.vin[:40]!r} was sent on the topic of {address.vin}")
        value = self._read_group(group, frame.payload)
        known = self._known.get(address.vin)
        if known is None:
            known = self._known.put(address.vin, {})
        known[group] = value
        if part is None:
            return None  # a state that was sent anew
        return self._status_with(part, group, value, known)

    def header_of(self, frame: Frame) -> Header | None:
        """Read the header alone, which a group of a status has beside its payload."""
        try:
            part = read_number(frame)
        except Undecodable:
            return None
        return super().header_of(frame) if part is None else part.header

    def _read_group(self, group: str, payload: bytes) -> Any:
        read = self._readers_of.get(group)
        if read is None:
            raise Undecodable("topic", f"{group[:40]!r} is no group of a status, nor {CAR} or {CONTROLS}")
        if group == "position" and payload == b"{}":
            return None
        try:
            return read(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Undecodable("type", f"{group}: {error}") from None

    def _status_with(self, part: Part, group: str, value: Any, known: Mapping[str, Any]) -> Status | None:
        """Add a group to its status; return the status once it is whole, with the groups that are unchanged."""
        groups = self._parts.add(part, {group: value})
        if groups is None:
            return None
        header, bare = part.header, groups.pop(CAR, None)
        if type(bare) is not Reported or (bare.vin, bare.boot, bare.seq) != (header.vin, header.boot, header.seq):
            raise Undecodable("type", f"a status of {header.vin} came without its group {CAR!r}")
        return bare.with_groups({name: known.get(name) for name in bare.unchanged if name in STATUS_GROUPS} | groups)


def per_component(own: FleetDialect) -> HomeAssistantDialect:
    """Cars as devices of a Home Assistant before 2024.11, which wants each entity announced by itself."""
    return HomeAssistantDialect(own, "component")
