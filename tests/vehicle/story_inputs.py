"""Draws a random story of one car: how it is built, and step by step all that can come to it.

A test holds `WORLD_INPUTS` to the union of a car's inputs, so that a new one is drawn as soon as it exists. Words and numbers of
commands come from the catalogue, so that those of a new command are drawn, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from fleet.errors import UsageError
from fleet.kernel.draws import Draws, stream_key
from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND, Instant, from_datetime
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.driver import PROFILES, Driver
from fleet.vehicle.hazards import HAZARDS
from fleet.vehicle.region import Place
from fleet.vehicle.settings import CarSettings, PlacedDeadZone
from fleet.vehicle.signals import (
    AskOnline,
    ClearRoutes,
    Crash,
    DeleteUser,
    DrainAdBlue,
    DrainLowVoltage,
    DrainTo,
    DriveTo,
    EnrolInCar,
    EnterCode,
    FailUpdate,
    FollowRoute,
    HeaterTimer,
    LogIn,
    LogOut,
    PairCar,
    PressButton,
    Repair,
    ResetCar,
    SetBatteryProtection,
    SetChargePoint,
    SetCoverage,
    SetFault,
    SetHeater,
    SetNetwork,
    SetOpening,
    SetPlug,
    SetPrivacy,
    SetService,
    SetUpdateConsent,
    SetWorkshop,
    ShowQr,
    StayPut,
    SwitchOff,
    SwitchOn,
    UseKey,
    WorldInput,
)
from fleet.vehicle.timers import DAYS
from fleet.wire.commands import COMMANDS
from fleet.wire.privacy import OPEN, PrivacyMode
from fleet.wire.requests import requests
from fleet.wire.services import Parameter
from tests.vehicle.car_lab import GARAGE, HOME, SHOP, WORK, driver, equipment

T = TypeVar("T")
Step = tuple[Any, ...]
"""The name of a method of `AnyStory`, and its arguments."""


def some(draws: Draws, items: Sequence[T], count: int) -> list[T]:
    """Return so many different ones of `items`, in any order."""
    left = [*items]
    return [left.pop(draws.integer(0, len(left) - 1)) for _ in range(count)]


# --- the car and its day ---------------------------------------------------------------------------------------------

STARTS: Final = [
    from_datetime(datetime.fromisoformat(day).replace(tzinfo=UTC))
    for day in [
        "2026-03-02T05:00", "2026-07-15T12:00", "2026-12-31T21:00", "2028-02-28T22:30", "2038-01-19T02:30",
        "2026-03-28T22:30", "2026-03-29T00:40", "2026-10-24T22:30", "2026-10-25T00:40",
    ]
]  # fmt: skip
"""Days of all kinds: by the clocks of Munich an hour is left out in March, and comes twice in October."""
NEAR: Final = Place(48.152, 11.592, "München", "errand")
"""A drive of about 3 km from home."""
FAR: Final = Place(49.45, 11.08, "Nürnberg", "errand")
PLACES: Final = [HOME, WORK, NEAR, SHOP, GARAGE, FAR]
ZONES: Final[list[tuple[PlacedDeadZone, ...]]] = [
    (),
    (),
    (PlacedDeadZone(48.19, 11.62, 1_500.0),),
    (PlacedDeadZone(48.237, 11.675, 300.0),),
]
MODELS: Final = [
    ("Ateca", "petrol"), ("Ateca", "diesel"), ("Leon", "petrol"), ("Leon", "diesel"), ("Leon", "e-hybrid"),
    ("Formentor", "petrol"), ("Formentor", "e-hybrid"), ("Born", "electric"), ("Tavascan", "electric"),
]  # fmt: skip
FITTED: Final[dict[str, Any]] = {
    "parking_heater": True, "remote_ventilation": True, "media": "navi_system", "window_heating": True, "build_week": 202301,
}  # fmt: skip
MODES: Final[list[PrivacyMode]] = [OPEN, OPEN, "online", "offline", "maximum_privacy"]
MOMENTS: Final = [1, 1_000, SECOND, 3 * SECOND, 15 * SECOND, 90 * SECOND, 3 * MINUTE, 10 * MINUTE, 20 * MINUTE, HOUR]
WHILES: Final = [HOUR, 6 * HOUR, 6 * HOUR, DAY, 3 * DAY, 12 * DAY]


@dataclass(frozen=True)
class Built:
    """How the car of a story is built."""

    fitted: Equipment
    driver: Driver
    start: Instant
    settings: CarSettings


def draw_built(draws: Draws) -> Built:
    """Draw a car, its driver, its settings and the day."""
    number = draws.integer(0, 3)
    settings = CarSettings(
        hole_share=draws.choice([0.0, 0.3]),
        dead_zones=draws.choice(ZONES),
        until_stored=draws.chance(0.4),
        outbox_limit=draws.choice([10_000, 10_000, 12]),
        privacy=draws.choice([*[OPEN] * 10, *MODES]),
        registered_in=draws.choice([None, "DE", "IS"]),
        reply_time=draws.choice([0, 30 * SECOND]),
    )
    profile = draws.choice(["parked", *PROFILES])
    return Built(_draw_fitted(draws, number), driver(profile, number=number), draws.choice(STARTS), settings)


def _draw_fitted(draws: Draws, number: int) -> Equipment:
    """Draw equipment; where no such car is built, it is as it comes, but for the media system."""
    model, wanted = draws.choice(MODELS), {name: FITTED[name] for name in FITTED if draws.chance(0.5)}
    for overrides in (wanted, {"media": "navi_system"}):
        try:
            return equipment(*model, number, **overrides)
        except UsageError:
            pass
    return equipment(*model, number)


# --- what users say --------------------------------------------------------------------------------------------------

RIGHT: Final[dict[str, list[Any]]] = {
    "at": ["06:30", "07:00", "00:00", "02:30", "23:59"],
    "begins": ["22:00", "00:00", "02:30"],
    "ends": ["06:00", "23:00", "02:45"],
    "date": ["2026-03-02", "2026-03-29", "2026-10-25", "2027-01-01"],
    "latitude": [48.137, 48.137, 48.1405, 48.152, 48.237],
    "longitude": [11.575, 11.575, 11.578, 11.592, 11.675],
    "to_latitude": [48.152, 48.237, 49.45],
    "to_longitude": [11.592, 11.675, 11.08],
    "name": ["home", "work", "club", "gym"],
    "campaign": ["spring", "autumn"],
    "version": ["1.0", "2.0", "3.0"],
    "user": ["primary", "guest-1", "p1", "p2"],
    "size_mb": [1, 20, 300, 5_000],
    "radius_m": [100.0, 500.0, 1_000.0],
}  # fmt: skip
"""Words and numbers that fit where they stand."""
WRONG: Final[dict[str, list[Any]]] = {
    "at": ["24:00", "6"], "begins": ["x"], "ends": ["25:00"], "date": ["2026-02-30", "soon"], "latitude": [90.1, -89.9],
    "longitude": [181.0, 179.999], "to_latitude": [100.0], "name": [" ", "x" * 41], "size_mb": [0, 60_000], "limit_kmh": [20, 55],
}  # fmt: skip
NONSENSE: Final = [{"extra": 1}, {"action": 7}, {"minutes": "ten"}, {"timers": {}}, {"latitude": None}, {"zones": [{}]}]
LIVES: Final = [10 * MINUTE] * 8 + [5 * SECOND, 0, 1, -1, 7 * DAY]
"""How long a command may be executed from now on; some are over already."""
AGES: Final = [0] * 8 + [30 * SECOND, HOUR, -5 * SECOND]
"""How long ago a command was issued, by a clock that may be a little ahead of the car's."""
AHEAD: Final = [0, 1, 5, 10, 15, 19, 20, 21, 30, 60, 61, 24 * 60]
"""In so many minutes somebody wants to set off."""
STOPPED: Final = ["heater", "ventilation", "climatisation", "charging", "speed_alert"]


def draw_value(draws: Draws, name: str, parameter: Parameter, *, right: bool) -> Any:
    """Return what people may give for a parameter: within its range or at its limits, or (not `right`) also just outside."""
    if name in RIGHT or name in WRONG:
        known = [*RIGHT.get(name, ()), *(() if right else WRONG.get(name, ()))]
        if known:
            return draws.choice(known)
    match parameter.type:
        case "choice":
            return draws.choice(parameter.choices)
        case "flag":
            return draws.chance(0.5)
        case "text":
            return draws.choice(["a", "home"] if right else ["a", "x" * 300])
        case "list":
            return _draw_list(draws, parameter, right=right)
        case _:
            low, high, step = parameter.minimum or 0, parameter.maximum or 100, parameter.step or 1
            found = [low, low + step, low + step * ((high - low) // (2 * step)), high]
            found += [] if right else [low - step, high + step, low + step / 3]
            return (int if parameter.type == "integer" else float)(draws.choice(found))


def _draw_list(draws: Draws, parameter: Parameter, *, right: bool) -> list[Any]:
    most = parameter.most or 3
    if parameter.choices:
        return some(draws, parameter.choices, draws.integer(1, len(parameter.choices)))
    items = [draw_words(draws, parameter.items, right=right) for _ in range(draws.integer(parameter.fewest, most + (not right)))]
    named = "name" in parameter.items and parameter.items["name"].required
    return list({item["name"]: item for item in items}.values()) if right and named else items


SHAPES: Final = [{"radius_m"}, {"width_m", "height_m"}]
EITHER: Final = [{"days"}, {"date"}]


def draw_words(draws: Draws, parameters: Mapping[str, Parameter], *, right: bool) -> dict[str, Any]:
    """Return parameters by their names; those that may be left out sometimes are. `right` ones go together, too."""
    names = [name for name, each in parameters.items() if each.required or draws.chance(0.5)]
    if right:
        for together in (SHAPES, EITHER):
            if all(name in parameters for group in together for name in group):
                chosen = draws.choice(together)
                names = [name for name in names if not any(name in group for group in together)] + sorted(chosen)
        if {"begins", "ends"} & {*names}:
            names = list(dict.fromkeys([*names, "begins", "ends"]))
    words = {name: draw_value(draws, name, parameters[name], right=right) for name in names}
    return {**words, "night_window": True} if right and "night_window" in words and "begins" in words else words


def draw_parameters(draws: Draws, name: str) -> dict[str, Any]:
    """Return the parameters of a command: mostly right ones."""
    right = draws.chance(0.75)
    words = draw_words(draws, COMMANDS[name].entry.parameters, right=right)
    if name == "system_update" and right:
        words["consent"] = draws.chance(0.8)
    return words


def draw_request(draws: Draws) -> AskOnline:
    """Return something that somebody in the car asks."""
    name = draws.choice([*requests()])
    return AskOnline(name, draw_words(draws, requests()[name].entry.parameters, right=draws.chance(0.75)))


# --- what people and the world do ------------------------------------------------------------------------------------


def _draw_heater(draws: Draws) -> SetHeater:
    ats = some(draws, ["06:30", "02:30", "23:59", "x"], draws.integer(0, 4))
    return SetHeater(draws.choice([10, 30, 60, 15]), tuple(HeaterTimer(at, DAYS) for at in ats))


USERS: Final = ["p1", "p2", "p3"]
SEALED: Final = [None, "c2VhbGVkIHdpdGggYSB0YWc=", "c2VhbGVkIHdpdGggYSB0YWc="]
OPENINGS: Final[list[Any]] = ["front_left", "front_right", "rear_left", "rear_right", "bonnet", "boot"]
WORLD_INPUTS: Final[dict[type[WorldInput], Callable[[Draws], WorldInput]]] = {
    DriveTo: lambda draws: DriveTo(draws.choice(PLACES)),
    SwitchOn: lambda _: SwitchOn(),
    SwitchOff: lambda _: SwitchOff(),
    StayPut: lambda _: StayPut(),
    FollowRoute: lambda _: FollowRoute(),
    ClearRoutes: lambda _: ClearRoutes(),
    FailUpdate: lambda _: FailUpdate(),
    PairCar: lambda _: PairCar(),
    SetOpening: lambda draws: SetOpening(draws.choice(OPENINGS), draws.chance(0.5)),
    SetPlug: lambda draws: SetPlug(draws.chance(0.6)),
    SetChargePoint: lambda draws: SetChargePoint(draws.chance(0.5)),
    DrainTo: lambda draws: DrainTo(draws.choice([0.0, 0.05, 0.2, 0.6])),
    DrainLowVoltage: lambda draws: DrainLowVoltage(draws.choice([0.3, 0.45, 0.55])),
    DrainAdBlue: lambda draws: DrainAdBlue(draws.choice([0.0, 0.1, 0.5])),
    SetFault: lambda draws: SetFault(draws.choice([*HAZARDS])),
    Crash: lambda draws: Crash(draws.choice(["airbag", "belt_tensioner"])),
    Repair: lambda _: Repair(),
    PressButton: lambda draws: PressButton(draws.choice(["sos", "breakdown", "info"])),
    SetPrivacy: lambda draws: SetPrivacy(draws.choice(MODES)),
    SetService: lambda draws: SetService(draws.choice([*COMMANDS, *requests()]), draws.chance(0.6)),
    SetBatteryProtection: lambda draws: SetBatteryProtection(draws.chance(0.7), draws.choice([0.1, 0.2, 0.2, 0.35, 0.5, 0.6])),
    SetWorkshop: lambda draws: SetWorkshop(draws.chance(0.5)),
    ResetCar: lambda draws: ResetCar(draws.choice([None, "primary", "guest-1"])),
    SetUpdateConsent: lambda draws: SetUpdateConsent(draws.chance(0.7)),
    SetCoverage: lambda draws: SetCoverage(draws.chance(0.6)),
    SetNetwork: lambda draws: SetNetwork(draws.chance(0.6)),
    SetHeater: _draw_heater,
    AskOnline: draw_request,
    ShowQr: lambda _: ShowQr(),
    UseKey: lambda draws: UseKey(draws.choice(["first", "second"])),
    EnterCode: lambda draws: EnterCode(draws.choice(["12345678", "1234"])),
    EnrolInCar: lambda draws: EnrolInCar(draws.choice(USERS), draws.choice(SEALED)),
    LogIn: lambda draws: LogIn(draws.choice(USERS), draws.choice(SEALED), draws.chance(0.5)),
    LogOut: lambda _: LogOut(),
    DeleteUser: lambda draws: DeleteUser(draws.choice([*USERS, "primary"])),
}

# --- a story ---------------------------------------------------------------------------------------------------------


class StoryDraws:
    """Draws the steps of one story. It is of a few kinds of inputs and commands, which so come close to each other."""

    def __init__(self, draws: Draws, fitted: Equipment) -> None:
        """Choose what this story of a car with this equipment is of."""
        self.draws = draws
        self.world_inputs = some(draws, [*WORLD_INPUTS], draws.integer(3, 9))
        has = [name for name, each in COMMANDS.items() if all(getattr(fitted, part) for part in each.entry.equipment)]
        self.commands = some(draws, has, draws.integer(1, 5))
        self._weights = {name: weight * draws.choice([0.3, 1.0, 2.0]) for name, (weight, _) in STEPS.items()}

    def steps(self) -> list[Step]:
        """Draw all steps."""
        kinds, weights = [*self._weights], [*self._weights.values()]
        names = [kinds[self.draws.weighted(weights)] for _ in range(self.draws.integer(5, 80))]
        return [(name, *STEPS[name][1](self)) for name in names]

    def world_input(self) -> WorldInput:
        """Draw one of the kinds of this story, sometimes any other."""
        kinds = self.world_inputs if self.draws.chance(0.9) else [*WORLD_INPUTS]
        return WORLD_INPUTS[self.draws.choice(kinds)](self.draws)

    def command(self) -> tuple[str, dict[str, Any], int, int]:
        """Draw a command: name, parameters, time to live and age."""
        name = self.draws.choice(self.commands if self.draws.chance(0.9) else [*COMMANDS])
        return name, draw_parameters(self.draws, name), self.draws.choice(LIVES), self.draws.choice(AGES)

    def moment(self) -> int:
        return self.draws.choice(MOMENTS)

    def yes(self, share: float) -> bool:
        return self.draws.chance(share)


STEPS: Final[dict[str, tuple[float, Callable[[StoryDraws], tuple[Any, ...]]]]] = {
    "wait": (14, lambda draw: (draw.moment(),)),
    "wait_long": (3, lambda draw: (draw.draws.choice(WHILES),)),
    "apply": (24, lambda draw: (draw.world_input(),)),
    "drive": (10, lambda draw: (draw.draws.choice(PLACES), draw.moment())),
    "pair_and_open": (2, lambda _: ()),
    "ask_status": (2, lambda _: ()),
    "command": (18, lambda draw: draw.command()),
    "stop": (2, lambda draw: (draw.draws.choice(STOPPED),)),
    "command_nonsense": (1.5, lambda draw: (draw.draws.choice([*COMMANDS, "fly"]), draw.draws.choice(NONSENSE))),
    "command_again": (3, lambda draw: (draw.draws.integer(0, 99), draw.draws.choice(LIVES))),
    "set_off_soon": (
        3,
        lambda draw: (
            draw.draws.choice(["departure_timers", "departure_timers", "ventilation_timers", "heater"]),
            tuple(draw.draws.choice(AHEAD) for _ in range(draw.draws.integer(1, 2))),
            draw.yes(0.5),
        ),
    ),
    "hurry": (2, lambda draw: (draw.yes(0.8),)),
    "answer": (4, lambda draw: (draw.yes(0.8), draw.yes(0.2))),
    "break_link": (2, lambda draw: (draw.yes(0.5),)),
    "broker_works": (2, lambda draw: (draw.yes(0.7),)),
    "reply": (3, lambda _: ()),
    "mark": (3, lambda _: ()),
    "repeat": (1.5, lambda _: ()),
}
"""How often each step comes, and how its arguments are drawn."""


def draw_story(seed: int, number: int) -> tuple[Built, list[Step]]:
    """Draw a car, and all that comes to it."""
    draws = Draws(stream_key(seed, "story"), "steps", number)
    built = draw_built(draws)
    return built, StoryDraws(draws, built.fitted).steps()
