"""The conformance kit: shipped dialects pass it, and each promise is broken by a dialect that is wrong in one thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from fleet.dialects.opening import names
from fleet.errors import Unwritable
from fleet.kernel.instants import Instant
from fleet.runtime.dialect_kit import KitReport, check_dialect
from fleet.runtime.dialect_samples import PlainEnd
from fleet.wire.dialect import CarEnd, CarFacts, Heard
from fleet.wire.fleet_dialect import FleetDialect
from fleet.wire.frame import Frame
from fleet.wire.messages import Command, Event, FromCar, Response, Status
from tests.dialects.test_spec import ACME

pytestmark = pytest.mark.xdist_group("kit")  # the samples are gathered once


@pytest.mark.parametrize("choice", [*names(), str(ACME)])
def test_what_is_shipped_conforms(choice: str) -> None:
    """Each promise is put to the proof; a dialect without commands has none to prove there."""
    report = check_dialect(choice)
    assert report.holds, "\n".join(report.lines())
    assert {check.name for check in report.checks if not check.tried} == ({"commands"} if choice == "telemetry" else set())


class Wrong(FleetDialect):
    """Ours, with an end that does one thing wrong."""

    leaves_out: frozenset[str] = frozenset()

    def __init__(self, own: FleetDialect) -> None:
        super().__init__(own.topics)

    def car_end(self, car: CarFacts, snapshot: Callable[[], Status]) -> CarEnd | None:
        return WrongEnd(self, car)

    def spoilt(self, message: FromCar) -> FromCar | None:
        """Return what is written in place of a message, None for nothing."""
        return message

    def frame(self, frame: Frame, _car: CarFacts) -> Frame:
        """Return what is published in place of a frame."""
        return frame

    def heard(self, heard: Heard) -> Heard:
        """Return what is heard in place of it."""
        return heard


class WrongEnd(PlainEnd):
    """Writes and hears as its dialect says."""

    def __init__(self, dialect: Wrong, car: CarFacts) -> None:
        super().__init__(dialect, car)
        self._wrong, self._car = dialect, car

    def write(self, message: FromCar, now: Instant) -> Sequence[Frame]:
        spoilt = self._wrong.spoilt(message)
        return [] if spoilt is None else [self._wrong.frame(frame, self._car) for frame in super().write(spoilt, now)]

    def read(self, frame: Frame, now: Instant) -> Heard:
        return self._wrong.heard(super().read(frame, now))


class LosesTrips(Wrong):
    """Loses an event."""

    def spoilt(self, message: FromCar) -> FromCar | None:
        return None if isinstance(message, Event) and message.name == "trip" else message


class DeclaresTrips(LosesTrips):
    """Loses an event, and says so."""

    leaves_out = frozenset({"events.trip"})


class LosesDoors(Wrong):
    """Loses a group of the status."""

    def spoilt(self, message: FromCar) -> FromCar | None:
        return replace(message, doors=None) if isinstance(message, Status) else message


class WritesMiles(Wrong):
    """Takes miles for kilometres."""

    def spoilt(self, message: FromCar) -> FromCar | None:
        if isinstance(message, Status) and message.mileage_km is not None:
            return replace(message, mileage_km=message.mileage_km / 1.609)
        return message


class HasNoWord(Wrong):
    """Fails on an event."""

    def spoilt(self, message: FromCar) -> FromCar | None:
        if isinstance(message, Event) and message.name == "fault":
            raise Unwritable("word", "no word for it")
        return message


class LeavesTopics(Wrong):
    """Writes where all cars do."""

    def frame(self, frame: Frame, car: CarFacts) -> Frame:
        return (
            replace(frame, topic=frame.topic.replace(car.vin, "VSSZZZK1ZZZ000001")) if frame.topic.endswith("status") else frame
        )


class LosesRefusals(Wrong):
    """Answers no refusal."""

    def spoilt(self, message: FromCar) -> FromCar | None:
        return None if isinstance(message, Response) and message.state == "rejected" else message


class TakesRefusalsForSuccess(Wrong):
    """Answers a refusal as a success."""

    def spoilt(self, message: FromCar) -> FromCar | None:
        is_refusal = isinstance(message, Response) and message.state == "rejected"
        return replace(message, state="succeeded") if is_refusal else message


class HearsOtherParameters(Wrong):
    """Takes every duration for another one."""

    def heard(self, heard: Heard) -> Heard:
        return Heard(
            tuple(
                replace(each, parameters={**each.parameters, "minutes": 77}) if isinstance(each, Command) else each
                for each in heard.messages
            )
        )


@pytest.mark.parametrize(
    ("wrong", "check", "breach"),
    [
        (LosesTrips, "messages", "event trip is not sent, and not declared in leaves_out"),
        (LosesDoors, "messages", "the status' group doors is lost, and not declared in leaves_out"),
        (WritesMiles, "messages", "comes back with another mileage_km"),
        (HasNoWord, "messages", "event fault cannot be written: word: no word for it"),
        (LeavesTopics, "topics", "fleet/v1/+/status is not the car's own"),
        (LosesRefusals, "commands", ": rejected (not_parked) is not sent, and not declared in leaves_out"),
        (TakesRefusalsForSuccess, "commands", "comes back with another state: 'succeeded' for 'rejected'"),
        (HearsOtherParameters, "commands", "arrives with another parameters.minutes: 77 for"),
    ],
)
def test_each_promise_can_be_broken(wrong: type[Wrong], check: str, breach: str) -> None:
    report = check_of(wrong)
    assert not report.holds
    (found,) = (each for each in report.checks if each.name == check)
    assert any(breach in text for text in found.breaches), "\n".join(report.lines())


def test_what_is_declared_is_no_breach() -> None:
    report = check_of(DeclaresTrips)
    assert report.holds, "\n".join(report.lines())
    assert any("left out, as declared: event trip" in line for line in report.lines())


def check_of(wrong: type[Wrong]) -> KitReport:
    return check_dialect(f"{__name__}:{wrong.__name__}")
