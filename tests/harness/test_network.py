"""Faults of the network in tests with cars, the same beside a real broker and in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.errors import UnknownName, UsageError
from fleet.harness import ExpectationFailed, World
from fleet.harness.backend import HarnessBackend
from fleet.harness.broker import HarnessBroker
from fleet.harness.car import HarnessCar
from fleet.harness.faults import Faults
from fleet.harness.network import read_faults
from fleet.harness.world import live_world
from fleet.transport.faults import FAULTS, DropPackets, Latency
from fleet.wire.messages import CarMessage

BOTH = pytest.mark.parametrize(
    "mode", [pytest.param("virtual", marks=pytest.mark.fleet(mode="virtual")), pytest.param("live", marks=pytest.mark.live)]
)


def numbers(messages: list[CarMessage]) -> list[int]:
    return [message.seq for message in messages]


@BOTH
async def test_with_latency_all_is_waited_for(
    fleet: World, fleet_faults: Faults, fleet_backend: HarnessBackend, mode: str
) -> None:
    """A command crosses the slow network several times, and what is under way is not taken for quiet."""
    car = await fleet.car()
    rule = await fleet_faults.network_fault(latency="60 ms", jitter="20 ms")
    await car.switch_on()
    await car.switch_off()
    await car.wait_for_status(trigger="engine_off")
    await fleet.user.lock(car).succeeds()
    assert rule.counts["delayed"] >= 6
    await fleet.settle()
    assert car.in_outbox == 0
    await fleet_faults.clear(rule)
    with pytest.raises(UsageError, match="is not in force"):
        await fleet_faults.clear(rule)


@pytest.mark.live
@pytest.mark.fleet(backend="process")
async def test_what_comes_to_a_car_through_the_proxy_is_not_held_back(fleet: World, fleet_faults: Faults) -> None:
    """The desk of another process tells at once what it has sent; the cars' time must not go on before the command is there."""
    car = await fleet.car()
    for _ in range(3):
        await fleet.user.lock(car).succeeds()


@BOTH
async def test_a_puback_that_is_lost_breaks_the_connection_and_the_message_comes_again(
    fleet: World, fleet_faults: Faults, mode: str
) -> None:
    car, other = await fleet.car(), await fleet.car()
    rule = await fleet_faults.network_fault(drop="PUBACK", way="to_client", first=1, cars=[car])
    for each in (car, other):
        await each.switch_on()
        await each.switch_off()
        await each.wait_for_status(trigger="engine_off")
    assert rule.counts == {"packets": 1}
    assert (fleet.gate.losses[car.vin], fleet.gate.losses[other.vin]) == (1, 0)
    assert car.in_outbox == 0
    assert numbers(car.messages) == list(range(1, len(car.messages) + 1))


@BOTH
async def test_what_is_stalled_comes_afterwards(fleet: World, fleet_faults: Faults, mode: str) -> None:
    car, other = await fleet.car(), await fleet.car()
    rule = await fleet_faults.network_fault(stall=True, cars=[car])
    for each in (car, other):
        await each.switch_on()
        await each.switch_off()
    await car.expect_no_status(trigger="engine_off")
    await other.wait_for_status(trigger="engine_off")
    await fleet_faults.clear(rule)
    await car.wait_for_status(trigger="engine_off")
    assert car.in_outbox == 0


@BOTH
async def test_connections_that_are_struck_come_again(fleet: World, fleet_faults: Faults, mode: str) -> None:
    car = await fleet.car()
    await fleet_faults.strike(reset=True)
    assert fleet.gate.losses[car.vin] == 1
    assert car.is_connected
    await fleet_faults.strike(half_open=True, cars=[car])
    assert car.is_connected, "nobody has told it"
    await car.switch_on()
    await car.wait_for_event("engine_on")
    assert fleet.gate.losses[car.vin] == 2
    assert car.in_outbox == 0


@BOTH
async def test_who_is_refused_comes_afterwards(fleet: World, fleet_faults: Faults, mode: str) -> None:
    """Who is connected already is not refused, and what it sends is waited for."""
    car = await fleet.car()
    rule = await fleet_faults.network_fault(refuse=True)
    await car.switch_on()
    assert car.in_outbox == 0
    await car.switch_off()
    await car.wait_for_status(trigger="engine_off")
    await fleet_faults.strike(reset=True)
    assert not car.is_connected
    await fleet_faults.clear(rule)
    assert car.is_connected


@pytest.mark.live
async def test_through_tls_bytes_suffer_and_nobody_can_be_told_apart() -> None:
    async with HarnessBroker("tls") as broker, live_world(broker.reach(), faults=True) as world:
        car = await world.car()
        rule = await world.faults.network_fault(latency="20 ms")
        await world.user.lock(car).succeeds()
        assert rule.counts["delayed"]
        await world.faults.strike(reset=True)
        assert world.gate.losses[car.vin] == 1
        with pytest.raises(UsageError, match="cannot be read from encrypted connections"):
            await world.faults.network_fault(drop="PUBACK")
        with pytest.raises(UsageError, match="cannot be read from encrypted connections"):
            await world.faults.network_fault(stall=True, cars=[car])


@pytest.mark.live
async def test_without_the_fixture_there_is_no_proxy(fleet: World) -> None:
    assert fleet.cars == []
    with pytest.raises(UsageError, match="connected to the broker directly"):
        await fleet.faults.network_fault(stall=True)


@pytest.mark.live
@pytest.mark.fleet(backend="process", until_stored=True)
async def test_a_full_disk_loses_nothing(fleet: World, fleet_car: HarnessCar, fleet_backend: HarnessBackend) -> None:
    """What cannot be stored is not acknowledged; there is room again, and it is stored."""
    before = len(fleet_car.messages)
    await fleet_backend.fill_disk()
    await fleet_car.switch_on()
    await fleet_car.switch_off()
    with fleet.reader() as reader:
        assert len(reader.history(fleet_car.vin, limit=100)) == before
    await fleet_backend.free_disk()
    rows = await fleet_backend.history(fleet_car)
    assert sorted(row.seq for row in rows) == list(range(1, len(fleet_car.messages) + 1))
    assert len(rows) > before


@pytest.mark.fleet(mode="virtual")
async def test_the_disk_of_the_tests_own_process_is_left_alone(fleet: World, fleet_backend: HarnessBackend) -> None:
    with pytest.raises(UsageError, match="no disk of its own"):
        await fleet_backend.fill_disk()


@pytest.mark.fleet(mode="virtual")
async def test_mistakes_of_faults_are_told_at_once(fleet: World, fleet_faults: Faults) -> None:
    with pytest.raises(UnknownName, match="unknown word of a network fault 'latancy'") as raised:
        await fleet_faults.network_fault(latancy="1 s")
    assert "latency" in raised.value.hint
    with pytest.raises(UsageError, match="unknown MQTT packet 'PUBAK'") as other:
        await fleet_faults.network_fault(drop="PUBAK")
    assert "PUBACK" in other.value.hint
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({}, "does not say what is wrong"),
        ({"latency": "soon"}, "soon"),
        ({"latency": "20 ms", "jitter": "30 ms"}, "out of range"),
        ({"stall": True, "jitter": "1 ms"}, "takes no 'jitter'"),
        ({"stall": "yes"}, "True or left out"),
        ({"drop": "PUBLISH", "topic": 7}, "a text"),
        ({"bandwidth": 20}, "a bandwidth such as"),
    ]
    for words, told in mistakes:
        with pytest.raises(UsageError, match=told):
            await fleet_faults.network_fault(**words)
    with pytest.raises(UsageError, match="lasts until it is cleared"):
        await fleet_faults.strike(stall=True)


def test_words_are_those_of_scenarios_and_mean_the_same() -> None:
    assert read_faults({"latency": 0.2, "jitter": "50 ms", "drop": "PUBACK", "first": 1, "share": "50 %"}) == [
        Latency(latency_ms=200.0, jitter_ms=50.0),
        DropPackets(packet="PUBACK", first=1, share=0.5),
    ]


def test_every_fault_has_a_word() -> None:
    values: dict[str, object] = {"latency": "1 s", "bandwidth": "1 kB/s", "slicing": "1 B", "truncate": "1 B"}
    packets = dict.fromkeys(("drop", "duplicate", "reorder"), "PUBACK")
    for kind in FAULTS:
        assert [fault.kind for fault in read_faults({kind: {**values, **packets}.get(kind, True)})] == [kind]


@pytest.mark.fleet(mode="virtual")
async def test_what_is_in_force_ends_with_the_test(fleet: World, fleet_faults: Faults) -> None:
    car = await fleet.car()
    await fleet_faults.network_fault(stall=True)
    await car.switch_on()
    await fleet.close()
    assert not fleet_faults.cuts_off(car.vin, connected=True)


@pytest.mark.fleet(mode="virtual")
@pytest.mark.parametrize(
    ("happens", "told"),
    [
        ("kill", "the broker is gone, and no step of this test has ended it"),
        ("pause", "after 5 s VSSZZZ.* is still offline, with 1 of its messages on the way"),
    ],
)
async def test_a_broker_that_fails_by_itself_fails_the_next_step(fleet: World, happens: str, told: str) -> None:
    """It would be a false comfort that a message has not come, when none can."""
    car = await fleet.car()
    assert fleet.stage.broker is not None
    getattr(fleet.stage.broker, happens)()
    with pytest.raises(ExpectationFailed, match=told):
        await car.switch_on()


@BOTH
@pytest.mark.fleet(broker="own")
async def test_a_broker_that_was_paused_when_it_was_killed_works_again(fleet: World, fleet_faults: Faults, mode: str) -> None:
    car = await fleet.car()
    await fleet_faults.pause_broker()
    await fleet_faults.kill_broker()
    with pytest.raises(UsageError, match="does not run"):
        await fleet_faults.pause_broker()
    await fleet_faults.start_broker()
    assert fleet_faults.broker_works
    await car.switch_on()
    assert len(car.messages) == 1


@pytest.mark.fleet(mode="virtual", until_stored=True)
async def test_what_a_back_end_of_the_users_does_not_store_is_its_affair(fleet: World) -> None:
    car = await fleet.car()
    await car.switch_on()
    await car.wait_for_event("engine_on")
    assert car.in_outbox == 1
