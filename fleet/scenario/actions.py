"""Actions on cars in a scenario, by its load or its timeline: to which cars, and with which parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Self, get_args

import msgspec

from fleet.kernel.draws import Draws
from fleet.kernel.instants import MILLISECOND
from fleet.scenario.arrivals import Burst, Ramp, Shape
from fleet.scenario.conditions import Condition
from fleet.scenario.drawn import Distances, Given, SpinMix, Values
from fleet.scenario.element import Element
from fleet.scenario.expect import Expect
from fleet.scenario.persons import EnrolWay, PersonRole, SecretName
from fleet.scenario.scalars import (
    ByteRate,
    DayWindow,
    Distance,
    Duration,
    Misread,
    Moment,
    Rate,
    Readable,
    Share,
    Size,
    is_number,
    shown,
)
from fleet.transport import faults
from fleet.transport.faults import PacketName, Way
from fleet.wire.privacy import PrivacyMode

Control = Literal[
    "crash", "fault", "low_adblue", "low_12v", "repair", "press_sos", "breakdown_call", "info_call", "set_privacy", "set_service",
    "workshop_mode", "reset_car", "pair_car", "ask", "set_heater",
]  # fmt: skip
"""Actions of people at a car's own controls, and a crash."""
ScreenAction = Literal[
    "show_qr", "use_key", "enter_code", "enrol_in_car", "log_in", "log_out", "delete_user", "set_battery_protection",
]  # fmt: skip
"""Actions of people on a car's screen and with its keys: how they enrol there, log in, and what they set."""
InputAction = Literal[
    "ask_status", "drive", "park", "engine_on", "engine_off", "open", "close", "enter_garage", Control,
    "lose_coverage", "regain_coverage", "low_fuel", "plug_in", "unplug", "break_charge_point", "mend_charge_point",
    "follow_route", "clear_routes", "give_consent", "withdraw_consent", "fail_update", ScreenAction,
]  # fmt: skip
"""Actions of people and the world that are an input of a car."""
CarAction = Literal[InputAction, "enrol", "register"]
"""All of them, and those of a person in the app and in the car, with all their steps."""
OF_PERSONS: Final = ("enrol", "register")
OF_SOMEBODY: Final = frozenset({"enter_code", "enrol_in_car", "log_in", "delete_user"})
"""Actions in a car for which it matters who does them: with whose account, S-PIN or pairing code."""
CAR_ACTIONS: Final[tuple[CarAction, ...]] = get_args(CarAction)
Opening = Literal["front_left", "front_right", "rear_left", "rear_right", "bonnet", "boot"]
Fault = Literal[
    "tyre_pressure", "brake_pads", "washer_fluid", "headlight", "tail_light", "engine_oil", "coolant", "engine_control",
    "drive_system", "front_camera", "key_battery",
]  # fmt: skip
"""Parts of a car that can fail."""
BrokerAction = Literal["stop", "start", "kill", "pause", "resume"]
About = Literal["each", "list", "none"]
"""The cars that a request to a service names: each chosen car by itself, all of them in one list `cars`, or none."""

LED: Final = frozenset({"drive", "park", "enter_garage"})
"""Actions that may lead to a place."""
OPENED: Final = frozenset({"open", "close"})
LOWERED: Final = frozenset({"low_fuel", "low_adblue", "low_12v"})
SWITCHED: Final = frozenset({"set_service", "workshop_mode", "set_battery_protection"})


class GeoPoint(Element, frozen=True, kw_only=True):
    """A point in WGS 84 degrees; the cars stand evenly within `spread` of it."""

    latitude: float
    longitude: float
    spread: Distance = Distance(0)


@dataclass(frozen=True, slots=True)
class Destination(Readable):
    """Where a drive leads: home, to work, a distance away in any direction, or to a place."""

    expected: ClassVar[str] = "home, work, a distance such as '5 km', {from: 2 km, to: 10 km}, or {latitude: …, longitude: …}"

    name: Literal["home", "work"] | None = None
    distance: Distances | None = None
    place: GeoPoint | None = None

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `home`, `5 km`, `{from: 2 km, to: 10 km}` or `{latitude: 48.1, longitude: 11.6, spread: 200 m}`."""
        if raw in ("home", "work"):
            return cls(name="home" if raw == "home" else "work")
        if isinstance(raw, dict) and not raw.keys() & {"from", "to"}:
            return cls(place=_place(raw))
        try:
            distance = Distances.parse(raw)
        except Misread as error:
            if isinstance(raw, dict) or is_number(raw):
                raise
            raise Misread(f"{cls.expected} is expected, not {shown(raw)}", hint=error.hint) from None
        if distance.high_m < 100:
            raise Misread(f"{distance.high_m} is no drive: at least 100 m is expected")
        return cls(distance=distance)


def _place(raw: dict[str, object]) -> GeoPoint:
    found: dict[str, float] = {}
    for key, value in raw.items():
        limit = {"latitude": 90, "longitude": 180}.get(key)
        if key == "spread":
            continue
        if limit is None:
            raise Misread(f"unknown key {shown(key)}: a place has 'latitude', 'longitude' and 'spread'", key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise Misread(f"a number of degrees is expected, not {shown(value)}", key)
        if not -limit <= value <= limit:
            raise Misread(f"{value:g} is out of range: {-limit} to {limit} degrees are expected", key)
        found[key] = float(value)
    for key in ("latitude", "longitude"):
        if key not in found:
            raise Misread(f"the place lacks {key!r}")
    try:
        spread = Distance.parse(raw["spread"]) if "spread" in raw else Distance(0)
    except Misread as error:
        raise Misread(str(error), "spread", hint=error.hint) from None
    return GeoPoint(latitude=found["latitude"], longitude=found["longitude"], spread=spread)


@dataclass(frozen=True, slots=True)
class Numbers(Readable):
    """Cars by their number in the fleet, from 0."""

    expected: ClassVar[str] = "a car's number from 0, or a list of them"

    numbers: tuple[int, ...]

    @classmethod
    def parse(cls, raw: object) -> Self:
        """Read `3` or `[0, 3, 17]`."""
        items: list[Any] = raw if isinstance(raw, list) else [raw]
        for index, item in enumerate(items):
            if not isinstance(item, int) or isinstance(item, bool) or item < 0:
                at = (index,) if isinstance(raw, list) else ()
                raise Misread(f"{cls.expected} is expected, not {shown(item)}", *at)
        if not items:
            raise Misread(f"the list is empty: {cls.expected} is expected")
        return cls(numbers=tuple(int(item) for item in items))


class Selection(Element, frozen=True, kw_only=True):
    """Cars of one fleet or of all: a share of them, so many of them, or by number. The same words mean the same cars."""

    fleet: str | None = None
    share: Share | None = None
    count: int | None = None
    index: Numbers | None = None

    def size(self, held: int) -> int:
        """Return how many these are of the `held` cars of their fleet."""
        if self.index is not None:
            return sum(number < held for number in self.index.numbers)
        if self.share is not None:
            return max(1, round(self.share * held))
        return held if self.count is None else min(self.count, held)


class Action(Element, frozen=True, kw_only=True):
    """An action on `cars`: something that happens to them, or a command with its parameters.

    `distance` is how far the user stands from the car, or (`distance_from: fix`) by the geodesic from the car's own last fix.
    `user` asks for the command, or is deleted by a reset; None is the primary one. Somebody of the scenario's people is a
    `person` by name, or `by` a role on the car; `in_session` asks with the token of that person's last log-in. `whom` it is done
    to, and `wrong` secrets are other ones. Of those who enrol on a `way`, shares make a mistake first (`wrong_first`). In
    the car a `user` is the id of an account, who types a `code` or the S-PIN, which the car may `save`, and gives `consents`.
    """

    do: CarAction | None = None
    command: str | None = None
    cars: Selection = Selection()
    to: Destination | None = None
    door: Opening | None = None
    fault: Fault | None = None
    level: Share | None = None
    mode: PrivacyMode | None = None
    named: str | None = None
    switch: Literal["on", "off"] | None = None
    sensor: Literal["airbag", "belt_tensioner"] | None = None
    user: str | None = None
    request: str | None = None
    data: Given | None = None
    parameters: dict[str, Values] = msgspec.field(default_factory=dict)
    distance: Distances | None = None
    distance_from: Literal["car", "fix"] | None = None
    spin: SpinMix | None = None
    time_to_live: Duration | None = None
    person: str | None = None
    by: PersonRole | None = None
    in_session: bool | None = None
    whom: str | None = None
    wrong: tuple[SecretName, ...] | None = None
    way: EnrolWay | None = None
    wrong_first: dict[str, Share] | None = None
    key: Literal["first", "second"] | None = None
    code: str | None = None
    consents: tuple[Literal["privacy", "terms", "contract"], ...] | None = None
    save: bool | None = None

    @property
    def subject(self) -> str:
        """The action in one word."""
        return self.do or self.command or ""


class Load(Action, frozen=True, kw_only=True):
    """Something done again and again, at instants that do not depend on what comes of it: one of the four says how often.

    It begins at `at`, or with its stage, goes on `for` so long, or to the end of the stage, and pauses outside `during`.
    """

    rate: Rate | None = None
    ramp: Ramp | None = None
    poisson: Rate | None = None
    burst: Burst | None = None
    at: Moment | None = None
    lasts: Duration | None = msgspec.field(name="for", default=None)
    during: DayWindow | None = None

    @property
    def shape(self) -> Shape:
        """How often, and in which rhythm."""
        return Shape(rate=self.rate, ramp=self.ramp, poisson=self.poisson, burst=self.burst)

    def spans(self, begin: int, duration: int, zone: str) -> list[tuple[int, int]]:
        """Return the times of a stage in which this load is active; empty when it never is."""
        first = self.at.within(begin, duration, zone) if self.at is not None else begin
        if first is None:
            return []
        last = begin + duration if self.lasts is None else min(begin + duration, first + self.lasts)
        if self.during is not None:
            return self.during.intervals(first, last - first, zone)
        return [(first, last)]


class NetworkFault(Element, frozen=True, kw_only=True):
    """Faults of the cars' connections, one or several at once; see `fleet.transport.faults`.

    Durations and bandwidth are real time. `way`, and for packets `topic`, `every`, `share`, `first` and `within`, say more of it.
    """

    latency: Duration | None = None
    jitter: Duration | None = None
    bandwidth: ByteRate | None = None
    slicing: Size | None = None
    stall: bool = False
    refuse: bool = False
    reset: bool = False
    half_open: bool = False
    truncate: Size | None = None
    drop: PacketName | None = None
    duplicate: PacketName | None = None
    reorder: PacketName | None = None
    way: Way | None = None
    topic: str | None = None
    every: int | None = None
    share: Share | None = None
    first: int | None = None
    within: Duration | None = None

    @property
    def kinds(self) -> list[str]:
        """The names of the faults, in the order of the language."""
        return [kind for kind in _FAULT_WORDS if getattr(self, kind) not in (None, False)]

    def words(self, kind: str) -> tuple[str, ...]:
        """Return the keys that say more of a fault of that name."""
        return _FAULT_WORDS[kind]

    def fault(self, kind: str) -> faults.Fault:
        """Return one of the faults. Raises UsageError for a value that is out of range."""
        given: dict[str, Any] = {}
        for key in (kind, *self.words(kind)):
            value = getattr(self, key)
            if value is not None and key in _FAULT_PARAMETERS:
                name, read = _FAULT_PARAMETERS[key]
                given[name] = read(value)
        return faults.make_fault(kind, **given)


def _milliseconds(duration: Duration) -> float:
    return duration / MILLISECOND


_OF_PACKETS: Final = ("way", "topic", "every", "share", "first")
_FAULT_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "latency": ("jitter", "way"), "bandwidth": ("way",), "slicing": ("way",), "stall": ("way",), "refuse": (), "reset": (),
    "half_open": (), "truncate": ("way",), "drop": _OF_PACKETS, "duplicate": _OF_PACKETS, "reorder": (*_OF_PACKETS, "within"),
}  # fmt: skip
"""The parameters of each fault."""
_FAULT_PARAMETERS: Final[dict[str, tuple[str, Any]]] = {
    "latency": ("latency_ms", _milliseconds), "jitter": ("jitter_ms", _milliseconds), "bandwidth": ("bytes_per_s", int),
    "slicing": ("piece_bytes", int), "truncate": ("after_bytes", int), "drop": ("packet", str), "duplicate": ("packet", str),
    "reorder": ("packet", str), "way": ("way", str), "topic": ("topic", str), "every": ("every", int), "share": ("share", float),
    "first": ("first", int), "within": ("within_ms", _milliseconds),
}  # fmt: skip
"""The parameter of `make_fault` that each key gives, and its conversion."""


class TimelineStep(Action, frozen=True, kw_only=True):
    """Something done at a time, every so often, or when a condition comes true.

    `broker` is done to the private broker, `network` to the connections of its cars, `for` so long or to the end of the stage.
    `service` of the back end is asked for an `action`, by the user of a car or (`about`) by somebody who means many cars or none.
    `expect` makes it a line of the report, named by `title`; such a step may do nothing but look. Commands with the same `id` to
    the same car are one command, asked again. `only` in live runs, or in virtual ones.
    """

    at: Moment | None = None
    every: Duration | None = None
    when: Condition | None = None
    broker: BrokerAction | None = None
    network: NetworkFault | None = None
    lasts: Duration | None = msgspec.field(name="for", default=None)
    service: str | None = None
    action: str | None = None
    about: About = "each"
    id: str | None = None
    only: Literal["live", "virtual"] | None = None
    title: str | None = None
    expect: Expect | None = None

    @property
    def subject(self) -> str:
        """Return in one or two words the thing that the step acts on."""
        if self.broker:
            return f"broker {self.broker}"
        if self.network is not None:
            return f"network {' and '.join(self.network.kinds)}"
        if self.service is not None:
            return f"service {self.service} {self.action}"
        return self.do or self.command or "look"

    @property
    def of_cars(self) -> bool:
        """Whether it is done to each of its cars, and not once for all."""
        return self.broker is None and self.network is None and (self.service is None or self.about == "each")


def lasts_on(fault: faults.Fault, step: TimelineStep) -> bool:
    """Return whether a fault of a step lasts; else it strikes the connections there are at that moment."""
    return step.lasts is not None or not isinstance(fault, faults.MOMENTARY)


def draw_destination_m(distance: Distances, draws: Draws) -> tuple[float, float]:
    """Draw where a place at that distance lies: metres east and north."""
    away_m = distance.draw_m(draws)
    east, north = draws.normal(0, 1), draws.normal(0, 1)
    scale = away_m / max(1e-9, (east * east + north * north) ** 0.5)
    return east * scale, north * scale
