"""Cars with an end of their own in a dialect: pieces that make a message, frames by themselves, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from fleet.harness import Faults, World
from fleet.harness.backend import HarnessBackend
from fleet.kernel.instants import Instant
from fleet.runtime.car_ends import facts_of
from fleet.vehicle.signals import AskStatus
from fleet.wire.dialect import CarEnd, CarFacts, Heard
from fleet.wire.frame import Frame
from fleet.wire.messages import Event, FromCar, Status
from tests.dialects.pieces import PiecesDialect, PiecesEnd

PIECES = "tests.dialects.pieces:PiecesDialect"
pytestmark = pytest.mark.fleet(dialect=PIECES)


@pytest.mark.fleet(mode="virtual")
async def test_a_message_is_stored_once_all_its_pieces_have_come(fleet: World, fleet_backend: HarnessBackend) -> None:
    """A status of many frames is one message for the car, for the back end, and in the account."""
    car = await fleet.car()
    await car.drive(km=3)
    status = await car.wait_for_status(trigger="engine_off", within="10 min")
    assert status.doors is not None
    assert status.position is not None
    await fleet.settle()
    outbox = fleet.shard.cars[car.vin].car.outbox
    assert outbox.created == outbox.acknowledged + outbox.left_out
    assert outbox.in_outbox == 0
    counts = fleet.shard.counts
    assert counts.presences.published == 2, "its presence, and a beat by itself: in no account"


@pytest.mark.fleet(mode="virtual")
async def test_what_is_left_out_is_counted_by_its_kind(fleet: World, fleet_backend: HarnessBackend) -> None:
    """Requests have no place in the dialect, and one event no word: the car goes on with the next message."""
    car = await fleet.car("Leon", fuel_percent=20.0)
    held = fleet.shard.cars[car.vin].car
    before = held.outbox.acknowledged
    for _ in range(2):
        await car.drive(km=2)
    held.send_event("refuelled", fleet.now, {"litres": 1.0})
    held.send_event("bell", fleet.now)
    await car.open("boot")
    await car.close("boot")
    await fleet.settle()
    assert fleet.shard.counts.left_out["word: no word for refuelled"] == 1
    assert held.outbox.left_out == sum(fleet.shard.counts.left_out.values())
    assert held.outbox.acknowledged > before
    assert held.outbox.in_outbox == 0


@pytest.mark.fleet(mode="virtual")
async def test_an_end_knows_which_commands_the_car_is_equipped_for(fleet: World) -> None:
    """It offers no others, whatever state the car is in."""
    petrol = facts_of((await fleet.car("Leon", "petrol", parking_heater=True)).simulated)
    electric = facts_of((await fleet.car("Born")).simulated)
    assert "heater" in petrol.commands
    assert not {"charging", "climatisation"} & petrol.commands
    assert {"lock", "charging", "climatisation"} <= electric.commands
    assert "heater" not in electric.commands


@pytest.mark.fleet(mode="virtual")
async def test_a_car_beats_by_itself_as_long_as_it_is_connected(fleet: World) -> None:
    """Its own deadline wakes it beside those of the car; without a connection nothing is sent."""
    car = await fleet.car()
    published = fleet.shard.counts.presences.published
    await fleet.clock.advance(minutes=60)
    beats = fleet.shard.counts.presences.published - published
    assert beats == 6
    await car.lose_coverage()
    published = fleet.shard.counts.presences.published
    await fleet.clock.advance(minutes=60)
    assert fleet.shard.counts.presences.published == published


@pytest.mark.fleet(mode="virtual")
async def test_many_messages_that_are_left_out_one_after_the_other(fleet: World) -> None:
    """However many wait, they leave the outbox without ado: the stack does not grow with them."""
    car = await fleet.car()
    held = fleet.shard.cars[car.vin].car
    await car.lose_coverage()
    for number in range(3_000):
        held.send_event("refuelled", fleet.now, {"litres": number})
    await car.regain_coverage()
    await fleet.settle()
    assert held.outbox.left_out == 3_000
    assert held.outbox.in_outbox == 0


@pytest.mark.live
async def test_the_same_beside_a_real_broker(fleet: World, fleet_backend: HarnessBackend) -> None:
    """The broker acknowledges each piece; a command comes and is answered."""
    car = await fleet.car()
    await car.drive(km=2)
    status = await car.wait_for_status(trigger="engine_off", within="10 min")
    assert status.energy is not None
    await fleet.user.lock(car).succeeds()
    held = fleet.shard.cars[car.vin].car.outbox
    assert held.created == held.acknowledged + held.left_out


@pytest.mark.fleet(mode="virtual")
async def test_a_command_without_words_is_rejected(fleet: World, fleet_backend: HarnessBackend) -> None:
    """Its user is told so at once; others go on."""
    car = await fleet.car()
    await fleet.user.refresh(car).is_rejected("not_in_dialect")
    await fleet.user.lock(car).succeeds()


class FaultyEnd(PiecesEnd):
    """An end with a defect wherever one can be."""

    def connected(self, now: Instant) -> Sequence[Frame]:
        super().connected(now)
        raise LookupError

    def write(self, message: FromCar, now: Instant) -> Sequence[Frame]:
        if isinstance(message, Event):
            raise TypeError
        return super().write(message, now)

    def read(self, frame: Frame, now: Instant) -> Heard:
        raise ValueError

    def wake(self, now: Instant) -> Sequence[Frame]:
        super().wake(now)
        raise ZeroDivisionError


class FaultyDialect(PiecesDialect):
    """One of a user's that was not tested."""

    def car_end(self, car: CarFacts, snapshot: Callable[[], Status]) -> CarEnd | None:
        return FaultyEnd(self, car, snapshot)


@pytest.mark.fleet(mode="virtual", dialect=f"{__name__}:FaultyDialect")
async def test_a_defect_of_a_users_end_costs_one_message(fleet: World, fleet_backend: HarnessBackend) -> None:
    """What it raises is counted by its place, as a message that is left out or cannot be read; the cars live on."""
    car = await fleet.car()
    await car.drive(km=2)
    status = await car.wait_for_status(trigger="engine_off", within="10 min")
    assert status.mileage_km is not None
    await fleet.user.lock(car).outcome(within="1 h")
    await fleet.clock.advance(minutes=30)
    counts = fleet.shard.counts
    kinds = {reason.split()[1] for reason in counts.left_out if reason.startswith("internal")}
    assert kinds == {"LookupError", "TypeError", "ZeroDivisionError"}
    assert counts.unreadable == {"internal": 1}


class ForgetfulEnd(PiecesEnd):
    """An end that writes each status once, and nothing of it when it comes again."""

    written: frozenset[int] = frozenset()

    def write(self, message: FromCar, now: Instant) -> Sequence[Frame]:
        if isinstance(message, Status):
            if message.seq in self.written:
                return ()
            self.written |= {message.seq}
        return super().write(message, now)


class ForgetfulDialect(PiecesDialect):
    """One whose cars do not tell again what nobody may have."""

    def car_end(self, car: CarFacts, snapshot: Callable[[], Status]) -> CarEnd | None:
        return ForgetfulEnd(self, car, snapshot)


@pytest.mark.fleet(mode="virtual", dialect=f"{__name__}:ForgetfulDialect")
async def test_a_repetition_without_a_frame_is_not_left_out(
    fleet: World, fleet_backend: HarnessBackend, fleet_faults: Faults
) -> None:
    """It was sent, and may be stored: it counts once."""
    car = await fleet.car()
    lost = await fleet_faults.network_fault(drop="PUBACK", way="to_client")
    with fleet.stage.inside():
        fleet.shard.cars[car.vin].put(AskStatus())
    await fleet.clock.advance(seconds=10)
    await fleet_faults.clear(lost)
    await fleet.clock.advance(minutes=5)
    outbox = fleet.shard.cars[car.vin].car.outbox
    assert outbox.repeated > 0
    assert (outbox.left_out, outbox.in_outbox) == (0, 0)
    assert outbox.acknowledged == outbox.published == outbox.created
