"""The dialect of Home Assistant: ours in JSON, but a status is a retained frame for each group, and a car announces itself.

What Home Assistant asks comes in its own words to the car's end; tools, desk and services go on in ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from fleet.dialects.collecting import Parts
from fleet.dialects.homeassistant.car_end import HomeAssistantEnd
from fleet.dialects.homeassistant.entities import Discovery
from fleet.dialects.homeassistant.topics import CAR, CONTROLS, HomeAssistantTopics
from fleet.errors import Undecodable
from fleet.wire.dialect import Access, CarEnd, CarFacts
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
        self._readers_of[CAR] = msgspec.json.Decoder(Status).decode
        self._parts = Parts()

    @property
    def name(self) -> str:
        """`homeassistant`, with `-components` where each entity is announced by itself."""
        return "homeassistant" if self._discovery == "device" else "homeassistant-components"

    @property
    def access(self) -> Access | None:
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
        part = read_number(frame)
        if part is None or not frame.payload:
            return None  # a state sent anew, or cleared
        if part.header.vin != address.vin:
            raise Undecodable("foreign_vin", f"{part.header.vin[:40]!r} was sent on the topic of {address.vin}")
        return self._status_with(part, address.name, self._read_group(address.name, frame.payload))

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
        try:
            return read(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Undecodable("type", f"{group}: {error}") from None

    def _status_with(self, part: Part, group: str, value: Any) -> Status | None:
        """Add a group to the status that it is part of; return the status when it is whole."""
        groups = self._parts.add(part, {group: value})
        if groups is None:
            return None
        header, bare = part.header, groups.pop(CAR, None)
        if type(bare) is not Status or (bare.vin, bare.boot, bare.seq) != (header.vin, header.boot, header.seq):
            raise Undecodable("type", f"a status of {header.vin} came without its group {CAR!r}")
        return msgspec.structs.replace(bare, **groups)


def per_component(own: FleetDialect) -> HomeAssistantDialect:
    """Return the dialect for a Home Assistant before 2024.11, which knows no announcement of a whole device."""
    return HomeAssistantDialect(own, "component")
