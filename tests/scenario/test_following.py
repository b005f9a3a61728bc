"""Cars that follow a track: where the track was when, with odometer and fuel as the way asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import UsageError
from fleet.kernel.instants import HOUR, MINUTE, SECOND, Instant
from fleet.runtime.car_facts import car_facts
from fleet.vehicle.geo import distance_m, offset
from fleet.vehicle.track import ENGINE_LEAD
from fleet.wire.messages import Event
from tests.runtime.stage_lab import StageLab, staged

HOME = (48.14, 11.58)
RECORDED = 1_714_979_400 * SECOND
Points = list[tuple[float, float, Instant]]


def way(points: Points, seconds: int, east_m: float, north_m: float = 0.0) -> None:
    """Go on from the last point: a fix every 10 s."""
    latitude, longitude, at = points[-1]
    for number in range(1, seconds // 10 + 1):
        share = number * 10 / seconds
        points.append((*offset(latitude, longitude, east_m * share, north_m * share), at + number * 10 * SECOND))


def two_drives() -> Points:
    """Five minutes east, ten minutes parked with a restless receiver, then four minutes north."""
    points: Points = [(*HOME, 1_000 * SECOND)]
    way(points, 300, 3_000)
    for _ in range(3):
        way(points, 100, 15)
        way(points, 100, -15)
    way(points, 240, 0, 2_000)
    return points


def csv_of(points: Points) -> str:
    rows = (f"{latitude:.8f},{longitude:.8f},{(RECORDED + at) / SECOND}\n" for latitude, longitude, at in points)
    return "lat,lon,time\n" + "".join(rows)


def following(folder: Path, points: Points, more: str = "", at: str = "") -> StageLab:
    (folder / "track.csv").write_text(csv_of(points), encoding="utf-8")
    tracks = f"tracks: {{files: [{folder / 'track.csv'}]{at}}}"
    return StageLab(
        staged(more, fleets=f"  - {{name: one, count: 2, models: {{Leon: 1}}, energies: {{Leon: {{petrol: 1}}}}, {tracks}}}\n")
    )


def test_cars_are_where_the_track_was(tmp_path: Path) -> None:
    """At any instant, odometer and state included; the receiver's restlessness does not drive a parked car."""
    points = two_drives()
    lab = following(tmp_path, points, at=", at: 10 min")
    car = lab.cars[0]
    assert distance_m(*HOME, *car.true_position(lab.start)) < 1
    odometer = car.levels(lab.start).odometer_m
    fuel = car_facts(car, lab.start)["fuel_percent"]
    lab.pass_for(10 * MINUTE + ENGINE_LEAD)
    for number in range(1, 112):
        lab.pass_for(10 * SECOND)
        latitude, longitude, _ = points[number]
        assert distance_m(latitude, longitude, *car.true_position(lab.clock.now())) < 60
        if 35 < number < 85:
            assert car.state(lab.clock.now()) == "parked"
    lab.pass_for(5 * MINUTE)
    now = lab.clock.now()
    assert car.state(now) == "parked"
    assert car.levels(now).odometer_m - odometer == pytest.approx(5_000, rel=0.02)
    after = car_facts(car, now)["fuel_percent"]
    assert isinstance(after, float)
    assert isinstance(fuel, float)
    assert 0 < fuel - after < 3
    trips = [event for event in lab.messages(car) if isinstance(event, Event) and event.name == "trip"]
    assert [round(trip.data["distance_km"]) for trip in trips] == [3, 2]


def test_a_car_that_is_elsewhere_comes_by_road(tmp_path: Path) -> None:
    """The timeline has sent it away: it goes to where the track's next drive ends, and nobody jumps."""
    more = "timeline: [{at: 6 min, do: drive, to: 2 km, cars: {index: 0}}]\n"
    lab = following(tmp_path, two_drives(), more)
    car, other = lab.cars
    before = car.true_position(lab.clock.now())
    for _ in range(600):
        lab.pass_for(5 * SECOND)
        here = car.true_position(lab.clock.now())
        assert distance_m(*before, *here) < 5 * 60
        before = here
    assert distance_m(*before, *other.true_position(lab.clock.now())) < 1


def test_a_low_car_is_filled_up_before_it_follows(tmp_path: Path) -> None:
    """Its track knows no station."""
    lab = following(tmp_path, two_drives(), "timeline: [{at: 1 min, do: low_fuel}]\n", at=", at: 10 min")
    lab.pass_for(HOUR - 1)
    names = [event.name for event in lab.messages(lab.cars[0]) if isinstance(event, Event)]
    assert names.count("refuelled") == 1
    assert names.count("trip") == 2


def test_a_track_that_goes_nowhere_is_refused(tmp_path: Path) -> None:
    """A receiver on a table is no drive."""
    points: Points = [(*HOME, 0)]
    way(points, 300, 30)
    with pytest.raises(UsageError, match="no drive in it"):
        following(tmp_path, points)
