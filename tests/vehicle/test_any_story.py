"""Any story of one car, its driver, user, network and time: no invariant breaks, and no check finds fault with its journal.

By hand with many more, each time others: `STORIES=5000 pytest --timeout 0 tests/vehicle/test_any_story.py --hypothesis-seed=1`.
"""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fleet.errors import UsageError
from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND, from_datetime
from fleet.vehicle.hazards import HAZARDS
from fleet.vehicle.region import Place
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import (
    AskOnline,
    AskStatus,
    ClearRoutes,
    Crash,
    DrainAdBlue,
    DrainTo,
    DriveTo,
    FailUpdate,
    FollowRoute,
    HeaterTimer,
    PairCar,
    PowerOff,
    PowerOn,
    PressButton,
    Repair,
    ResetCar,
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
    StayPut,
    SwitchOff,
    SwitchOn,
    WorldInput,
)
from fleet.wire.commands import COMMANDS
from fleet.wire.messages import TERMINAL_STATES, Command
from fleet.wire.requests import requests
from fleet.wire.services import Parameter
from tests.vehicle.car_lab import GARAGE, HOME, SHOP, WORK, driver, equipment
from tests.vehicle.story_lab import AT_REST, StoryLab, is_life

STORIES = int(os.environ.get("STORIES", "0"))
STEPS = 30
STARTS = [
    from_datetime(datetime.fromisoformat(day).replace(tzinfo=UTC))
    for day in ["2026-03-02T05:00", "2026-03-28T22:30", "2026-10-24T22:30", "2026-12-31T21:00", "2026-07-15T12:00"]
]
"""Days of all kinds: by the clocks of Munich an hour is left out on the second one, and comes twice on the third."""
FAR = Place(49.45, 11.08, "Nürnberg", "errand")
MODELS = [
    ("Ateca", "petrol"), ("Ateca", "diesel"), ("Leon", "petrol"), ("Leon", "diesel"), ("Leon", "e-hybrid"),
    ("Formentor", "petrol"), ("Formentor", "e-hybrid"), ("Born", "electric"), ("Tavascan", "electric"),
]  # fmt: skip
FITTED: dict[str, Any] = {"parking_heater": True, "remote_ventilation": True, "media": "navi_system", "window_heating": True}

# --- what users say --------------------------------------------------------------------------------------------------

WORDS: dict[str, st.SearchStrategy[Any]] = {
    "at": st.sampled_from(["06:30", "07:00", "00:00", "02:30", "12:00", "23:59", "24:00", "6"]),
    "begins": st.sampled_from(["22:00", "00:00", "02:30", "07:00", "x"]),
    "ends": st.sampled_from(["06:00", "22:00", "02:30", "23:59"]),
    "date": st.sampled_from(["2026-03-02", "2026-03-29", "2026-10-25", "2027-01-01", "2026-02-30", "soon"]),
    "latitude": st.sampled_from([48.137, 48.139, 48.16, 48.237, 52.5, 60.0, -89.9, 90.1]),
    "longitude": st.sampled_from([11.575, 11.578, 11.59, 11.675, 13.4, 179.999, 181.0]),
    "to_latitude": st.sampled_from([48.137, 48.237, 52.5, 100.0]),
    "to_longitude": st.sampled_from([11.575, 11.675, 13.4]),
    "name": st.sampled_from(["home", "work", "club", " ", "x" * 41]),
    "campaign": st.sampled_from(["spring", "autumn"]),
    "version": st.sampled_from(["1.0", "2.0", "3.0"]),
    "user": st.sampled_from(["primary", "guest-1"]),
    "size_mb": st.sampled_from([1, 20, 300, 50_000, 0]),
    "limit_kmh": st.sampled_from([30, 50, 130, 250, 20, 55]),
}
"""What fits where it stands, mostly; a number or word of the catalogue's ranges for all other parameters."""


def values(name: str, parameter: Parameter) -> st.SearchStrategy[Any]:
    """Return what people may give for a parameter: at its limits, within, and just outside."""
    match parameter.type:
        case _ if name in WORDS:
            return WORDS[name]
        case "choice":
            return st.sampled_from(parameter.choices)
        case "flag":
            return st.booleans()
        case "text":
            return st.sampled_from(["a", "home", "x" * 300])
        case "list":
            items = st.sampled_from(parameter.choices) if parameter.choices else words(parameter.items)
            return st.lists(items, max_size=(parameter.most or 3) + (1 if not parameter.choices else 0))
        case _:
            low, high = parameter.minimum or 0, parameter.maximum or 100
            step = parameter.step or 1
            good = [low, low + step, low + step * ((high - low) // (2 * step)), high]
            found = [*good, *good, low - step, high + step, low + step / 3]
            return st.sampled_from([int(each) if parameter.type == "integer" else float(each) for each in found])


def words(parameters: dict[str, Parameter]) -> st.SearchStrategy[dict[str, Any]]:
    """Return parameters by their names; those that may be left out sometimes are."""
    known = {name: values(name, each) for name, each in parameters.items()}
    required = {name: each for name, each in known.items() if parameters[name].required}
    return st.fixed_dictionaries(required, optional={name: each for name, each in known.items() if name not in required})


WRONG = st.sampled_from([{"extra": 1}, {"action": 7}, {"minutes": "ten"}, {"timers": {}}, {"latitude": None}])
ASKED = {name: words(command.entry.parameters) for name, command in COMMANDS.items()}
ONLINE = {name: words(request.entry.parameters) for name, request in requests().items()}

# --- what people do --------------------------------------------------------------------------------------------------

WORLD: st.SearchStrategy[WorldInput] = st.one_of(
    st.builds(DriveTo, st.sampled_from([HOME, WORK, GARAGE, SHOP, FAR])),
    st.sampled_from([SwitchOn(), SwitchOff(), SwitchOff(), StayPut(), FollowRoute(), ClearRoutes(), FailUpdate(), PairCar()]),
    st.builds(SetOpening, st.sampled_from(["front_left", "rear_right", "bonnet", "boot"]), st.booleans()),
    st.builds(SetPlug, st.booleans()),
    st.builds(SetChargePoint, st.booleans()),
    st.builds(DrainTo, st.sampled_from([0.0, 0.05, 0.2, 0.6])),
    st.builds(DrainAdBlue, st.sampled_from([0.0, 0.1, 0.5])),
    st.builds(SetFault, st.sampled_from(list(HAZARDS))),
    st.builds(Crash, st.sampled_from(["airbag", "belt_tensioner"])),
    st.just(Repair()),
    st.builds(PressButton, st.sampled_from(["sos", "breakdown", "info"])),
    st.builds(SetPrivacy, st.sampled_from(["online_with_location", "online_with_location", "online", "offline"])),
    st.builds(SetService, st.sampled_from([*COMMANDS, *requests()]), st.booleans()),
    st.builds(SetWorkshop, st.booleans()),
    st.builds(ResetCar, st.sampled_from([None, "guest-1"])),
    st.builds(SetUpdateConsent, st.booleans()),
    st.builds(SetCoverage, st.booleans()),
    st.builds(SetNetwork, st.sampled_from([True, True, False])),
    st.builds(
        SetHeater,
        st.sampled_from([10, 30, 60, 15]),
        st.lists(
            st.builds(HeaterTimer, st.sampled_from(["06:30", "02:30", "x"]), st.just(("monday", "sunday"))), max_size=4
        ).map(tuple),
    ),
)  # fmt: skip
STEP = st.sampled_from([1, 20, 90, 600, 3600, 6 * 3600]).map(lambda seconds: seconds * SECOND)
LONG = st.sampled_from([10 * MINUTE, HOUR, 8 * HOUR, DAY, 3 * DAY])


class AnyStory(RuleBasedStateMachine):
    """Everybody does as they like; `StoryLab` says what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.lab: StoryLab | None = None
        self.count = 0
        self.sound = True
        self.ids: list[tuple[str, str, dict[str, Any]]] = []

    @initialize(
        model=st.sampled_from(MODELS),
        number=st.integers(0, 3),
        fitted=st.dictionaries(st.sampled_from(list(FITTED)), st.none()),
        profile=st.sampled_from(["parked", "parked", "commuter", "courier", "weekend"]),
        start=st.sampled_from(STARTS),
        until_stored=st.booleans(),
        limit=st.sampled_from([10_000, 12]),
        mode=st.sampled_from(["online_with_location", "online_with_location", "online", "offline"]),
    )
    def build(
        self, model: tuple[str, str], number: int, fitted: dict[str, None], profile: Any, start: int, until_stored: bool,
        limit: int, mode: Any,
    ) -> None:  # fmt: skip
        wanted = {name: FITTED[name] for name in fitted}
        try:
            built = equipment(*model, number, **wanted)
        except UsageError:  # no such car is built: take it as it comes
            built = equipment(*model, number)
        chosen = CarSettings(hole_share=0.3, until_stored=until_stored, outbox_limit=limit, privacy=mode)
        self.lab = StoryLab(Path(self.folder.name), built, driver(profile, number=number), start=start, settings=chosen)
        self.lab.put(PowerOn())

    @property
    def car(self) -> StoryLab:
        assert self.lab is not None
        return self.lab

    # --- time

    @rule(step=STEP)
    def time_passes(self, step: int) -> None:
        self.car.run_for(step)

    @rule(step=LONG)
    def much_time_passes(self, step: int) -> None:
        self.car.run_for(step)

    # --- people

    @rule(what=WORLD)
    def something_happens(self, what: WorldInput) -> None:
        self.car.put(what)

    @rule(what=WORLD, step=STEP)
    def something_happens_and_time_passes(self, what: WorldInput, step: int) -> None:
        self.car.put(what)
        self.car.run_for(step)

    @rule(data=st.data(), name=st.sampled_from([*ONLINE]))
    def somebody_asks(self, data: st.DataObject, name: str) -> None:
        self.car.put(AskOnline(name, data.draw(ONLINE[name])))
        self.car.run_for(SECOND)

    @rule()
    def status_is_asked(self) -> None:
        self.car.put(AskStatus())

    # --- the user

    def _command(self, name: str, parameters: dict[str, Any], ttl: int, age: int = 0) -> None:
        self.count += 1
        self.ids.append((f"c{self.count}", name, parameters))
        self._send(self.ids[-1], ttl, age)

    def _send(self, known: tuple[str, str, dict[str, Any]], ttl: int, age: int) -> None:
        command_id, name, parameters = known
        now = self.car.now - age
        self.car.ask(
            Command(id=command_id, vin=self.car.car.vin, name=name, issued_at=now, expires_at=now + ttl, parameters=parameters)
        )

    @rule(data=st.data(), name=st.sampled_from([*COMMANDS]), ttl=st.sampled_from([10 * MINUTE, 10 * MINUTE, 5 * SECOND, 7 * DAY]))
    def user_commands(self, data: st.DataObject, name: str, ttl: int) -> None:
        self._command(name, data.draw(ASKED[name]), ttl)

    @rule(data=st.data(), name=st.sampled_from([*COMMANDS]), step=STEP)
    def user_commands_and_waits(self, data: st.DataObject, name: str, step: int) -> None:
        self._command(name, data.draw(ASKED[name]), 10 * MINUTE)
        self.car.run_for(step)

    @rule(name=st.sampled_from(["heater", "ventilation", "climatisation", "charging", "speed_alert"]))
    def user_stops(self, name: str) -> None:
        self._command(name, {"action": "stop"}, 10 * MINUTE)

    @rule(name=st.sampled_from([*COMMANDS, "fly"]), wrong=WRONG, age=st.sampled_from([0, HOUR]))
    def user_commands_nonsense(self, name: str, wrong: dict[str, Any], age: int) -> None:
        self._command(name, wrong, 10 * MINUTE, age)

    @rule(data=st.data())
    def a_command_comes_again(self, data: st.DataObject) -> None:
        if self.ids:
            self._send(data.draw(st.sampled_from(self.ids)), 10 * MINUTE, 0)

    # --- the network

    @rule(answering=st.booleans())
    def broker_hurries_or_not(self, answering: bool) -> None:
        self.car.answering = answering
        if answering:
            self.car.answer()

    @rule(arrives=st.sampled_from([True, True, False]), refused=st.sampled_from([False, False, True]))
    def broker_answers(self, arrives: bool, refused: bool) -> None:
        self.car.answer(arrives=arrives, refused=refused)

    @rule(heard=st.booleans())
    def connection_breaks(self, heard: bool) -> None:
        if heard:
            self.car.lose_answer()
        else:
            self.car.break_link()

    @rule()
    def broker_dies(self) -> None:
        self.car.broker_works = False
        self.car.break_link()

    @rule()
    def broker_is_back(self) -> None:
        self.car.come_back()

    @rule()
    def back_end_replies(self) -> None:
        self.car.reply()

    @rule()
    def back_end_marks(self) -> None:
        self.car.mark()

    @rule()
    def marks_stay_out(self) -> None:
        self.car.repeat()

    # --- what must hold

    @invariant()
    def all_holds(self) -> None:
        if self.lab is not None:
            self.sound = False
            self.lab.hold()
            for states in self.lab.lives().values():
                assert is_life(states), states
            self.sound = True

    def teardown(self) -> None:
        """Let all come to its end, and judge the journal."""
        try:
            if self.lab is not None and self.sound:
                self._end(self.lab)
        finally:
            if self.lab is not None:
                self.lab.close()
            self.folder.cleanup()

    def _end(self, lab: StoryLab) -> None:
        lab.calm_down()
        lives = lab.lives()
        for command_id in lab.asked:
            assert lives[command_id][-1] in TERMINAL_STATES, f"{command_id} has no end: {lives[command_id]}"
        lab.run_for(8 * DAY)
        lab.hold()
        assert len(lab.car.agenda._heap) <= AT_REST, lab.car.agenda._heap
        lab.put(PowerOff())
        found = lab.judge()
        assert found.holds, [breach for finding in found.findings for breach in finding.breaches]


TestAnyStory = AnyStory.TestCase
TestAnyStory.settings = settings(
    derandomize=not STORIES,
    max_examples=STORIES or 120,
    stateful_step_count=STEPS,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
