"""The entities that a car has in Home Assistant, read from entities.toml, and how they are announced there.

Knows Home Assistant's words for topics and templates; sends nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cache
from importlib import resources
from typing import Any, Final, Literal

import msgspec

from fleet.wire.dialect import CarFacts
from fleet.wire.messages import Status
from fleet.wire.services import load_services

Discovery = Literal["device", "component"]
"""One message for a car, as Home Assistant knows it from 2024.11 on, or one for each entity, as it always did."""

DISCOVERY_PREFIX: Final = "homeassistant"
BIRTH_TOPIC: Final = f"{DISCOVERY_PREFIX}/status"
"""Home Assistant says here that it is `online`, and as its will that it is `offline`."""

CLIMATE_COMMANDS: Final = {"heat_cool": "climatisation", "heat": "heater", "fan_only": "ventilation"}
"""Home Assistant's climate modes, and the command that starts each."""

_OURS: Final = frozenset({"field", "as", "when", "needs"})
_QOS: Final = 1


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """One entity: `config` in Home Assistant's own words, topics relative to the car's.

    A car has it when it reports `when` (a group, or a group and a field; empty for always) and knows all commands in `needs`.
    """

    key: str
    component: str
    config: dict[str, Any]
    when: tuple[str, ...]
    needs: frozenset[str]

    def belongs_to(self, status: Status, commands: Collection[str]) -> bool:
        """Tell whether a car with this whole status, which knows these commands, has the entity."""
        value: Any = status
        for name in self.when:
            value = getattr(value, name, None)
        if self.component == "climate" and not set(CLIMATE_COMMANDS.values()) & set(commands):
            return False
        return value is not None and self.needs.issubset(commands)


@cache
def load_entities() -> tuple[Entity, ...]:
    """Return all entities, in the order of the file."""
    text = resources.files("fleet.dialects.homeassistant").joinpath("entities.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, dict[str, Any]]] = msgspec.toml.decode(text)
    return tuple(_entity(component, key, row) for component, rows in tables.items() for key, row in rows.items())


def _entity(component: str, key: str, row: dict[str, Any]) -> Entity:
    config = {name: value for name, value in row.items() if name not in _OURS}
    field = row.get("field")
    if field is not None:
        group = field.partition(".")[0]
        config = {"state_topic": f"status/{group}", "value_template": _template(field, row.get("as"))} | config
    if "command_topic" in config:
        config["qos"] = _QOS
    if component == "event":
        config["event_types"] = sorted(load_services().events)
    when: str = row.get("when", field or "")
    return Entity(
        key=key,
        component=component,
        config=config,
        when=tuple(name for name in when.removeprefix("car.").split(".") if name),
        needs=frozenset(row.get("needs", ())),
    )


def _template(field: str, kind: str | None) -> str:
    """Return the template that reads a field of a group; one that is not there is None, which is unknown."""
    _, *path = field.split(".")
    if not path:
        return "{{ value }}"
    value = "value_json"
    for name in path[:-1]:
        value = f"({value}.{name} | default({{}}))"
    value = f"{value}.{path[-1]}"
    match kind:
        case "flag":
            return f"{{{{ {{true: 'ON', false: 'OFF'}}.get({value} | default(none)) }}}}"
        case "moment":
            return f"{{{{ (({value} / 1000000) | as_datetime).isoformat() if {value} is defined else 'None' }}}}"
        case None:
            return f"{{{{ {value} | default('None') }}}}"
        case _:
            raise ValueError(f"{field}: {kind!r} is neither flag nor moment")


def _climate(config: dict[str, Any], commands: Collection[str]) -> dict[str, Any]:
    """Return the configuration with the modes of this car; one that knows no climatisation has no target."""
    modes = ["off", *(mode for mode, command in CLIMATE_COMMANDS.items() if command in commands)]
    if "climatisation" not in commands:
        config = {name: value for name, value in config.items() if not name.startswith("temperature_")}
    return config | {"modes": modes}


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """The entities of one car, in the messages by which Home Assistant discovers them."""

    car: CarFacts
    head: str
    entities: tuple[Entity, ...]
    commands: frozenset[str]
    version: str

    def messages(self, discovery: Discovery) -> Iterator[tuple[str, dict[str, Any]]]:
        """Return topics and payloads."""
        common = self._common()
        topics = announcement_topics(self.car.vin, self.entities, discovery)
        if discovery == "device":
            parts = {entity.key: {"platform": entity.component} | self._config(entity) for entity in self.entities}
            yield topics[0], common | {"components": parts}
            return
        for topic, entity in zip(topics, self.entities, strict=True):
            yield topic, common | self._config(entity)

    def _common(self) -> dict[str, Any]:
        car = self.car
        return {
            "device": {
                "identifiers": [car.vin],
                "name": car.name or f"{car.model or 'Car'} {car.vin[-6:]}",
                "manufacturer": "CUPRA",
                "serial_number": car.vin,
            }
            | ({"model": car.model} if car.model else {}),
            "origin": {"name": "fleet", "sw_version": self.version},
            "availability_topic": f"{self.head}presence",
            "availability_template": "{{ value_json.connection }}",
        }

    def _config(self, entity: Entity) -> dict[str, Any]:
        config = {name: self.head + value if name.endswith("topic") else value for name, value in entity.config.items()} | {
            "unique_id": f"{self.car.vin}_{entity.key}"
        }
        if entity.component == "climate":
            return _climate(config, self.commands)
        if entity.key == "connection":  # it tells why nothing else is available
            config |= {"availability_topic": config["state_topic"], "availability_template": "online"}
        return config


def announcement_topics(vin: str, entities: Iterable[Entity], discovery: Discovery) -> list[str]:
    """Return the topics on which a car with these entities is announced."""
    if discovery == "device":
        return [f"{DISCOVERY_PREFIX}/device/{vin}/config"]
    return [f"{DISCOVERY_PREFIX}/{entity.component}/{vin}/{entity.key}/config" for entity in entities]


def entities_of(status: Status, commands: Iterable[str]) -> tuple[Entity, ...]:
    """Return the entities of a car with this whole status, which knows these commands."""
    known = frozenset(commands)
    return tuple(entity for entity in load_entities() if entity.belongs_to(status, known))
