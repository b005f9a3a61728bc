"""The privacy switch: what leaves the car in each mode, what of the queue does, and which commands it obeys."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kernel.instants import HOUR, MINUTE, SECOND
from fleet.vehicle.kept import find
from fleet.vehicle.outbox import LEGAL_EVENTS, is_priority
from fleet.vehicle.services.privacy import PLACE_DATA, Privacy, mode_in, request_refusal, without_position
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import (
    Acknowledged,
    AskStatus,
    CarInput,
    LinkDown,
    PressButton,
    Received,
    RepeatUnstored,
    SetCoverage,
    SetPrivacy,
    SetService,
    SwitchOff,
    SwitchOn,
    Transmit,
)
from fleet.wire.messages import CarMessage, Event, Response, Status, Stored
from fleet.wire.privacy import MODES, OPEN, SILENT_MODES, PrivacyMode, mode_of
from fleet.wire.services import load_services
from tests.vehicle.car_lab import SHOP, CarLab, account_holds, equipment, heater_car

NEAR: dict[str, Any] = {"latitude": 48.137, "longitude": 11.575}
FAR: dict[str, Any] = {"latitude": 48.2, "longitude": 11.575}


def electric(**more: Any) -> CarLab:
    return CarLab(equipment("Born", "electric"), **more)


def tells_position(message: CarMessage) -> bool:
    """Look for degrees anywhere in it."""
    return b"latitude" in msgspec.json.encode(message)


def since(lab: CarLab, count: int) -> list[CarMessage]:
    return lab.sent[count:]


# --- the switch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("generation", "asked", "becomes"),
    [
        ("G3", "online_with_location", "online_with_location"),
        ("G3", "online", None),
        ("G3", "offline", "maximum_privacy"),
        ("G3", "maximum_privacy", "maximum_privacy"),
        ("G4", "online_with_location", "online_with_location"),
        ("G4", "online", "online"),
        ("G4", "offline", "offline"),
        ("G4", "maximum_privacy", "offline"),
    ],
)
def test_each_generation_has_its_switch(generation: str, asked: PrivacyMode, becomes: PrivacyMode | None) -> None:
    assert mode_of(asked, generation) == becomes
    lab = CarLab(heater_car()) if generation == "G3" else electric()
    lab.put(SetPrivacy(asked))
    assert mode_in(lab.car) == (becomes or OPEN)
    expected: list[Any] = [] if becomes in {None, OPEN} else [{"mode": becomes, "services_off": []}]
    assert [event.data for event in lab.events("privacy_changed")] == expected


@pytest.mark.parametrize("mode", MODES["G4"])
def test_to_set_it_again_changes_nothing(mode: PrivacyMode) -> None:
    lab = electric()
    lab.put(SetPrivacy(mode))
    count = len(lab.sent)
    lab.put(SetPrivacy(mode))
    assert len(lab.sent) == count


def test_a_car_says_at_the_start_what_its_switch_is_set_to() -> None:
    """Unless it is as it came, which costs no message."""
    lab = electric(settings=CarSettings(hole_share=0.0, privacy="offline"))
    assert [event.name for event in lab.events()] == ["privacy_changed"]
    assert electric().events() == []
    odd = CarLab(heater_car(), settings=CarSettings(hole_share=0.0, privacy="online"))
    assert odd.events() == [], "a mode that its generation has not"


# --- no position ----------------------------------------------------------------------------------------------------


def test_online_no_position_leaves_the_car() -> None:
    """A day with drives, statuses, alerts and refused commands, and all the rest is told."""
    lab = electric()
    lab.put(SetPrivacy("online"))
    lab.command("area_alert", zones=[{"name": "shop", "latitude": SHOP.latitude, "longitude": SHOP.longitude, "radius_m": 500}])
    lab.drive(SHOP)
    lab.put(AskStatus())
    lab.outcome("refresh")
    lab.command("honk", **FAR)
    lab.run_for(80 * SECOND)
    assert [message for message in lab.sent if tells_position(message)] == []
    assert lab.statuses("engine_off")[0].mileage_km is not None
    assert lab.events("trip")


def test_what_would_tell_the_position_is_refused() -> None:
    lab = electric()
    assert lab.outcome("honk", **NEAR) == ("succeeded", None)
    lab.put(SetPrivacy("online"))
    assert lab.outcome("honk", **NEAR) == ("rejected", "privacy_location")
    assert lab.outcome("honk", **FAR) == ("rejected", "privacy_location"), "not even that it is too far"
    assert lab.outcome("unlock") == ("succeeded", None)


def test_what_waits_loses_its_position() -> None:
    """Statuses keep the rest, alerts go, and an answer keeps its reason and not the distance."""
    lab = electric()
    lab.outcome("area_alert", zones=[{"name": "shop", "latitude": SHOP.latitude, "longitude": SHOP.longitude, "radius_m": 500}])
    lab.put(SetCoverage(False))
    lab.command("honk", **FAR)
    lab.run_for(80 * SECOND)
    lab.put(AskStatus())
    before = len(lab.sent)
    lab.put(SetPrivacy("online"))
    lab.put(SetCoverage(True))
    lab.run_for(SECOND)
    late = since(lab, before)
    assert [message for message in late if tells_position(message)] == []
    (far,) = [message for message in late if isinstance(message, Response) and message.reason == "too_far"]
    assert far.detail is None
    (status,) = [message for message in late if isinstance(message, Status)]
    assert status.position is None
    assert status.energy is not None
    assert account_holds(lab.car)


def test_a_command_that_comes_again_is_answered_without_the_distance() -> None:
    """The answer is a message of its own, made now."""
    lab = electric()
    for mode in (OPEN, "online"):
        lab.put(SetPrivacy(mode))
        lab.command("honk", command_id="far", **FAR)
        lab.run_for(80 * SECOND)
    told = [(answer.reason, answer.detail is not None) for answer in lab.responses("far")]
    assert told == [("too_far", True), ("too_far", False)]


def test_what_was_sent_is_repeated_as_it_was() -> None:
    """It has left the car: whoever got it once gets the same bytes."""
    lab = electric(acknowledging=False)
    lab.put(AskStatus())
    first = lab.sent[-1]
    lab.put(LinkDown())
    lab.put(SetPrivacy("online"))
    repeated = [output for output in lab.link_up() if isinstance(output, Transmit) and output.again]
    lab.put(Acknowledged(lab.sent[-1].seq))
    repeated += [output for _, output in lab.outputs if isinstance(output, Transmit) and output.again]
    assert repeated
    assert all(output.message is first for output in repeated)


def test_a_refresh_on_the_way_tells_no_position() -> None:
    lab = electric()
    lab.put(SetPrivacy("online"))
    lab.put(SwitchOn())
    assert lab.outcome("refresh") == ("succeeded", None)
    assert lab.statuses("refresh")[-1].position is None


@pytest.mark.parametrize("name", sorted(LEGAL_EVENTS))
def test_what_the_law_requires_keeps_all(name: str) -> None:
    event = Event(vin="V", boot=1, seq=1, captured_at=1, name=name, data={"position": NEAR})
    assert without_position(event) is event


def test_an_event_with_and_without_a_place() -> None:
    """A breakdown call goes without its position; an alert is nothing without."""
    header = {"vin": "V", "boot": 1, "seq": 1, "captured_at": 1}
    call = Event(**header, name="breakdown_call", data={"mileage_km": 1, "position": NEAR})  # type: ignore[arg-type]
    assert without_position(call) == msgspec.structs.replace(call, data={"mileage_km": 1})
    alert = Event(**header, name="area_alert", data={**NEAR})  # type: ignore[arg-type]
    assert without_position(alert) is None


def test_what_has_a_place_in_it_is_held_back() -> None:
    """An event or request with degrees in it is marked so in the catalogue, or known to go without them."""
    services = load_services()
    for name, entry in services.events.items():
        assert entry.tells_position or PLACE_DATA.isdisjoint(entry.data) or name == "breakdown_call", name
    for name, request in services.requests.items():
        assert request.tells_position or PLACE_DATA.isdisjoint(request.parameters), name


# --- silence --------------------------------------------------------------------------------------------------------


def silent_day(lab: CarLab) -> list[CarMessage]:
    before = len(lab.sent)
    lab.drive(SHOP)
    lab.put(AskStatus())
    lab.run_for(2 * HOUR)
    return since(lab, before)


@pytest.mark.parametrize(("model", "energy", "mode"), [("Born", "electric", "offline"), ("Leon", "petrol", "maximum_privacy")])
def test_offline_nothing_is_made_and_nothing_leaves(model: str, energy: str, mode: PrivacyMode) -> None:
    """What is not made has no number: the account knows nothing of it."""
    lab = CarLab(equipment(model, energy))
    lab.put(SetPrivacy(mode))
    created = lab.car.outbox.created
    assert silent_day(lab) == []
    assert lab.car.outbox.created == created
    lab.put(SetPrivacy(OPEN))
    lab.put(AskStatus())
    assert lab.sent[-1].seq == created + 2
    assert account_holds(lab.car)


@pytest.mark.parametrize("mode", sorted(SILENT_MODES))
def test_commands_that_still_arrive_are_refused(mode: PrivacyMode) -> None:
    """Whatever they are, and before anything else is told."""
    lab = electric()
    lab.put(SetPrivacy(mode))
    for name, parameters in (
        ("lock", {}),
        ("honk", FAR),
        ("refresh", {}),
        ("heater", {}),
        ("lock", {"colour": "red"}),
        ("fly", {}),
    ):
        assert lab.outcome(name, **parameters) == ("rejected", "privacy_offline")


def test_an_unfinished_command_is_answered_when_the_car_speaks_again() -> None:
    lab = electric()
    lab.wake()
    command_id = lab.command("lock")
    lab.put(SetPrivacy("offline"))
    lab.run_for(MINUTE)
    assert lab.states(command_id) == ["accepted", "in_progress"]
    lab.put(SetPrivacy("online"))
    assert lab.states(command_id) == ["accepted", "in_progress", "succeeded"]


def test_what_waited_goes_on_waiting() -> None:
    """Underground, then offline, then back: nothing of before is lost, and it comes after the event of the change."""
    lab = electric()
    lab.put(SetCoverage(False))
    lab.put(SwitchOn())
    lab.put(SwitchOff())
    before = len(lab.sent)
    lab.put(SetPrivacy("offline"))
    lab.put(SetCoverage(True))
    lab.run_for(MINUTE)
    assert [getattr(each, "name", "") for each in since(lab, before)] == ["privacy_changed"]
    assert lab.car.outbox.in_outbox >= 3
    assert not lab.car.outbox.is_sending
    lab.put(SetPrivacy("online"))
    assert [getattr(each, "name", "status") for each in since(lab, before)] == [
        "privacy_changed", "privacy_changed", "engine_on", "engine_off", "status",
    ]  # fmt: skip
    assert since(lab, before)[-1].position is None  # type: ignore[union-attr]
    assert account_holds(lab.car)


def test_nothing_is_repeated_while_the_car_is_silent() -> None:
    """Until stored: what the broker had waits in the car for the end of the silence, and is stored then."""
    lab = electric(settings=CarSettings(hole_share=0.0, until_stored=True))
    lab.put(AskStatus())
    lab.put(SetPrivacy("offline"))
    status = lab.sent[0]
    assert [output for output in lab.put(RepeatUnstored()) if isinstance(output, Transmit)] == [
        Transmit(lab.sent[1], lab.now, again=True)
    ], "the event of the change alone"
    lab.put(SetPrivacy("online"))
    again = [output.message for output in lab.put(RepeatUnstored()) if isinstance(output, Transmit)]
    assert status in again
    boot, created = lab.car.outbox.boot, lab.car.outbox.created
    lab.put(Received(Stored(boot=boot, through=created)))
    assert lab.car.outbox.in_outbox == 0


INPUTS: list[CarInput] = [
    SetPrivacy("online_with_location"), SetPrivacy("online"), SetPrivacy("offline"), SetCoverage(False), SetCoverage(True),
    AskStatus(), SwitchOn(), SwitchOff(), PressButton("sos"), PressButton("breakdown"), PressButton("info"),
    SetService("lock", False), SetService("lock", True),
]  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.lists(st.one_of(st.sampled_from(INPUTS), st.sampled_from(["lock", "honk", "refresh", "wait"])), max_size=40))
def test_whatever_is_done_privacy_is_kept(actions: list[CarInput | str]) -> None:
    """No position but an emergency call's is sent first while it may not be, and silence is kept; the account holds."""
    lab = electric()
    for action in actions:
        before = len(lab.sent)
        if isinstance(action, str):
            if action == "wait":
                lab.run_for(10 * MINUTE)
            else:
                lab.command(action, **(FAR if action == "honk" else {}))
        else:
            lab.put(action)
        mode = mode_in(lab.car)
        for message in since(lab, before):
            assert mode not in SILENT_MODES or is_priority(message)
            call = isinstance(message, Event) and message.name == "ecall"
            assert mode == OPEN or call or not tells_position(message)
        assert account_holds(lab.car)
    assert [message.seq for message in lab.sent] == sorted(message.seq for message in lab.sent)


# --- single services ------------------------------------------------------------------------------------------------


def test_a_service_that_is_off_is_refused() -> None:
    lab = electric()
    lab.put(SetService("lock", False))
    assert lab.outcome("lock") == ("rejected", "service_deactivated")
    assert lab.outcome("unlock") == ("succeeded", None)
    lab.put(SetService("lock", True))
    assert lab.outcome("lock") == ("succeeded", None)
    told = [event.data["services_off"] for event in lab.events("privacy_changed")]
    assert told == [["lock"], []]


def test_what_is_off_can_still_be_stopped() -> None:
    lab = CarLab(heater_car())
    assert lab.outcome("heater", action="start") == ("succeeded", None)
    lab.put(SetService("heater", False))
    assert lab.outcome("heater", action="start") == ("rejected", "service_deactivated")
    assert lab.outcome("heater", action="stop") == ("succeeded", None)


def test_to_switch_what_is_so_already_says_nothing() -> None:
    lab = electric()
    lab.put(SetService("lock", True))
    assert lab.events() == []
    assert find(lab.car, Privacy) is None


def test_online_services_are_asked_as_the_switch_allows() -> None:
    lab = electric()
    assert request_refusal(lab.car, "traffic") is None
    lab.put(SetPrivacy("offline"))
    assert request_refusal(lab.car, "traffic") == "privacy_offline"
