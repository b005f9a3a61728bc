"""Routes and updates over the air, judged by the commands and the messages of a car.

Source: the rows route import and over-the-air update of the domain description. Figures marked ours there are in the words of the
checks. What a car does not say, because its privacy mode keeps it silent or a message was dropped, leaves unknown what follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleet.checks.cars import Cars, KnownCar
from fleet.checks.check import Check, CheckedRule, Handlers, is_first
from fleet.checks.command_rule import Answer, CommandRule, Parameters, Verdict
from fleet.checks.rules import equipped
from fleet.kernel.instants import MINUTE, Instant
from fleet.observe.journal import Begin, Input, Output
from fleet.vehicle.catalogue import Equipment

TRIPS: Final = 5
WAYPOINTS: Final = 4
LONGEST_NAME: Final = 40
ONE_ROUTE_UNTIL: Final = 202224
SIZES_MB: Final = (1, 50_000)
LASTS_MIN: Final = {"system": (15, 30), "infotainment": (4, 10)}
ROUNDED: Final = 0.051
"""Messages have progress in tenths of a percent."""
UNTOLD: Final = frozenset({"privacy_changed", "car_reset", "car_paired"})
"""Behind these there may be something that the car did not say."""


class RouteList:
    """The routes of one car: how many wait for the ignition, and how many are in its list. None is not known."""

    __slots__ = ("cleared_at", "held", "waiting")

    def __init__(self) -> None:
        self.waiting: int | None = 0
        self.held: int | None = 0
        self.cleared_at: Instant = 0

    def forget(self) -> None:
        self.waiting = self.held = None

    @property
    def count(self) -> int | None:
        return None if self.waiting is None or self.held is None else self.waiting + self.held


class RouteRule(CommandRule):
    """Route import: at most 5 trips with 1 to 4 waypoints each, into a navi system whose list holds 5.

    A car of the third generation built before week 25/2022 holds one route (ours). Whether there is map data is not judged: what
    the maps of a car cover no journal tells.
    """

    name = "route rule"
    rule = "routes go only into a navi system, 1 to 5 trips of 1 to 4 waypoints, and no more than its list holds; told once each"
    looks_at = "answers, events"
    EQUIPPED: Final = CheckedRule("equipped", "only into a car with a navi system", frozenset({"not_equipped"}))
    TRIPS: Final = CheckedRule(
        "trips", "1 to 5 trips of 1 to 4 waypoints; one where the car holds one route", frozenset({"argument_out_of_range"})
    )
    ROOM: Final = CheckedRule("room", "no more routes than the car's list holds", frozenset({"list_full"}))
    TOLD: Final = CheckedRule(
        "told", "routes are offered, downloaded and lapse once each, with the engine on, as many as there are"
    )
    rules = (EQUIPPED, TRIPS, ROOM, TOLD)
    commands = frozenset({"route_import"})

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment]) -> None:
        """Take what is known of the cars, and their equipment by VIN as far as it is known."""
        super().__init__(begin, cars, equipment)
        self._lists: dict[str, RouteList] = {}

    def handlers(self) -> Handlers:
        return {
            **super().handlers(),
            ("out", "Transmit", "Event"): self._told,
            ("in", "ClearRoutes"): self._cleared,
        }

    def forget(self, machine: str) -> None:
        """How many routes there are is not known, rather than none."""
        self._lists.setdefault(machine, RouteList()).forget()

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterator[Verdict]:
        """Judge a route import: equipment, the form of its trips, and room in the car's list."""
        fitted = self._equipment.get(answer["vin"])
        known = self._known(f"car/{answer['vin']}", car, answer)
        yield equipped(self.EQUIPPED, has=None if fitted is None else fitted.media == "navi_system", what="navi system")
        wrong, trips = _wrong(parameters), len(parameters["trips"])
        one = fitted is not None and fitted.generation == "G3" and fitted.build_week <= ONE_ROUTE_UNTIL
        if one and trips > 1:
            wrong = wrong or f"{trips} routes are sent to a car that holds one"
        if fitted is None and not wrong:
            yield Verdict(self.TRIPS, None, "how many routes the car holds is not known")
        else:
            yield Verdict(self.TRIPS, not wrong, wrong or "nothing is wrong with it")
        count = 0 if one else known.count  # one that is there makes room
        if count is None:
            yield Verdict(self.ROOM, None, "how many routes are in the car is not known")
        else:
            yield Verdict(self.ROOM, count + trips <= TRIPS, f"{trips} routes are sent, and {count} are in the car")
        if answer["state"] == "succeeded":
            if known.waiting is not None:
                known.waiting = trips if one else known.waiting + trips
            if one:
                known.held = 0 if known.held is not None else None

    def _told(self, record: Output, line: int) -> None:
        event = record.data["message"]
        if not is_first(record):
            return
        known = self._known(record.m, self._cars.of(record.m), event)
        if event["name"] in UNTOLD:
            known.forget()
        if not event["name"].startswith("route_") or event["name"] == "route_started":
            return
        self.looked_at += 1
        if known.waiting is None:
            self.undecided("told", "judged", "how many routes wait is not known")
        else:
            self.judged("told")
        count = event["data"]["count"]
        if event["name"] != "route_lapsed" and self._cars.of(record.m).engine_on is False:
            self.breach(line, record.m, f"{event['name']}, but the engine is off")
        if known.waiting is not None and (count > known.waiting or (event["name"] != "route_lapsed" and count < known.waiting)):
            self.breach(line, record.m, f"{event['name']} tells {count} routes, expected {known.waiting}")
        if event["name"] == "route_downloaded":
            listed = event["data"]["listed"]
            if known.held is not None and listed != known.held + count:
                self.breach(line, record.m, f"the list has {listed} routes, expected {known.held} and {count}")
            known.waiting = 0
            known.held = listed if event["captured_at"] > known.cleared_at else None
        elif event["name"] == "route_lapsed" and known.waiting is not None:
            known.waiting -= count

    def _cleared(self, record: Input, _line: int) -> None:
        known = self._lists.setdefault(record.m, RouteList())
        known.held, known.cleared_at = None, record.t

    def _known(self, machine: str, car: KnownCar, message: dict[str, Any]) -> RouteList:
        known = self._lists.setdefault(machine, RouteList())
        if not car.follows(message):
            known.forget()
        return known


def _wrong(parameters: Parameters) -> str:
    """Return what is wrong with the trips, "" when nothing is; what JSON has no number for is null in a journal."""
    trips = parameters["trips"]
    if not 1 <= len(trips) <= TRIPS:
        return f"there are {len(trips)} trips"
    for trip in trips:
        if not 1 <= len(trip["waypoints"]) <= WAYPOINTS:
            return f"a trip has {len(trip['waypoints'])} waypoints"
        if any(len(each.get("name", "")) > LONGEST_NAME for each in (trip, *trip["waypoints"])):
            return "a name is too long"
        for point in trip["waypoints"]:
            latitude, longitude = point["latitude"], point["longitude"]
            if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
                return f"a waypoint is at {latitude}, {longitude}"
    return ""


class ConsentRule(CommandRule):
    """An update is taken only with consent, by app in the command or in the car; its size is 1 to 50 000 MB (ours)."""

    name = "consent rule"
    rule = "an update is taken only with consent, and refused for want of it only without"
    looks_at = "answers"
    CONSENT: Final = CheckedRule("consent", "only with consent, by app or in the car", frozenset({"consent_missing"}))
    WORDS: Final = CheckedRule(
        "words", "1 to 50 000 MB; campaign and version in 40 letters", frozenset({"argument_out_of_range"})
    )
    rules = (CONSENT, WORDS)
    commands = frozenset({"system_update"})

    def __init__(self, begin: Begin, cars: Cars) -> None:
        super().__init__(begin, cars)
        self._given: dict[str, bool | None] = {}

    def forget(self, machine: str) -> None:
        """Whether anybody has agreed is not known, rather than nobody."""
        self._given[machine] = None

    def handlers(self) -> Handlers:
        return {**super().handlers(), ("out", "Transmit", "Event"): self._told}

    def judge(self, car: KnownCar, parameters: Parameters, answer: Answer) -> Iterator[Verdict]:
        """Judge a system update: its size and words, and the consent that it needs."""
        machine = f"car/{answer['vin']}"
        if not car.follows(answer):
            self._given[machine] = None
        least, most = SIZES_MB
        size, longest = parameters["size_mb"], max(len(parameters["campaign"]), len(parameters["version"]))
        fits = least <= size <= most and longest <= LONGEST_NAME
        yield Verdict(self.WORDS, fits, f"it has {size} MB, and its longest word {longest} letters")
        if answer["state"] == "succeeded":
            return  # what was agreed to at the start stays so
        if parameters.get("consent", False) is True:
            yield Verdict(self.CONSENT, permits=True, why="the user has agreed")
        elif (in_car := self._given.get(machine, False)) is None:
            yield Verdict(self.CONSENT, None, "whether the driver has agreed is not known")
        else:
            yield Verdict(self.CONSENT, in_car, "the driver has agreed" if in_car else "nobody has agreed")

    def _told(self, record: Output, _line: int) -> None:
        event = record.data["message"]
        if not is_first(record):
            return
        if event["name"] in UNTOLD or not self._cars.of(record.m).follows(event):
            self._given[record.m] = None
        if event["name"] == "update_consent":
            self._given[record.m] = event["data"]["given"]


class UpdateStory:
    """The update that one car has reported, and the versions that it must have; None while those are not known.

    `of` is None when no update is on its way, as far as that is `known`.
    """

    __slots__ = ("at", "known", "of", "percent", "state", "versions")

    def __init__(self) -> None:
        self.known = True
        self.of: tuple[str, str, str] | None = None
        self.state = ""
        self.percent = 0.0
        self.at: Instant = 0
        self.versions: dict[str, str] | None = {}


class UpdatesAgree(Check):
    """An update is downloaded with the engine on, goes on where it paused, and is installed whole, with the engine off.

    A system takes 15 to 30 min, in which the engine is not started; the infotainment 4 to 10 (ours). Only what was installed
    changes the versions in the status.
    """

    name = "updates"
    rule = (
        "downloads go on where they paused, installations are whole, undisturbed and end once; the status has what was installed"
    )
    looks_at = "events, statuses"

    def __init__(self, begin: Begin, cars: Cars) -> None:
        """Take what is known of the cars."""
        super().__init__(begin)
        self._cars = cars
        self._stories: dict[str, UpdateStory] = {}

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Event"): self._told, ("out", "Transmit", "Status"): self._status}

    def forget(self, machine: str) -> None:
        """Whether an update is on its way is not known, rather than that none is."""
        story = self._stories[machine] = UpdateStory()
        story.known, story.versions = False, None

    def _story(self, record: Output) -> UpdateStory:
        story = self._stories.setdefault(record.m, UpdateStory())
        if not self._cars.of(record.m).follows(record.data["message"]) or record.data["message"].get("name") in UNTOLD:
            story.known = False
        return story

    def _told(self, record: Output, line: int) -> None:
        if not is_first(record):
            return
        event, story = record.data["message"], self._story(record)
        match event["name"]:
            case "engine_on" if story.known and story.state == "installing" and story.of is not None and story.of[2] == "system":
                self.breach(line, record.m, "the engine is started while the system is installed")
            case "update_progress":
                self.looked_at += 1
                for told in self._progress(story, event, engine_on=self._cars.of(record.m).engine_on):
                    self.breach(line, record.m, told)
            case "update_result":
                self.looked_at += 1
                for told in _result(story, event):
                    self.breach(line, record.m, told)

    def _progress(self, story: UpdateStory, event: dict[str, Any], *, engine_on: bool | None) -> list[str]:
        data, found = event["data"], []
        state, percent, before = data["state"], data["percent"], story.state
        if story.of != _what(data):
            if story.known and (story.of is not None or state != "downloading" or percent != 0):
                found.append(f"{data['version']} begins as {state} with {percent} %")
            story.of, story.percent, before = _what(data), 0.0 if story.known else percent, ""
            story.known = True
        if state == "downloading" and (engine_on is False or abs(percent - story.percent) > ROUNDED):
            found.append(f"downloading from {percent} % on, expected {story.percent} % and the engine on")
        if percent < story.percent - ROUNDED or (state not in {"downloading", "paused"} and percent != 100):
            found.append(f"{state} with {percent} % after {story.percent} %")
        if state == "installing" and (engine_on or before not in {"downloaded", "postponed", ""}):
            found.append(f"installing after {before}, the engine {'on' if engine_on else 'off'}")
        story.state, story.percent, story.at = state, percent, event["captured_at"]
        return found

    def _status(self, record: Output, line: int) -> None:
        if not is_first(record):
            return
        status, story = record.data["message"], self._story(record)
        if not story.known or ("software" not in status and "low_voltage" not in status):
            return
        told = status.get("software", {})
        if story.versions is None:
            story.versions = told
        if told or story.versions:
            self.looked_at += 1
        if told != story.versions:
            self.breach(line, record.m, f"the status has the versions {told}, expected {story.versions}")


def _result(story: UpdateStory, event: dict[str, Any]) -> list[str]:
    data, found = event["data"], []
    if story.known and story.of not in {None, _what(data)}:
        found.append(f"a result of {data['version']}, expected one of {story.of}")
    if story.known and data["state"] != "cancelled":
        least, most = LASTS_MIN[data["target"]]
        lasted = (event["captured_at"] - story.at) / MINUTE
        if story.state != "installing" or not least <= lasted <= most:
            found.append(
                f"{data['state']} {lasted:.1f} min after {story.state or 'nothing'}, expected {least} to {most} of installing"
            )
    if data["state"] == "installed" and story.versions is not None:
        story.versions = {**story.versions, data["target"]: data["version"]}
    story.of, story.state, story.percent = None, "", 0.0
    return found


def _what(data: dict[str, Any]) -> tuple[str, str, str]:
    return data["campaign"], data["version"], data["target"]
