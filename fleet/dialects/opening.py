"""Opens a dialect by its name: one that is shipped or that a package registers, a mapping file, or a class of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final, NamedTuple

from fleet.errors import UnknownName, UsageError
from fleet.scenario.text import is_mapping_file
from fleet.wire.dialect import Dialect
from fleet.wire.fleet_dialect import FleetDialect, json_codec, messagepack_codec
from fleet.wire.topics import DEFAULT_PREFIX, Topics

GROUP: Final = "fleet.dialects"
"""The group of entry points under which a package registers dialects by name."""

Make = Callable[[FleetDialect], Dialect]
"""Makes a dialect, mostly a class: from ours, in which tools and desk go on to speak."""

OWN: Final = "fleet"
JSON: Final = "json"
SHIPPED: Final[Mapping[str, str]] = {
    "homeassistant": "fleet.dialects.homeassistant.dialect:HomeAssistantDialect",
    "homeassistant-components": "fleet.dialects.homeassistant.dialect:per_component",
    "ovms": "fleet.dialects.ovms.dialect:OvmsDialect",
    "telemetry": "fleet.dialects.telemetry:TelemetryDialect",
    "vss": "fleet.dialects.vss.dialect:VssDialect",
}
"""The dialects of other systems that are shipped, and their classes: each is loaded when it is asked for."""


def open_named(choice: str | None, prefix: str = DEFAULT_PREFIX) -> Dialect:
    """Return the dialect of a name, None for ours; `prefix` begins our own topics, those of tools and desk among them.

    A path is a mapping file, `module:Class` a class. Raises UsageError for what cannot be opened, UnknownName with the nearest
    name.
    """
    own = FleetDialect(Topics(prefix), json_codec() if choice == JSON else messagepack_codec())
    if choice in (None, OWN, JSON):
        return own
    assert choice is not None
    return _maker(choice)(own)


def names() -> list[str]:
    """Return all names that `open_named` knows."""
    return [OWN, JSON, *sorted({*SHIPPED, *(point.name for point in entry_points(group=GROUP))})]


class Described(NamedTuple):
    """A line of the list of dialects."""

    name: str
    origin: str
    summary: str


def described() -> list[Described]:
    """Return all dialects that have a name: ours, those that are shipped, and those of installed packages."""
    found = [
        Described(OWN, "ours", "Our own topics, MessagePack; the default."),
        Described(JSON, "ours", "Our own topics, JSON."),
        *(Described(name, "shipped", _summary(_named_class(where))) for name, where in sorted(SHIPPED.items())),
    ]
    for point in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        origin = point.dist.name if point.dist is not None else "a package"
        try:
            found.append(Described(point.name, origin, _summary(_loaded(point.value, point.load))))
        except UsageError as error:
            found.append(Described(point.name, origin, str(error)))
    return found


def _summary(make: Make) -> str:
    """Return the first sentence of what makes a dialect."""
    return (make.__doc__ or "").strip().partition("\n")[0]


def _maker(choice: str) -> Make:
    if is_mapping_file(choice):
        return _mapping(Path(choice))
    if ":" in choice:
        return _named_class(choice)
    if choice in SHIPPED:
        return _named_class(SHIPPED[choice])
    for point in entry_points(group=GROUP, name=choice):
        return _loaded(point.value, point.load)
    raise UnknownName("dialect", choice, names())


def _mapping(file: Path) -> Make:
    """Return what makes the dialect of a mapping file; the reader of such files is loaded when there is one."""
    mapping = import_module("fleet.dialects.mapping_files").read_mapping_file(file)
    make: Make = partial(import_module("fleet.dialects.mapped").MappedDialect, mapping)
    return make


def _named_class(choice: str) -> Make:
    module, _, name = choice.partition(":")
    return _loaded(choice, lambda: getattr(import_module(module), name))


def _loaded(choice: str, load: Callable[[], Any]) -> Make:
    """Return what a package or the user brings; what happens on the way is theirs, and told as it is."""
    try:
        made: Make = load()
    except (ImportError, AttributeError, ValueError) as error:
        hint = "Write module:Class, of a module that Python finds (PYTHONPATH)."
        raise UsageError(f"the dialect {choice!r} cannot be loaded: {error}", hint=hint) from error
    if not callable(made):
        raise UsageError(f"the dialect {choice!r} is no class, but {made!r}", hint="See docs/dialects.md for what it must have.")
    return made
