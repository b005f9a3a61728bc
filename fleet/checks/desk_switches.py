"""Whether the desk sends what a car obeys by its own word, and refuses only what it does not.

Source: cloud privacy in the contract. The desk goes by what it has heard; of two messages of a car the one with the higher number
counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleet.checks.check import WHOLE_CAR, CheckedRule, Handlers
from fleet.checks.command_rule import DeskRule, Verdict
from fleet.checks.people import BACK_END, NO_SWITCHES, KnownPeople
from fleet.checks.privacy import ENROLS, LEGAL, LOCATES, OPEN, SILENT
from fleet.kernel.instants import Instant
from fleet.observe.journal import Begin, Input

Number = tuple[int, int]


class _Said:
    """The newest word of a car on its switches, and on whether anybody is at home in it."""

    __slots__ = ("mode", "number", "off", "paired", "paired_number")

    def __init__(self) -> None:
        self.number: Number = (0, 0)
        self.mode = OPEN
        self.off: frozenset[str] = frozenset()
        self.paired_number: Number = (0, 0)
        self.paired = True

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event; an older one than what is known says nothing any more."""
        number, data = (event["boot"], event["seq"]), event.get("data", {})
        is_reset = event["name"] == "car_reset" and data.get("user") in WHOLE_CAR
        if number > self.number:
            if is_reset:
                self.number, self.mode, self.off = number, OPEN, frozenset()
            elif event["name"] == "privacy_changed":
                self.number, self.mode, self.off = number, data["mode"], frozenset(data.get("services_off", ()))
        if (is_reset or event["name"] == "car_paired") and number > self.paired_number:
            self.paired_number, self.paired = number, not is_reset


class DeskSwitches(DeskRule):
    """The desk sends no command that the car's own switches refuse, or those of its users, and refuses no other for that.

    Judged where a command is sent, or refused, as soon as it is asked for; one that waits for its S-PIN was judged before.
    """

    name = "desk switches"
    rule = "the desk sends what the car obeys by its own word, and refuses for its switches only what it does not"
    looks_at = "commands"
    remembers = True
    SERVICE: Final = CheckedRule(
        "service", "sent only while the car has not said that the service is off", frozenset({"service_deactivated"})
    )
    PLACE: Final = CheckedRule(
        "place", "what tells where the car is only while its mode allows that", frozenset({"privacy_location"})
    )
    MODE: Final = CheckedRule(
        "mode", "only while the car has not said that it is offline or private", frozenset({"privacy_offline"})
    )
    PAIRED: Final = CheckedRule(
        "paired", "only while the car has not said that it was reset and not paired since", frozenset({"not_paired"})
    )
    rules = (SERVICE, PLACE, MODE, PAIRED)

    def __init__(self, begin: Begin, people: KnownPeople) -> None:
        super().__init__(begin)
        self._said: dict[str, _Said] = {}
        self._people = people

    def handlers(self) -> Handlers:
        return {**super().handlers(), ("in", "DeskStart"): self._starts, ("in", "CarSwitched"): self._hears}

    def _starts(self, record: Input, line: int) -> None:
        self.given(record, line)
        for vin, held in record.data.get("settings", {}).items():
            said = self._said[vin] = _Said()
            said.number, said.mode = (held.get("boot", 0), held.get("seq", 0)), held.get("mode", OPEN)
            said.off, said.paired = frozenset(held.get("services_off", ())), held.get("paired", True)
            boot, seq = held.get("since", (0, 0))
            said.paired_number = (boot, seq)

    def _hears(self, record: Input, line: int) -> None:
        self.given(record, line)
        event = record.data["event"]
        self._said.setdefault(event["vin"], _Said()).hear(event)

    def judge(self, command: Mapping[str, Any], asked: Mapping[str, Any], now: Instant) -> Iterator[Verdict]:  # noqa: ARG002
        """Judge by what the car has said and, where somebody has enrolled it, by what its users have switched in the app."""
        name, said = command["name"], self._said.get(command["vin"], NOTHING)
        app = self._people.switches(command["vin"]) if command["user"] != BACK_END else NO_SWITCHES
        at_home = said.paired or name == ENROLS
        yield Verdict(self.PAIRED, at_home, f"the car has said that it is {'paired' if said.paired else 'reset'}")
        if name in LEGAL:
            for rule in (self.MODE, self.SERVICE, self.PLACE):
                yield Verdict(rule, permits=True, why=f"{name} is obeyed however the car is switched")
            return
        modes = f"the car has said that its mode is {said.mode}, and in the app it is {app.mode}"
        yield Verdict(self.MODE, said.mode not in SILENT and app.mode not in SILENT, modes)
        off = said.off | app.off
        yield Verdict(self.SERVICE, name == ENROLS or name not in off, f"off are: {', '.join(sorted(off)) or 'none'}")
        if name in LOCATES:
            yield Verdict(self.PLACE, said.mode == OPEN == app.mode, modes)


NOTHING: Final = _Said()
"""Of a car that has said nothing yet."""
