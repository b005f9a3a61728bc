"""Fleets of different dialects on one broker: each frame in its own, each car written to in its own."""

from __future__ import annotations

from itertools import permutations

import pytest
from msgspec.structs import replace

from fleet.dialects.many import ManyDialects
from fleet.dialects.opening import open_named
from fleet.errors import Undecodable
from fleet.runtime.dialects import dialect_of_all
from fleet.wire.dialect import CarFacts, Dialect
from fleet.wire.fleet_dialect import FleetDialect, json_codec
from fleet.wire.messages import Command, Event, FromCar, Status
from fleet.wire.topics import Topics
from tests.dialects.pieces import PiecesDialect
from tests.dialects.statuses import whole_status

OURS, THEIRS = "VSSZZZKMZRR000001", "VSSZZZKMZRR000002"


def event(vin: str) -> FromCar:
    return Event(vin=vin, boot=1, seq=1, captured_at=0, name="engine_on")


def command(vin: str) -> Command:
    return Command(id="c", vin=vin, name="honk", issued_at=0, expires_at=1)


def snapshot() -> Status:
    return Status(vin=THEIRS, boot=1, seq=0, captured_at=0, trigger="refresh", state="parked")


def made() -> tuple[ManyDialects, FleetDialect, PiecesDialect]:
    own, other = FleetDialect(), PiecesDialect(FleetDialect(Topics("other"), json_codec()))
    return ManyDialects(own, {"ours": own, "theirs": other}), own, other


def test_a_frame_is_read_in_the_dialect_of_its_topic() -> None:
    both, own, other = made()
    assert both.read_from_car(own.from_car(event(OURS))) == event(OURS)
    assert both.read_from_car(other.from_car(event(THEIRS))) == event(THEIRS)
    assert both.name == "fleet+pieces"


def test_a_car_is_written_to_in_the_dialect_in_which_it_was_heard() -> None:
    """In ours before it was heard at all."""
    both, own, other = made()
    assert both.to_car(THEIRS, command(THEIRS)) == own.to_car(THEIRS, command(THEIRS))
    both.read_from_car(other.from_car(event(THEIRS)))
    assert both.to_car(THEIRS, command(THEIRS)) == other.to_car(THEIRS, command(THEIRS))
    assert both.read_to_car(other.to_car(THEIRS, command(THEIRS))) == command(THEIRS)


def test_each_fleets_cars_have_the_end_of_its_dialect() -> None:
    both, _, _ = made()
    assert both.car_end(CarFacts(vin=OURS, client_id=OURS, fleet="ours"), snapshot) is None
    assert both.car_end(CarFacts(vin=THEIRS, client_id=THEIRS, fleet="theirs"), snapshot) is not None
    assert both.status_writer is None


def test_topics_are_those_of_all_and_the_desks_are_ours() -> None:
    both, own, _other = made()
    filters = [each for each, _ in both.topics.backend_subscriptions()]
    assert "fleet/v1/+/status" in filters
    assert "other/+/status" in filters
    assert len(filters) == len(set(filters))
    assert both.topics.desk_request() == own.topics.desk_request()
    assert both.topics.kind_of(f"other/{THEIRS}/status") == "other/+/status"
    assert both.topics.belongs_to(f"other/{THEIRS}/x", THEIRS)
    assert not both.topics.belongs_to(f"other/{THEIRS}/x", OURS)


def test_a_topic_of_nobody_is_refused() -> None:
    both, own, _ = made()
    strange = own.from_car(event(OURS))
    with pytest.raises(Undecodable, match="topic"):
        both.topics.parse("elsewhere/x")
    with pytest.raises(Undecodable, match="topic"):
        both.read_from_car(type(strange)(topic="elsewhere/x", payload=b"", user_properties=()))


@pytest.mark.parametrize(("first", "second"), [*permutations(("fleet", "json", "vss", "homeassistant"), 2)])
def test_dialects_that_share_topics_are_told_by_what_can_be_read(first: str, second: str) -> None:
    """Whichever is named first, and whatever came before: each status arrives, and each car is written to in its own."""
    both = dialect_of_all([first, second])
    for vin, choice in ((OURS, first), (THEIRS, second)):
        for seq in (1, 2):
            status = replace(whole_status(seq=seq), vin=vin)
            assert _last_read(both, choice, event(vin), status) == event(vin)
            found = _last_read(both, choice, status, status)
            assert isinstance(found, Status)
            assert (found.vin, found.seq, found.mileage_km) == (vin, seq, status.mileage_km)


def _last_read(both: Dialect, choice: str, message: FromCar, status: Status) -> FromCar | None:
    """Return what comes of a message in the dialect of a name."""
    dialect = open_named(choice)
    end = dialect.car_end(CarFacts(vin=message.vin, client_id=message.vin), lambda: status)
    frames = [dialect.from_car(message)] if end is None else end.write(message, 0)
    found = [both.read_from_car(frame) for frame in frames]
    return next((each for each in reversed(found) if each is not None), None)
