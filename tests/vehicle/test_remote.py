"""Remote commands: each runs once, is answered every time, and ends in exactly one terminal state."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fleet.kernel.instants import HOUR, MILLISECOND, MINUTE, SECOND
from fleet.vehicle.remote import REMEMBERED, REMEMBERED_MOST, WAITING_LIMIT
from fleet.vehicle.rules import WAKE_UPS_WITHOUT_DRIVE
from fleet.vehicle.signals import (
    Acknowledged,
    AskStatus,
    DriveTo,
    LinkDown,
    Received,
    SetCoverage,
    SetOpening,
    SwitchOff,
    SwitchOn,
    Transmit,
)
from fleet.wire.messages import TERMINAL_STATES, Command, Response
from tests.vehicle.car_lab import BOOT, GARAGE, HOME, SHOP, CarLab, account_holds, equipment, heater_car

AT_THE_CAR: dict[str, Any] = {"latitude": HOME.latitude, "longitude": HOME.longitude}


def honk(lab: CarLab, **changed: Any) -> tuple[str, str | None]:
    return lab.outcome("honk", **{**AT_THE_CAR, **changed})


# --- the table of reasons


def _empty_tank(lab: CarLab) -> None:
    lab.car.powertrain.fuel_l = lab.car.equipment.reserve_l


def _weak_battery(lab: CarLab) -> None:
    lab.car.low_voltage.charge_ah = lab.car.low_voltage.capacity_ah * 0.45


def _worn_out(lab: CarLab) -> None:
    lab.car.remote.wake_ups = WAKE_UPS_WITHOUT_DRIVE + 1


REASONS: dict[str, Callable[[CarLab], tuple[str, str | None]]] = {}
"""Every reason a car gives, with one way to get it."""


def reason(name: str) -> Callable[[Callable[[CarLab], tuple[str, str | None]]], Callable[[CarLab], tuple[str, str | None]]]:
    def keep(way: Callable[[CarLab], tuple[str, str | None]]) -> Callable[[CarLab], tuple[str, str | None]]:
        REASONS[name] = way
        return way

    return keep


@reason("unsupported")
def _unsupported(lab: CarLab) -> tuple[str, str | None]:
    return lab.outcome("self_destruct")


@reason("malformed")
def _malformed(lab: CarLab) -> tuple[str, str | None]:
    return lab.outcome("heater", minutes="thirty")


@reason("not_equipped")
def _not_equipped(lab: CarLab) -> tuple[str, str | None]:
    return CarLab(equipment("Born", "electric")).outcome("heater")


@reason("not_parked")
def _not_parked(lab: CarLab) -> tuple[str, str | None]:
    lab.put(DriveTo(SHOP))
    lab.run_for(40 * SECOND)
    return lab.outcome("lock", wait=SECOND)


@reason("engine_running")
def _engine_running(lab: CarLab) -> tuple[str, str | None]:
    lab.put(SwitchOn())
    return lab.outcome("unlock", wait=SECOND)


@reason("too_far")
def _too_far(lab: CarLab) -> tuple[str, str | None]:
    return honk(lab, latitude=HOME.latitude + 1)


@reason("argument_out_of_range")
def _out_of_range(lab: CarLab) -> tuple[str, str | None]:
    return lab.outcome("heater", minutes=15)


@reason("door_open")
def _door_open(lab: CarLab) -> tuple[str, str | None]:
    lab.put(SetOpening("boot", opened=True))
    return lab.outcome("lock")


@reason("fuel_low")
def _fuel_low(lab: CarLab) -> tuple[str, str | None]:
    _empty_tank(lab)
    return lab.outcome("heater")


@reason("ventilation_running")
def _ventilation_running(_lab: CarLab) -> tuple[str, str | None]:
    lab = CarLab(equipment("Leon", "petrol", parking_heater=True, remote_ventilation=True))
    assert lab.outcome("ventilation") == ("succeeded", None)
    return lab.outcome("heater")


@reason("battery_low")
def _battery_low(lab: CarLab) -> tuple[str, str | None]:
    _weak_battery(lab)
    return lab.outcome("heater")


@reason("power_budget")
def _power_budget(lab: CarLab) -> tuple[str, str | None]:
    _worn_out(lab)
    return lab.outcome("heater")


@reason("busy")
def _busy(lab: CarLab) -> tuple[str, str | None]:
    lab.wake()
    lab.command("heater")
    return lab.outcome("heater", wait=SECOND)


@pytest.mark.parametrize("name", REASONS)
def test_each_reason_of_the_car(name: str) -> None:
    """Every reason that a car can reject a command for; nothing runs, and it is told once."""
    assert REASONS[name](CarLab(heater_car())) == ("rejected", name)


def test_the_table_of_reasons_is_complete() -> None:
    """What rules and remote write as a rejection is in the table above, a failure is not; a reason more needs a test more."""
    import ast
    import inspect

    from fleet.vehicle import remote, rules
    from fleet.vehicle.services import heating, horn, locking

    written = {
        node.args[0].value
        for module in (remote, rules, heating, horn, locking)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal"
        if isinstance(node.args[0], ast.Constant)
    }
    assert written - {"cancelled", "interrupted"} | {"unsupported", "malformed"} == set(REASONS)


# --- time to live and waking


def test_waking_takes_seconds_to_tens_of_seconds() -> None:
    """About 15 s in the middle, never above a minute, and `awake` is False for such a command and True for the next."""
    waits = []
    for number in range(60):
        lab = CarLab(number=number)
        asked = lab.now
        first = lab.command("refresh")
        assert lab.responses() == []
        lab.run_for(61 * SECOND)
        answers = lab.responses(first)
        waits.append((answers[0].captured_at - asked) / SECOND)
        assert [(each.state, each.awake) for each in answers] == [("accepted", False), ("succeeded", False)]
        second = lab.command("refresh")
        assert [(each.state, each.awake) for each in lab.responses(second)] == [("accepted", True), ("succeeded", True)]
    assert 10 < statistics.median(waits) < 20
    assert min(waits) > 2
    assert max(waits) <= 60


def test_a_command_may_expire_while_the_car_wakes() -> None:
    """The time to live is judged when the command would run, not when it arrives."""
    lab = CarLab()
    command = lab.command("refresh", ttl=SECOND)
    lab.run_for(MINUTE)
    assert lab.states(command) == ["expired"]


@pytest.mark.parametrize(("late", "states"), [(0, ["accepted", "succeeded"]), (1, ["expired"])])
def test_the_last_microsecond_of_the_time_to_live_counts(late: int, states: list[str]) -> None:
    """At `expires_at` itself a command still runs; a microsecond later it has expired."""
    lab = CarLab()
    lab.wake()
    lab.put(Received(Command(id="x", vin=lab.car.vin, name="refresh", issued_at=lab.now, expires_at=lab.now - late)))
    assert lab.states("x") == states


def test_only_so_many_commands_wait_for_the_car() -> None:
    """WAITING_LIMIT wait and run in their order; the one too many is busy, and none is without an end."""
    lab = CarLab()
    ids = [lab.command("refresh") for _ in range(WAITING_LIMIT + 1)]
    assert lab.states(ids[-1]) == ["rejected"]
    assert lab.responses(ids[-1])[0].reason == "busy"
    lab.run_for(MINUTE)
    ended = [each.command_id for each in lab.responses() if each.state == "succeeded"]
    assert ended == ids[:-1]
    assert lab.car.remote.wake_ups == 1


def test_one_that_waited_at_the_broker_did_not_find_the_car_awake() -> None:
    """A command issued before the connection came up is told apart even when the car is awake by then."""
    lab = CarLab(car_driver=None)
    lab.put(SetCoverage(covered=False))
    issued = lab.now
    lab.put(SwitchOn())
    lab.put(SetCoverage(covered=True), lab.now + MINUTE)
    lab.put(Received(Command(id="x", vin=lab.car.vin, name="refresh", issued_at=issued, expires_at=issued + HOUR)))
    assert [each.awake for each in lab.responses("x")] == [False, False]


# --- once


def test_the_same_id_while_waiting_runs_once() -> None:
    """Delivered twice before the car is awake: one execution."""
    lab = CarLab()
    for _ in range(3):
        lab.command("lock", command_id="x")
    lab.run_for(2 * MINUTE)
    assert lab.states("x") == ["accepted", "in_progress", "succeeded"]


def test_the_same_id_is_answered_as_before() -> None:
    """While in progress with that, and after its end with its end: the actuator works once."""
    lab = CarLab(heater_car())
    lab.wake()
    lab.command("heater", command_id="x")
    lab.command("heater", command_id="x")
    assert lab.states("x") == ["accepted", "in_progress", "in_progress"]
    lab.run_for(4 * SECOND)
    lab.command("heater", command_id="x")
    assert lab.states("x")[3:] == ["succeeded", "succeeded"]
    assert lab.outcome("heater", minutes=15, command_id="y") == ("rejected", "argument_out_of_range")
    lab.command("heater", minutes=30, command_id="y")
    assert {(each.state, each.reason) for each in lab.responses("y")} == {("rejected", "argument_out_of_range")}
    lab.run_for(2 * HOUR)
    assert len(lab.events("heater_ended")) == 1


def test_a_running_command_is_never_forgotten() -> None:
    """However many ids come in between; those that have ended and expired are forgotten, the oldest first."""
    lab = CarLab()
    lab.wake()
    running = lab.command("honk", ttl=0, **AT_THE_CAR)
    lab.run_for(SECOND)
    for _ in range(3 * REMEMBERED):
        lab.command("refresh", ttl=0)
        lab.run_for(MILLISECOND)
    lab.command("honk", command_id=running, **AT_THE_CAR)
    lab.run_for(20 * SECOND)
    assert lab.states(running) == ["accepted", "in_progress", "in_progress", "succeeded"]
    assert lab.car.remote.remembered == REMEMBERED


@pytest.mark.parametrize("others", [REMEMBERED, 5 * REMEMBERED])
def test_what_may_still_come_again_is_remembered(others: int) -> None:
    """A command that lives for a week runs once, however many others have come and gone before it is delivered again."""
    lab = CarLab()
    lab.wake()
    lab.command("unlock", command_id="week", ttl=7 * 24 * HOUR)
    lab.run_for(SECOND)
    for _ in range(others):
        lab.command("refresh", ttl=SECOND)
        lab.run_for(2 * SECOND)
    lab.command("unlock", command_id="week", ttl=7 * 24 * HOUR)
    lab.run_for(SECOND)
    assert lab.states("week") == ["accepted", "in_progress", "succeeded", "succeeded"]


def test_a_car_remembers_only_so_many() -> None:
    """A command more than it can remember is busy, until one has expired; what it remembers it answers all the time."""
    lab = CarLab()
    lab.wake()
    first, *_ = [lab.command("refresh", ttl=HOUR) for _ in range(REMEMBERED_MOST + 5)]
    assert lab.car.remote.remembered == REMEMBERED_MOST
    assert lab.outcome("unlock", wait=SECOND) == ("rejected", "busy")
    lab.command("refresh", command_id=first)
    assert lab.states(first) == ["accepted", "succeeded", "succeeded"]
    lab.run_for(2 * HOUR)
    lab.wake()
    assert lab.outcome("unlock", wait=SECOND) == ("succeeded", None)


# --- one of a kind


@pytest.mark.parametrize(("first", "second"), [("lock", "unlock"), ("unlock", "lock"), ("lock", "lock"), ("honk", "honk")])
def test_one_of_a_kind_at_a_time(first: str, second: str) -> None:
    """Lock and unlock exclude each other; the second is busy, the first goes on."""
    lab = CarLab()
    lab.wake()
    parameters = AT_THE_CAR if first == "honk" else {}
    one, two = lab.command(first, **parameters), lab.command(second, **parameters)
    lab.run_for(20 * SECOND)
    assert lab.states(one) == ["accepted", "in_progress", "succeeded"]
    assert [(each.state, each.reason) for each in lab.responses(two)] == [("rejected", "busy")]


def test_different_kinds_run_together() -> None:
    """A honk does not keep the doors from being locked."""
    lab = CarLab()
    lab.wake()
    one, two = lab.command("honk", **AT_THE_CAR), lab.command("lock")
    lab.run_for(20 * SECOND)
    assert lab.states(one)[-1] == lab.states(two)[-1] == "succeeded"


def test_a_stop_is_never_busy_and_cancels_a_start_under_way() -> None:
    """Two stops during a start: both succeed, the start has failed, and the heater never runs."""
    lab = CarLab(heater_car())
    lab.wake()
    start = lab.command("heater")
    stops = [lab.command("heater", action="stop") for _ in range(2)]
    lab.run_for(10 * SECOND)
    assert [lab.states(each)[-1] for each in stops] == ["succeeded", "succeeded"]
    assert lab.states(start) == ["accepted", "in_progress", "failed"]
    assert lab.responses(start)[-1].reason == "cancelled"
    assert lab.car.comfort is None
    assert lab.events("heater_ended") == []


# --- the power budget


def test_the_power_budget_counts_wake_ups_until_the_engine_starts() -> None:
    """The car may be woken WAKE_UPS_WITHOUT_DRIVE times for it; one more is refused; a start of the engine resets it."""
    lab = CarLab()
    outcomes = []
    for _ in range(WAKE_UPS_WITHOUT_DRIVE + 1):
        outcomes.append(honk(lab))
        lab.run_for(10 * MINUTE)
    assert outcomes == [("succeeded", None)] * WAKE_UPS_WITHOUT_DRIVE + [("rejected", "power_budget")]
    assert lab.outcome("refresh")[0] == "succeeded"
    lab.put(SwitchOn())
    lab.put(SwitchOff(), lab.now + MINUTE)
    lab.run_for(10 * MINUTE)
    assert honk(lab) == ("succeeded", None)


@pytest.mark.parametrize("meddling", [SwitchOn(), SetOpening("bonnet", opened=True)])
def test_what_changes_while_the_actuator_works(meddling: SwitchOn | SetOpening) -> None:
    """A lock that somebody comes in the way of has failed, with the reason, and locks nothing."""
    lab = CarLab()
    lab.wake()
    lab.car.body.locked = False
    command = lab.command("lock")
    lab.put(meddling, lab.now + 100 * MILLISECOND)
    lab.run_for(SECOND)
    assert lab.states(command) == ["accepted", "in_progress", "failed"]
    assert not lab.car.body.locked


# --- any sequence


class AnyStory(RuleBasedStateMachine):
    """One car, and whatever driver, network, cloud and time do to it."""

    @initialize(number=st.integers(0, 3), garage=st.booleans())
    def build(self, number: int, garage: bool) -> None:
        energy = ("petrol", "diesel", "e-hybrid", "electric")[number]
        fitted = equipment("Born", "electric") if energy == "electric" else equipment("Leon", energy)
        if energy in {"petrol", "diesel"}:
            fitted = equipment("Leon", energy, parking_heater=True)
        self.lab = CarLab(fitted)
        if garage:
            self.lab.drive(GARAGE)
        self.commands: list[Command] = []

    @rule(seconds=st.sampled_from([0.0, 0.3, 0.8, 1, 3, 10, 20, 90, 400, 4000]))
    def time_passes(self, seconds: float) -> None:
        self.lab.run_for(int(seconds * SECOND))

    @rule(hours=st.integers(1, 40))
    def a_long_time_passes(self, hours: int) -> None:
        self.lab.run_for(hours * HOUR)

    @rule(
        message=st.sampled_from(
            [SwitchOn(), SwitchOff(), DriveTo(SHOP), DriveTo(HOME), DriveTo(GARAGE), AskStatus()]
            + [SetOpening(name, opened=opened) for name in ("boot", "front_left") for opened in (True, False)]
            + [SetCoverage(covered) for covered in (True, False)]
        )
    )
    def somebody_acts(self, message: SwitchOn | SwitchOff | DriveTo | AskStatus | SetOpening | SetCoverage) -> None:
        self.lab.put(message)

    @rule()
    def link_breaks(self) -> None:
        self.lab.put(LinkDown())
        if self.lab.wanted:
            self.lab.link_up()

    @rule(
        call=st.sampled_from(
            [("honk", AT_THE_CAR), ("lock", {}), ("unlock", {}), ("refresh", {}), ("nonsense", {}), ("lock", {"spin": 1})]
            + [
                ("heater", {"action": action, "minutes": minutes})
                for action, minutes in (("start", 10), ("start", 7), ("stop", 1))
            ]
        ),
        ttl=st.sampled_from([0, 5, 60, 600]),
    )
    def cloud_commands(self, call: tuple[str, dict[str, object]], ttl: int) -> None:
        name, parameters = call
        now = self.lab.now
        command = Command(
            id=f"s{len(self.commands)}",
            vin=self.lab.car.vin,
            name=name,
            issued_at=now,
            expires_at=now + ttl * SECOND,
            parameters=dict(parameters),
        )
        self.commands.append(command)
        self.lab.put(Received(command))

    @precondition(lambda self: self.commands)
    @rule(data=st.data())
    def broker_repeats(self, data: st.DataObject) -> None:
        self.lab.put(Received(data.draw(st.sampled_from(self.commands[-20:]))))

    @invariant()
    def nothing_impossible(self) -> None:
        if not hasattr(self, "lab"):
            return
        lab, car = self.lab, self.lab.car
        levels, e = car.levels(lab.now), car.equipment
        assert 0 <= levels.fuel_l <= e.tank_l
        assert 0 <= levels.charge_kwh <= e.usable_kwh
        assert 0 <= levels.adblue_l <= e.adblue_l
        assert account_holds(car)
        assert (car.comfort is None) or not car.engine_is_on
        assert not (car.powertrain.plugged_in and car.engine_is_on)
        assert car.outbox.wants_connection == (car.outbox.has_coverage and not car.low_voltage.in_deep_sleep)
        assert lab.wanted == car.outbox.wants_connection
        assert car.deadline() is None or car.deadline() > lab.now  # type: ignore[operator]

    def teardown(self) -> None:
        """Everything comes out at last, numbered without a gap, and each command has one end, told one or more times."""
        if not hasattr(self, "lab"):
            return
        lab = self.lab
        lab.run_for(HOUR)
        lab.put(SwitchOn())
        lab.put(SetCoverage(covered=True))
        lab.run_for(10 * MINUTE)
        assert lab.car.outbox.in_outbox == 0
        assert [message.seq for message in lab.sent] == list(range(1, len(lab.sent) + 1))
        assert all(a.captured_at <= b.captured_at for a, b in zip(lab.sent, lab.sent[1:], strict=False))
        for command in self.commands:
            ends = [each for each in lab.responses(command.id) if each.state in TERMINAL_STATES]
            assert ends, command
            assert len({(each.state, each.reason) for each in ends}) == 1, ends
            states = lab.states(command.id)
            first_end = next(n for n, state in enumerate(states) if state in TERMINAL_STATES)
            assert all(state in TERMINAL_STATES for state in states[first_end:])
        started = sum(each.state == "succeeded" for each in _first_ends(lab) if each.name == "heater")
        assert len(lab.events("heater_ended")) <= started
        on, off = len(lab.events("engine_on")), len(lab.events("engine_off"))
        assert off <= on <= off + 1


def _first_ends(lab: CarLab) -> list[Response]:
    seen: dict[str, Response] = {}
    for each in lab.responses():
        if each.state in TERMINAL_STATES:
            seen.setdefault(each.command_id, each)
    return list(seen.values())


TestAnyStory = AnyStory.TestCase
TestAnyStory.settings = settings(deadline=None, max_examples=60, stateful_step_count=25)


def test_messages_are_of_this_boot() -> None:
    """Every message names the run of the computer, and only the link repeats one."""
    lab = CarLab()
    lab.drive()
    assert {message.boot for message in lab.sent} == {BOOT}
    assert not any(output.again for _, output in lab.outputs if isinstance(output, Transmit))
    assert lab.put(Acknowledged(99_999)) == []
