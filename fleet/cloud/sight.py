"""What a person may see of a car: since when, where it was, and nothing of times that the app kept private. Pure.

The same holds wherever something is shown. Source: privacy and roles of the domain description; what is finer is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from fleet.cloud.car_settings import ReportedSettings
from fleet.cloud.rights import PRIMARY, CarRights, Private, Why, command_doing, refusal
from fleet.cloud.twin import GroupOrigin, Twin
from fleet.kernel.instants import Instant
from fleet.wire.privacy import OPEN, SILENT_MODES, PrivacyMode
from fleet.wire.services import load_services

LOOKING: Final = "refresh"
"""The command whose rights and licence it takes to see the state of a car."""
LOCATION: Final = "location"
PLACE_DATA: Final = frozenset({"position", "latitude", "longitude", "recent_positions", "direction_deg"})
"""Names under which something says where the car is, or was."""
MOVEMENTS: Final = frozenset({"trip"})
"""Events that tell how a car was used without telling where."""
TELLS_DISTANCE: Final = frozenset({"too_far"})
"""Reasons whose detail says how far the car is from somebody whose place is known."""
OF_OWNER: Final = frozenset({"primary_user", "user"})
"""Recipients whose notices a primary user sees."""


class Sight(NamedTuple):
    """What somebody may see: nothing measured before `since`, places and trips only with `places`, `private` times never."""

    since: Instant = 0
    places: bool = True
    private: tuple[Private, ...] = ()
    is_primary: bool = True

    def mode_at(self, at: Instant) -> PrivacyMode:
        """Return the strictest mode of the app that held then."""
        held = [each.mode for each in self.private if each.begins <= at and (each.ends is None or at < each.ends)]
        return next((mode for mode in held if mode in SILENT_MODES), held[0] if held else OPEN)


def visible(rights: CarRights | None, reported: ReportedSettings | None, who: str | None, now: Instant) -> Sight | Why:
    """Return what an account may see of a car now, or why it may see nothing.

    A user sees what has come since becoming one, the primary user also what came before a switch to privacy; others see no place
    while it lasts. Of a car without people, that is the nameless primary user.
    """
    if rights is None or not rights.people:
        if who not in {None, PRIMARY}:
            return ("insufficient_rights", "this person is no user of the car")
        return Sight(private=() if rights is None else rights.private)
    why = refusal(replace(rights, mode=OPEN), None, who, command_doing(LOOKING), now)
    if why is not None:
        return why
    if reported is not None and LOOKING in reported.services_off:
        return ("service_deactivated", f"{LOOKING} is switched off in the car")
    assert who is not None, "nobody is refused"
    user = rights.users[who]
    is_primary = user.role == "primary"
    places = LOCATION not in user.refused and (is_primary or _is_open_to_others(rights, reported))
    return Sight(user.since, places, rights.private, is_primary)


def _is_open_to_others(rights: CarRights, reported: ReportedSettings | None) -> bool:
    """Tell whether other users than the primary one see where a car is: as long as nobody keeps that private."""
    if rights.mode != OPEN or (reported is not None and reported.mode != OPEN):
        return False
    return rights.primary is not None and LOCATION not in rights.users[rights.primary].refused


def shown(sight: Sight, kind: str, name: str | None, captured_at: Instant, content: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the part of a car's message that may be seen, None when nothing of it may.

    `kind` is status, event, response or request, `content` its plain data, as the store has it.
    """
    if captured_at < sight.since:
        return None
    if kind == "event" and name is not None and _is_legal(name):
        return dict(content) if sight.places else None  # such as an emergency call: its owner's, in every mode
    mode = sight.mode_at(captured_at)
    if mode in SILENT_MODES:
        return None
    if sight.places and mode == OPEN:
        return dict(content)
    return _without_place(kind, name, content, movements=sight.places)


def _is_legal(name: str) -> bool:
    entry = load_services().events.get(name)
    return entry is not None and entry.legal


def _without_place(kind: str, name: str | None, content: Mapping[str, Any], *, movements: bool) -> dict[str, Any] | None:
    """Return a message without what tells where the car is and, unless that may be seen, how it was used."""
    known = load_services()
    match kind:
        case "status":
            hidden = PLACE_DATA if movements else PLACE_DATA | {"driving"}
            return {key: value for key, value in content.items() if key not in hidden}
        case "event":
            entry = known.events.get(name or "")
            if (entry is not None and entry.tells_position) or (name in MOVEMENTS and not movements):
                return None
        case "request":
            asked = known.requests.get(name or "")
            if asked is not None and asked.tells_position:
                return None
        case "response" if content.get("reason") in TELLS_DISTANCE:
            return {key: value for key, value in content.items() if key != "detail"}
        case _:
            pass
    data = content.get("data")
    return {**content, "data": without_place(data)} if isinstance(data, dict) else dict(content)


def without_place(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return data without what tells where a car is."""
    return {name: value for name, value in data.items() if name not in PLACE_DATA}


def shown_notice(sight: Sight, to: str, at: Instant, data: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the data of a notice that may be seen: the primary user sees those to the users of the car, others none."""
    if to not in OF_OWNER or not sight.is_primary or at < sight.since:
        return None
    mode = sight.mode_at(at)
    if mode in SILENT_MODES:
        return None
    return dict(data) if sight.places and mode == OPEN else without_place(data)


def shown_twin(sight: Sight, twin: Twin) -> Twin | None:
    """Return the part of a car's newest state that may be seen, None when nothing of it may."""
    stamps = {group: stamp for group, stamp in twin.stamps.items() if _shows(sight, group, stamp)}
    if not stamps:
        return None
    seen = Twin(vin=twin.vin, stamps=stamps)
    for group in stamps:
        setattr(seen, group, getattr(twin, group))
    seen.captured_at = stamps["state"].captured_at if "state" in stamps else max(stamp.captured_at for stamp in stamps.values())
    if sight.private and sight.private[-1].ends is None and sight.private[-1].mode in SILENT_MODES:
        return seen  # whether it is connected now is of now
    seen.connection, seen.connection_reason = twin.connection, twin.connection_reason
    return seen


def _shows(sight: Sight, group: str, stamp: GroupOrigin) -> bool:
    """Tell whether a group of the newest state, as it was measured, may be seen."""
    whole: dict[str, Any] = {group: True}
    found = shown(sight, "status", None, stamp.captured_at, whole)
    return found is not None and group in found
