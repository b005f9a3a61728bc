"""Messages of a car that overtake each other: in the end the same is known, and a reset takes away what was given before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import permutations
from typing import Any

import msgspec
import pytest

from fleet.cloud.car_settings import ReportedSettings, after
from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import CarSwitched, KeepSettings, RemoveUser, SendCommand, StoreUser, UserRecord
from fleet.cloud.online import USERS_OF_CAR, OnlineRule
from fleet.cloud.rule import Done, Notes, RequestRefused
from fleet.wire.messages import Event, Reply, Request, ServiceRequest
from tests.cloud.desk_lab import VIN, DeskLab, outcome

OLD, NEW = "1111", "2222"
"""S-PINs of whoever had the car before the reset, and has it after the pairing."""


def event(name: str, seq: int, *, boot: int = 1, **data: Any) -> Event:
    return Event(vin=VIN, boot=boot, seq=seq, captured_at=seq, name=name, data=data)


SILENT = event("privacy_changed", 1, mode="offline", services_off=["honk"])
RESET, PAIRED = event("car_reset", 2, by="car"), event("car_paired", 3)
CLOSED = event("privacy_changed", 4, mode="online")
AGAIN = (event("car_reset", 1, boot=2, by="app"), event("car_paired", 2, boot=2))
WITHOUT_ANNA = event("car_reset", 5, user="anna", by="car")


class Lab(DeskLab):
    """A desk that can be restarted on what it wanted stored."""

    def __init__(self) -> None:
        super().__init__()
        self.enrolled: dict[str, UserRecord] = {}
        self.settings: dict[str, ReportedSettings] = {}

    def restart(self) -> None:
        for output in self.outputs:
            match output:
                case StoreUser(user):
                    self.enrolled[user.name] = user
                case RemoveUser(_, name):
                    self.enrolled.pop(name, None)
                case KeepSettings(vin, settings):
                    self.settings[vin] = msgspec.json.decode(msgspec.json.encode(settings), type=ReportedSettings)
        self.desk = Desk(users=self.enrolled.values(), known_vins=[VIN], settings=self.settings)

    def hears(self, events: Iterable[Event], *, restarts: bool = False) -> None:
        for each in events:
            self.give(CarSwitched(each))
            if restarts:
                self.restart()

    def unlocks(self, spin: str) -> tuple[str | None, str | None]:
        """Return what becomes of a command with this S-PIN; a token of an earlier one is not used."""
        return outcome(self.ask(f"ask-{len(self.outputs)}", "unlock", spin=spin))


@pytest.mark.parametrize("last", [(), (CLOSED,), AGAIN, (WITHOUT_ANNA,)])
def test_the_same_is_known_in_the_end(last: tuple[Event, ...]) -> None:
    """Of everything the newest word counts: a newer one on something else makes no word old."""
    events = (SILENT, RESET, PAIRED, *last)
    expected: ReportedSettings | None = None
    for each in sorted(events, key=lambda each: (each.boot, each.seq)):
        expected = after(expected, each) or expected
    for order in permutations(events):
        known: ReportedSettings | None = None
        for each in (*order, *order):  # each comes twice
            known = after(known, each) or known
        assert known == expected, [(each.name, each.boot, each.seq) for each in order]
    assert expected is not None
    assert expected.paired
    assert (expected.mode, expected.services_off) == (("online" if last == (CLOSED,) else "online_with_location"), ())


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("more", [(), (SILENT,), (CLOSED,), AGAIN])
def test_a_reset_takes_away_the_rights_of_before_it_however_late_it_comes(more: tuple[Event, ...], restarts: bool) -> None:
    for order in permutations((RESET, PAIRED, *more)):
        lab = Lab()
        lab.set_spin(OLD)
        assert lab.unlocks(OLD) == ("queued", None)
        lab.hears(order, restarts=restarts)
        assert lab.unlocks(OLD) == ("rejected", "spin_required"), [(each.name, each.boot, each.seq) for each in order]
        lab.set_spin(NEW)
        assert lab.unlocks(NEW) == ("queued", None)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("more", [(), (SILENT,), (CLOSED,)])
def test_what_is_given_after_the_pairing_stays(more: tuple[Event, ...], restarts: bool) -> None:
    """Also where the reset comes only then, or comes again."""
    for order in permutations((RESET, PAIRED, *more)):
        lab = Lab()
        lab.set_spin(OLD)
        for each in order:
            lab.hears([each], restarts=restarts)
            if each is PAIRED:
                answer = lab.set_spin(NEW)
                assert outcome(answer) == ("succeeded", None)
        lab.hears([RESET, PAIRED], restarts=restarts)
        assert lab.unlocks(NEW) == ("queued", None), [each.name for each in order]
        assert lab.unlocks(OLD) == ("rejected", "spin_wrong")


@pytest.mark.parametrize("restarts", [False, True])
def test_what_is_given_before_the_pairing_is_heard_of_goes_with_the_reset(restarts: bool) -> None:
    """Nobody can tell whether the old owner gave it or the new one: the new one gives it again."""
    for order in ((RESET, PAIRED), (PAIRED, RESET)):
        lab = Lab()
        lab.set_spin(NEW)
        lab.hears(order, restarts=restarts)
        assert lab.unlocks(NEW) == ("rejected", "spin_required")


def test_a_car_that_is_nobodys_takes_no_spin() -> None:
    """Who could have given it: whoever had the car before."""
    lab = Lab()
    lab.hears([RESET])
    assert outcome(lab.set_spin(OLD)) == ("rejected", "not_paired")
    lab.hears([PAIRED])
    assert outcome(lab.set_spin(NEW)) == ("succeeded", None)
    assert lab.unlocks(OLD) == ("rejected", "spin_wrong")


def test_a_late_reset_of_an_earlier_owner_changes_nothing_for_the_third() -> None:
    """Twice sold, and all of it told in the wrong order."""
    for order in permutations((RESET, PAIRED, AGAIN[0])):
        lab = Lab()
        lab.set_spin(OLD)
        lab.hears([AGAIN[1]])
        lab.set_spin(NEW)
        lab.hears(order)
        assert lab.unlocks(NEW) == ("queued", None)
        assert lab.unlocks(OLD) == ("rejected", "spin_wrong")


def test_a_token_is_worth_nothing_after_the_reset() -> None:
    lab = Lab()
    lab.set_spin(OLD)
    answer = lab.ask("first", "unlock", spin=OLD)
    token = next(each.token for each in lab.answers("first") if each.token)
    assert answer is not None
    lab.hears([PAIRED, RESET])
    lab.set_spin(NEW)
    assert outcome(lab.ask("second", "unlock", token=token)) == ("rejected", "spin_required")


# --- work under way


def manual() -> Lab:
    lab = Lab()
    lab.set_spin(OLD)
    lab.hears([PAIRED])
    lab.manual = True
    return lab


def test_a_spin_that_is_being_set_when_the_reset_comes_is_set() -> None:
    """And what is asked behind it is judged by it; what was asked before the pairing is refused."""
    lab = manual()
    lab.set_spin(NEW)
    lab.ask("a", "unlock", spin=NEW)
    lab.hears([RESET])
    lab.manual = False
    lab.work_off()
    assert outcome(lab.last("a")) == ("queued", None)
    assert lab.unlocks(OLD) == ("rejected", "spin_wrong")


def test_work_of_before_the_pairing_is_refused_and_what_waits_behind_it_goes_on() -> None:
    lab = Lab()
    lab.set_spin(OLD)
    lab.manual = True
    lab.ask("old", "unlock", spin=OLD)
    old = lab.set_spin("3333")
    assert old is None
    lab.hears([PAIRED])
    lab.set_spin(NEW)
    lab.ask("new", "unlock", spin=NEW)
    lab.hears([RESET])
    assert outcome(lab.last("old")) == ("rejected", "insufficient_rights")
    lab.manual = False
    lab.work_off()
    assert outcome(lab.last("new")) == ("queued", None)
    assert [each.command.id for each in lab.of(SendCommand)] == ["new"]
    assert lab.unlocks("3333") == ("rejected", "spin_wrong")


def test_a_check_against_a_spin_that_is_gone_ends() -> None:
    """Although it was asked after the pairing: there is nothing left to check it against."""
    lab = manual()
    lab.ask("a", "unlock", spin=OLD)
    lab.ask("b", "unlock", spin=OLD)
    lab.hears([RESET])
    assert [outcome(lab.last(each)) for each in "ab"] == [("rejected", "insufficient_rights")] * 2
    lab.manual = False
    lab.work_off()
    assert lab.of(SendCommand) == []
    lab.set_spin(NEW)
    assert lab.unlocks(NEW) == ("queued", None)


# --- what the service centre keeps of people


class Centre:
    """The rule of the online services with its notes, restarted at will."""

    def __init__(self) -> None:
        self.notes: dict[str, Any] = {}

    def _rule(self) -> OnlineRule:
        return OnlineRule(Notes(msgspec.json.decode(msgspec.json.encode(self.notes))))

    def _keep(self, rule: OnlineRule) -> None:
        self.notes = dict(rule.notes)

    def hears(self, each: Event) -> None:
        rule = self._rule()
        rule.event(each, 1)
        self._keep(rule)

    def ask(self, name: str, seq: int, **data: Any) -> Reply:
        rule = self._rule()
        request = Request(vin=VIN, boot=1, seq=seq, captured_at=seq, id=f"r{seq}", name=name, data=data)
        (*_, output) = rule.request(request, 1)
        self._keep(rule)
        reply: Reply = output.reply  # type: ignore[union-attr]
        return reply

    def tool(self, action: str, **data: Any) -> Done | RequestRefused:
        rule = self._rule()
        done = rule.asked(ServiceRequest(id="t", service="online", action=action, vin=VIN, data=data), 1)
        self._keep(rule)
        return done

    def saves(self, seq: int, value: str, user: str = "primary") -> Callable[[], Any]:
        settings = [{"name": "home_address", "value": value}]
        return partial(self.ask, "personalisation", seq, action="save", user=user, settings=settings)

    def profile(self, user: str = "primary") -> str | None:
        reply = self.ask("personalisation", 90, user=user, identified=True)
        return None if reply.error else reply.data["settings"][0]["value"]


def test_a_profile_is_the_newest_one_of_after_the_reset() -> None:
    """Whatever the order in which it was kept; nobody is shown where somebody before him lives."""
    for order in permutations(range(5)):
        centre = Centre()
        steps: list[Callable[[], object]] = [
            centre.saves(1, "old"),
            partial(centre.hears, RESET),
            partial(centre.hears, PAIRED),
            centre.saves(4, "new"),
            centre.saves(5, "newest"),
        ]
        for step in order:
            steps[step]()
        assert centre.profile() == "newest", order
        assert "old" not in str(centre.notes)


def test_a_profile_of_before_the_reset_is_gone_whatever_comes_first() -> None:
    for order in permutations(range(3)):
        centre = Centre()
        steps: list[Callable[[], object]] = [centre.saves(1, "old"), partial(centre.hears, RESET), partial(centre.hears, PAIRED)]
        for step in order:
            steps[step]()
        assert centre.profile() is None, order


def test_one_users_profile_goes_with_the_user() -> None:
    for order in permutations(range(3)):
        centre = Centre()
        steps: list[Callable[[], object]] = [
            centre.saves(1, "old", "anna"),
            centre.saves(2, "mine"),
            partial(centre.hears, WITHOUT_ANNA),
        ]
        for step in order:
            steps[step]()
        assert (centre.profile("anna"), centre.profile()) == (None, "mine"), order


def test_a_car_has_a_bounded_number_of_users_of_whom_something_is_kept() -> None:
    """Their names are the car's own words; a reset makes room again."""
    centre = Centre()
    for number in range(USERS_OF_CAR + 5):
        reply = centre.saves(1, "home", f"user-{number}")()
        assert reply.error == (None if number < USERS_OF_CAR else "insufficient_rights")
    centre.hears(event("car_reset", 1, user="nobody"))
    assert centre.saves(1, "elsewhere", "user-3")().error is None
    assert len(centre.notes) == USERS_OF_CAR + 1
    centre.hears(RESET)
    assert [key for key in centre.notes if "user-" in key or key.startswith("users/")] == []
    centre.hears(PAIRED)
    assert centre.saves(4, "home", "somebody")().error is None


def test_certificate_and_holder_of_before_the_reset_are_gone_and_those_of_after_the_pairing_stay() -> None:
    for order in ((RESET, PAIRED), (PAIRED, RESET)):
        centre = Centre()
        centre.tool("install_certificate", contract="OLD")
        centre.tool("set_holder", name="Old Owner")
        for each in order:
            centre.hears(each)
            if each is PAIRED:
                assert isinstance(centre.tool("install_certificate", contract="NEW"), Done)
        assert centre.ask("plug_and_charge", 10, station="S").data["contract"] == "NEW"
        assert "Old Owner" not in str(centre.notes)
        assert centre.ask("plug_and_charge", 1, station="S").error == "certificate_missing", "asked by whoever was here before"
        assert centre.ask("store_purchase", 11, product="radio_1_year").error is None
        assert centre.ask("store_purchase", 1, product="radio_1_year").error == "not_enrolled"


def test_nobody_gives_a_car_anything_that_is_nobodys() -> None:
    centre = Centre()
    centre.hears(RESET)
    for action, data in (("install_certificate", {"contract": "C"}), ("set_holder", {"name": "N"})):
        done = centre.tool(action, **data)
        assert isinstance(done, RequestRefused)
        assert done.reason == "not_paired"
    assert centre.ask("store_purchase", 10, product="radio_1_year").error == "not_enrolled"
    centre.hears(PAIRED)
    assert centre.ask("store_purchase", 11, product="radio_1_year").error is None


def test_events_that_cannot_be_read_take_nothing_away() -> None:
    centre = Centre()
    centre.saves(1, "mine")()
    for wrong in (event("car_reset", 3, user=5), event("car_reset", 4, user=["x"])):
        centre.hears(wrong)
    assert centre.profile() == "mine"
    assert after(None, event("car_reset", 3, user=5)) is None
