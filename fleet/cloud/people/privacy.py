"""Privacy and consents: what a car's users have switched off in the app, and what they agree to. What is (ours) says so.

The switch in the car wins: what the app wants ends with the next turn of the switch in the car, and the app never opens what the
car keeps shut. Both stand in the history, with time and author. What the car sent before a switch stays with its owner; what it
sends while the app keeps something private is shown to nobody, afterwards neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from msgspec.structs import replace

from fleet.cloud import car_settings
from fleet.cloud.car_settings import ReportedSettings, reset_of
from fleet.cloud.people.at_home import BY_ENROLMENT
from fleet.cloud.people.consents import decide, stops
from fleet.cloud.people.part import Action, Asking, Part, Refused, Words
from fleet.cloud.people.people import People
from fleet.cloud.people.records import CarPeople, Switch
from fleet.cloud.rights import PRIMARY, PURPOSES, Private
from fleet.cloud.rule import Done, RuleOutput
from fleet.kernel.instants import Duration, Instant
from fleet.wire.messages import Event
from fleet.wire.privacy import MODES, OPEN, PrivacyMode, mode_of
from fleet.wire.services import load_services

KEPT_SWITCHES: Final = 200
"""Turns of the switches of a car that are kept (ours)."""
KEPT_SPANS: Final = 50
"""Private times of a car that are told apart (ours): of more, the two oldest become one that hides what either did."""
MODE: Final = "mode"
_RANK: Final[dict[PrivacyMode, int]] = {OPEN: 0, "online": 1, "offline": 2, "maximum_privacy": 2}


class SetMode(Words, frozen=True, kw_only=True):
    mode: PrivacyMode


class SwitchService(Words, frozen=True, kw_only=True):
    name: str
    on: bool


class GiveConsent(Words, frozen=True, kw_only=True):
    purpose: str
    given: bool
    version: str = "1"


class Nothing(Words, frozen=True, kw_only=True):
    """No words."""


def switchable() -> tuple[str, ...]:
    """Return the services that the service management of the app switches: commands, online services and the service partner."""
    known = load_services()
    commands = (name for name, entry in known.commands.items() if entry.is_of_users and not entry.legal)
    requests = (name for name, entry in known.requests.items() if not entry.enrols)
    return (*commands, *requests, "partner")


def opened(car: CarPeople, now: Instant) -> CarPeople:
    """Return a car whose app keeps nothing private from now on, as for a new owner."""
    return replace(with_mode(car, OPEN, now), services_off=())


def know_switches(people: People, vin: str | None, reported: ReportedSettings | None) -> None:
    """Take over what a car had said of its own switches before there was a record of it; of later turns `Privacy` hears."""
    car = people.cars.get(vin)
    if car is not None and car.reported is None and reported is not None:
        people.put_car(replace(car, reported=reported))


class Privacy(Part):
    """The privacy mode and the service management of the app, what the switch in the car makes of them, and consents."""

    service: ClassVar[str] = "privacy"
    events: ClassVar[frozenset[str]] = frozenset({"privacy_changed", "car_reset"})

    def actions(self) -> Mapping[str, Action]:
        return {
            "show": self._show,
            "set": self._set,
            "service": self._service,
            "consent": self._consent,
            "history": self._history,
        }

    # --- what the app switches

    def _set(self, asking: Asking) -> Done:
        asked, car = asking.words(SetMode).mode, self.people.car(asking.vin)
        mode = mode_of(asked, car.generation) if car.generation in MODES else asked
        if mode is None:
            modes = ", ".join(MODES[car.generation])
            raise Refused("argument_out_of_range", f"the switch of this car has no {asked}; possible: {modes}")
        in_car = _in_car(asking).mode
        if _RANK[mode] < _RANK[in_car]:
            raise Refused("switched_in_car", f"the switch in the car stands at {in_car}, and wins; turn it there")
        if mode != car.mode:
            car = _switched(with_mode(car, mode, asking.now), MODE, mode, asking)
            self.people.put_car(replace(car, mode_by="app"))
        return Done(data=self._shown(asking))

    def _service(self, asking: Asking) -> Done:
        words, car = asking.words(SwitchService), self.people.car(asking.vin)
        if words.name not in switchable():
            raise Refused(
                "unsupported", f"there is no service {words.name[:40]!r} to switch; possible: {', '.join(switchable())}"
            )
        if words.on and words.name in _in_car(asking).services_off:
            raise Refused("switched_in_car", f"{words.name} is switched off in the car, which wins; switch it on there")
        off = {*car.services_off} - {words.name} if words.on else {*car.services_off, words.name}
        outputs: list[RuleOutput] = []
        if off != set(car.services_off):
            car = replace(car, services_off=tuple(sorted(off)))
            self.people.put_car(_switched(car, words.name, "on" if words.on else "off", asking))
            outputs += [] if words.on else stops(self.people, asking.vin, {words.name})
        return Done(outputs, self._shown(asking))

    # --- consents

    def _consent(self, asking: Asking) -> Done:
        words, account = asking.words(GiveConsent), self.people.accounts.get(asking.person)
        if account is None:
            raise Refused("insufficient_rights", "this person has no account")
        if words.purpose not in PURPOSES:
            raise Refused("argument_out_of_range", f"there is no purpose {words.purpose[:40]!r}; known: {', '.join(PURPOSES)}")
        outputs = decide(self.people, account, words.purpose, words.version, given=words.given, now=asking.now)
        return Done(outputs, {"consents": self._given(account.id)})

    def _given(self, account_id: str) -> dict[str, bool]:
        account = self.people.accounts.get(account_id)
        refused = () if account is None else self.people.refused_by(account)
        return {purpose: account is not None and purpose not in refused for purpose in PURPOSES}

    # --- what is told

    def _show(self, asking: Asking) -> Done:
        asking.words(Nothing)
        return Done(data=self._shown(asking))

    def _shown(self, asking: Asking) -> dict[str, Any]:
        car, in_car = self.people.car(asking.vin), _in_car(asking)
        mode = max((in_car.mode, car.mode), key=lambda mode: _RANK[mode])
        shown: dict[str, Any] = {
            "mode": mode,
            "in_car": in_car.mode,
            "in_app": car.mode,
            "services_off": sorted({*in_car.services_off, *car.services_off}),
            "off_in_car": sorted(in_car.services_off),
        }
        person = asking.asked.person
        return shown if person is None else {**shown, "consents": self._given(person)}

    def _history(self, asking: Asking) -> Done:
        asking.words(Nothing)
        car = self.people.car(asking.vin)
        user = car.users.get(asking.asked.person or "")
        since = 0 if user is None else user.since
        turns = [switch for switch in car.switches if switch.at >= since]
        return Done(
            data={
                "switches": [
                    {"at": each.at, "what": each.what, "value": each.value, "by": each.by, "who": each.who} for each in turns
                ]
            }
        )

    # --- what the car says of its own switch

    def hears(self, event: Event) -> bool:
        """Want those of cars of which something is known: of all others the desk alone remembers the switch."""
        return event.vin in self.people.cars

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:  # noqa: ARG002 (when it was turned counts)
        car = self.people.cars[event.vin]
        before = car.reported or ReportedSettings()
        after = car_settings.after(before, event)
        if after is None:
            return ()
        car = replace(car, reported=after)
        if event.name == "privacy_changed":
            car = _turned(car, before, after, event.captured_at)
        elif (reset := reset_of(event)) is not None and reset.user is None and event.data.get("by") != BY_ENROLMENT:
            car = _forgotten(car, event.captured_at)
        self.people.put_car(car)
        return ()

    # --- time

    def has_pending_times(self) -> bool:
        return any(car.private and car.private[-1].ends is None for car in self.people.cars.values())

    def clock_moved(self, shift: Duration) -> None:
        """Let a private time that lasts hide what comes by an earlier clock, too."""
        for car in list(self.people.cars.values()):
            if shift < 0 and car.private and car.private[-1].ends is None:
                last = replace(car.private[-1], begins=car.private[-1].begins + shift)
                self.people.put_car(replace(car, private=(*car.private[:-1], last)))


def _in_car(asking: Asking) -> ReportedSettings:
    return asking.asked.reported or ReportedSettings()


def _switched(car: CarPeople, what: str, value: str, asking: Asking) -> CarPeople:
    """Return the car with a turn of a switch of the app in its history."""
    who = asking.asked.person or PRIMARY
    return _with_history(car, Switch(what=what, value=value, by="app", who=who, at=asking.now))


def _with_history(car: CarPeople, *turns: Switch) -> CarPeople:
    return replace(car, switches=tuple(sorted((*car.switches, *turns), key=lambda turn: turn.at))[-KEPT_SWITCHES:])


def with_mode(car: CarPeople, mode: PrivacyMode, at: Instant) -> CarPeople:
    """Return the car with another mode of the app, and the private times that follow from it."""
    spans = car.private
    if spans and spans[-1].ends is None:
        ended = replace(spans[-1], ends=at)
        spans = (*spans[:-1], ended) if at > ended.begins else spans[:-1]
    if mode != OPEN:
        spans = (*spans, Private(at, None, mode))
    if len(spans) > KEPT_SPANS:
        first, second = spans[:2]
        stricter = max((first.mode, second.mode), key=lambda each: _RANK[each])
        spans = (Private(first.begins, second.ends, stricter), *spans[2:])
    return replace(car, mode=mode, private=spans)


def _turned_in_app(car: CarPeople, what: str) -> Instant:
    """Return when a switch was last turned in the app, 0 when never."""
    return next((turn.at for turn in reversed(car.switches) if turn.by == "app" and turn.what == what), 0)


def _turned(car: CarPeople, before: ReportedSettings, after: ReportedSettings, at: Instant) -> CarPeople:
    """Return the car after a turn of its own switches: what the app wanted of the same before then is over."""
    turns: list[Switch] = []
    if after.mode != before.mode:
        turns.append(Switch(what=MODE, value=after.mode, by="car", who="car", at=at))
        if at >= _turned_in_app(car, MODE):
            car = replace(with_mode(car, OPEN, at), mode_by="car")
    for name in sorted({*after.services_off} ^ {*before.services_off}):
        on = name not in after.services_off
        turns.append(Switch(what=name, value="on" if on else "off", by="car", who="car", at=at))
        if on and at >= _turned_in_app(car, name):
            car = replace(car, services_off=tuple(each for each in car.services_off if each != name))
    return _with_history(car, *turns)


def _forgotten(car: CarPeople, at: Instant) -> CarPeople:
    """Return the car after its factory settings were restored: what the app wanted before then is over, too."""
    off = tuple(name for name in car.services_off if _turned_in_app(car, name) > at)
    if at >= _turned_in_app(car, MODE):
        car = with_mode(car, OPEN, at)
    return replace(car, services_off=off)
