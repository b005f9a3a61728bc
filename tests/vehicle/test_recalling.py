"""A car whose computer is started anew: what it had executed it answers again, and does not do again."""

from __future__ import annotations

from fleet.kernel.instants import HOUR, MINUTE
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import Executed, PowerOn, Recall, Remember, Transmit
from fleet.wire.messages import Response
from tests.vehicle.car_lab import NEAR_USER, CarLab

REMEMBERING = CarSettings(hole_share=0.0, remembers=True)


def told(lab: CarLab) -> list[Executed]:
    """Return what the car wanted to have written down."""
    return [output.done for _, output in lab.outputs if isinstance(output, Remember)]


def started_anew(before: list[Executed]) -> CarLab:
    """Return another run of the car's computer."""
    lab = CarLab(settings=REMEMBERING, power=False)
    lab.put(Recall(tuple({done.id: done for done in before}.values())))
    lab.put(PowerOn())
    return lab


def test_it_is_written_down_before_anything_is_said() -> None:
    """Who is killed in between has told nobody of what nobody knows."""
    lab = CarLab(settings=REMEMBERING)
    lab.wake()
    lab.command("honk", **NEAR_USER)
    lab.run_for(MINUTE)
    said: list[str] = []
    for _, output in lab.outputs:
        if isinstance(output, Remember) and output.done.name == "honk":
            said.append(f"write {output.done.state}")
        elif isinstance(output, Transmit) and isinstance(output.message, Response) and output.message.name == "honk":
            said.append(f"say {output.message.state}")
    assert said == ["write accepted", "say accepted", "say in_progress", "write succeeded", "say succeeded"]


def test_what_was_done_is_answered_again_and_not_done_again() -> None:
    """The broker delivers a command again that it has no acknowledgement for."""
    lab = CarLab(settings=REMEMBERING)
    lab.wake()
    lab.command("honk", command_id="h", **NEAR_USER)
    lab.command("lock", command_id="l")
    lab.run_for(MINUTE)
    again = started_anew(told(lab))
    for command_id, name in (("h", "honk"), ("l", "lock")):
        again.command(name, command_id=command_id, **(NEAR_USER if name == "honk" else {}))
    again.run_for(MINUTE)
    assert again.states("h") == ["succeeded"]
    assert again.states("l") == lab.states("l")[-1:]
    assert told(again) == []


def test_what_was_refused_is_refused_again() -> None:
    """Its user was told so, whatever holds by now; the words are not kept, since they may tell a place."""
    lab = CarLab(settings=REMEMBERING)
    assert lab.outcome("honk", command_id="h", latitude=52.5, longitude=13.4) == ("rejected", "too_far")
    assert lab.responses("h")[-1].detail is not None
    again = started_anew(told(lab))
    assert again.outcome("honk", command_id="h", **NEAR_USER) == ("rejected", "too_far")
    assert again.responses("h")[-1].detail is None


def test_what_was_under_way_has_failed_and_is_told_at_once() -> None:
    """Nobody knows whether the horn sounded to its end, and the car that would know is gone."""
    lab = CarLab(settings=REMEMBERING)
    lab.wake()
    lab.command("honk", command_id="h", ttl=8 * HOUR, **NEAR_USER)
    again = started_anew(told(lab))
    assert [(each.state, each.reason) for each in again.responses("h")] == [("failed", "interrupted")]
    again.command("honk", command_id="h", **NEAR_USER)
    again.run_for(MINUTE)
    assert again.states("h") == ["failed", "failed"]
    third = started_anew(told(lab) + told(again))
    assert third.states("h") == [], "it was told"


def test_a_car_without_a_memory_writes_nothing_down() -> None:
    lab = CarLab()
    assert lab.outcome("refresh") == ("succeeded", None)
    assert told(lab) == []
