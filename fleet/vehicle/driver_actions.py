"""The actions of a driver: get in, drive, refuel on the way, switch off, walk away, plug in.

Functions on a car, called when its agenda or an input says so. What they decide by chance comes from the car's
own streams, told apart by the number of the drive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from fleet.kernel.draws import Draws
from fleet.kernel.instants import HOUR, MINUTE, SECOND, Instant
from fleet.vehicle import ports
from fleet.vehicle.driver import PlannedTrip, Purpose
from fleet.vehicle.geo import DETOUR_MOST, Path, distance_m, road_path
from fleet.vehicle.journey import DRIVE, Journey
from fleet.vehicle.kinematics import speed_plan
from fleet.vehicle.leaving import Leaving, leaving_habits
from fleet.vehicle.low_voltage import LowVoltageBattery
from fleet.vehicle.powertrain import CHARGE_GROUPS
from fleet.vehicle.region import Place, PlaceKind
from fleet.vehicle.services import hooks
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.track import ENGINE_LEAD, TrackProfile, TrackTrip

SAME_PLACE_M: Final = 50.0
"""Nobody drives less than this (ours)."""
PLUGS_IN_AT_HOME: Final = 0.8
"""Share of arrivals at home after which an electric car is plugged in (ours)."""
STATION_WITHIN: Final = 0.5
"""Share of the shown range within which a driver stops at a station: the road there winds, and may cost more (ours)."""
NEAR_TRACK_M: Final = 200.0
"""A driver who is farther away from where the track goes on drives to the end of its drive by a road (ours)."""
STATION_STOP: Final = 6 * MINUTE
LEFT_GROUPS: Final = ("doors", "windows", "lights")
LEAVE: Final = "leave"
"""Key of the timer after which the driver has walked away."""


class Ports(hooks.Ports, ports.Commanded, Protocol):
    """A car in the hands of its driver."""

    place: Place
    settings: CarSettings
    low_voltage: LowVoltageBattery

    def set_coverage(self, covered: bool, now: Instant) -> None:
        """Have coverage at this place or not."""

    def set_dead_zone(self, inside: bool, now: Instant) -> None:
        """Drive into a dead zone or out of it."""

    def start_next_trip_at(self, at: Instant) -> None:
        """Have the next trip of the plan begin then."""

    def count_trip(self) -> int:
        """Number the drive that starts now."""

    def arrive(self, place: Place | None, true_position: tuple[float, float]) -> None:
        """Be at a place, or (None) somewhere by the road."""

    def park(self, now: Instant, place: Place | None) -> None:
        """Stand with the engine off."""


# --- starting


def start_planned(car: Ports, now: Instant) -> None:
    """Start the next trip of the plan, by way of a station when the car needs one."""
    trip = car.trips.next()
    if trip is None:
        return
    locked_until = hooks.locked_until(car)
    if locked_until is not None:
        car.start_next_trip_at(locked_until)
        return
    here = car.true_position(now)
    if isinstance(trip, TrackTrip) and distance_m(*here, *trip.path.points[0]) <= NEAR_TRACK_M:
        _follow_track(car, trip, now)
        return
    path = road_path(_draws(car, "path"), here, trip.destination.position)
    if path.length_m < SAME_PLACE_M:
        car.trips.strike()
        car.plan_next_trip(now)
    elif car.powertrain.must_stop_for_energy(now, path.length_m):
        _drive_to_station(car, path, now)
    else:
        car.trips.strike()
        _drive(car, path, trip.destination, trip.purpose, now)


def _follow_track(car: Ports, trip: TrackTrip, now: Instant) -> None:
    """Drive as the track was driven; a car that is low is filled up where it stands, since its track knows no station."""
    if car.powertrain.must_stop_for_energy(now, trip.path.length_m):
        _refill(car, now)
    car.trips.strike()
    _drive(car, trip.path, trip.destination, trip.purpose, now, track=trip.profile)


def drive_to(car: Ports, place: Place, purpose: Purpose, now: Instant) -> None:
    """Drive to a place before all else that is planned; does nothing while another drive is under way."""
    if car.journey is None:
        car.trips.put_first((PlannedTrip(now, place, purpose),))
        start_planned(car, now)


def drive_legs(car: Ports, legs: Sequence[PlannedTrip], now: Instant) -> None:
    """Drive one leg after the other, before all else that is planned."""
    car.trips.put_first(legs)
    start_planned(car, now)


def _drive_to_station(car: Ports, path: Path, now: Instant) -> None:
    """Drive to the nearest station that the region knows within reach, or else to one that lies on the way."""
    reach_m = STATION_WITHIN * sum(car.powertrain.range_m(car.levels(now)))
    draws = _draws(car, "station")
    here = path.position_at(0.0)
    station = car.driver.region.station_near(here, _station_kind(car), reach_m / DETOUR_MOST)
    if station is not None:
        _drive(car, road_path(draws, here, station.position), station, "station", now)
    else:
        _drive(car, _path_to_station(draws, path, reach_m), None, "station", now)


def _station_kind(car: Ports) -> PlaceKind:
    return "petrol_station" if car.equipment.tank_l else "charging_station"


def _path_to_station(draws: Draws, path: Path, reach_m: float) -> Path:
    """Return a road to a station that lies on the way and within reach."""
    nearby_m = draws.uniform(800, 4_000)
    far_enough = path.length_m > reach_m > 4 * nearby_m
    at_m = min(reach_m if far_enough else nearby_m, 0.6 * path.length_m)
    return road_path(draws, path.position_at(0.0), path.position_at(at_m))


def _drive(car: Ports, path: Path, place: Place | None, purpose: str, now: Instant, *, track: TrackProfile | None = None) -> None:
    """Start the engine and drive along `path`, to `place` or (None) to a station at its end, as a `track` says it was driven."""
    if not car.engine_is_on and not _engine_on(car, now):
        return
    index = car.count_trip()
    draws = car.draws("drive", index)
    if place is None:
        latitude, longitude = path.position_at(path.length_m)
        place = Place(latitude, longitude, "on the way", _station_kind(car))
    profile = track or speed_plan(draws, path.length_m)
    lead = int(draws.uniform(5, 25) * SECOND)
    journey = Journey(
        path=path,
        profile=profile,
        started_at=now,
        move_at=now + (lead if track is None else ENGINE_LEAD),
        place=place,
        purpose=purpose,
        station=purpose == "station",
    )
    car.journey = journey
    car.powertrain.begin_drive(draws, path.length_m / 1000 / (profile.duration_us / HOUR))
    car.agenda.call(journey.arrive_at + int(draws.uniform(3, 20) * SECOND), _arrived, key=DRIVE)
    car.agenda.call(journey.move_at + 15 * SECOND, _coverage_changed, True, key=DRIVE)
    _plan_dead_zones(car, journey)
    hooks.drive_planned(car, journey, now)
    if draws.chance(car.settings.hole_share):
        begins = journey.move_at + 20 * SECOND + int(profile.duration_us * draws.uniform(0.1, 0.6))
        car.agenda.call(begins, _coverage_changed, False, key=DRIVE)
        car.agenda.call(begins + int(profile.duration_us * draws.uniform(0.05, 0.3)), _coverage_changed, True, key=DRIVE)


def _plan_dead_zones(car: Ports, journey: Journey) -> None:
    """Put into the agenda when the drive enters and leaves the dead zones; where they overlap they are one."""
    if not car.settings.dead_zones:
        return
    stretches = sorted(
        stretch
        for zone in car.settings.dead_zones
        for stretch in journey.path.stretches_within((zone.latitude, zone.longitude), zone.radius_m)
    )
    reached_m = -1.0
    for number, (enter_m, leave_m) in enumerate(stretches):
        if enter_m > reached_m:
            car.agenda.call(journey.reached_at(enter_m), _dead_zone_passed, True, key=DRIVE)
        reached_m = max(reached_m, leave_m)
        is_last = number + 1 == len(stretches) or stretches[number + 1][0] > reached_m
        if is_last and reached_m < journey.length_m:
            car.agenda.call(journey.reached_at(reached_m), _dead_zone_passed, False, key=DRIVE)


def _coverage_changed(car: Ports, covered: bool, now: Instant) -> None:
    """A hole in the network begins or ends."""
    car.set_coverage(covered, now)


def _dead_zone_passed(car: Ports, inside: bool, now: Instant) -> None:
    """A dead zone begins or ends."""
    car.set_dead_zone(inside, now)


def switch_on(car: Ports, now: Instant) -> None:
    """Start the engine and stay; does nothing when it runs."""
    if not car.engine_is_on:
        _engine_on(car, now)


def _engine_on(car: Ports, now: Instant) -> bool:
    """Get in, unplug, start; False when the engine does not start, and the car is left as it was."""
    reason = hooks.forbids_start(car, now)
    if reason is not None:
        car.send_event("engine_not_started", now, {"reason": reason})
        return False
    car.agenda.cancel(LEAVE)
    car.body.get_in()
    hooks.driver_gets_in(car, now)
    hooks.engine_starts(car, now)
    car.powertrain.settle(now)
    car.low_voltage.start_engine(now)
    car.engine_is_on = True
    car.remote.wake_ups = 0
    car.leave_deep_sleep(now)
    car.send_event("engine_on", now)
    hooks.engine_started(car, now)
    return True


# --- stopping


def _arrived(car: Ports, _data: None, now: Instant) -> None:
    """The drive has come to its end."""
    switch_off(car, now)


def switch_off(car: Ports, now: Instant) -> None:
    """End the drive here and switch the engine off: the car sends what it is now. Does nothing when it is off."""
    if not car.engine_is_on:
        return
    journey, car.journey = car.journey, None
    car.agenda.cancel(DRIVE)
    driven_m = 0.0
    if journey is not None:
        journey.cut(now)
        driven_m = journey.length_m
        if driven_m:
            car.arrive(journey.place, journey.position_at(now))
    before = car.powertrain.levels(now)
    after = car.powertrain.settle(now, driven_m)
    car.low_voltage.stop_engine(now)
    car.engine_is_on = False
    car.park(now, journey.place if journey is not None else None)
    hooks.engine_stops(car, now)
    car.send_event("engine_off", now)
    if journey is not None:
        hooks.trip_ended(car, journey, before, after, now)
    car.send_status("engine_off", now)
    hooks.engine_stopped(car, now)
    habits = leaving_habits(_draws(car, "leaving"))
    car.agenda.replace(LEAVE, now + int(habits.delay_s * SECOND), leave, (habits, journey is not None and journey.station))


def leave(car: Ports, data: tuple[Leaving, bool], now: Instant) -> None:
    """Walk away: lock up well or badly, refuel or plug in where one does that, and tell what has changed."""
    habits, at_station = data
    if hooks.strands(car):
        return  # nobody locks up, plugs in or goes on from here
    car.body.leave(habits)
    car.low_voltage.light(now, on=car.body.lights_on)
    groups: tuple[str, ...] = LEFT_GROUPS
    if at_station:
        _refill(car, now)
        groups += ("energy", "adblue")
    elif car.place.kind == "home" and car.equipment.usable_kwh and _draws(car, "plug").chance(PLUGS_IN_AT_HOME):
        hooks.driver_plugs_in(car, now)
        groups += CHARGE_GROUPS
    car.stay_awake(now)
    car.send_status("left", now, groups)
    hooks.driver_left(car, now)
    car.plan_next_trip(now + (STATION_STOP if at_station else MINUTE))


def _refill(car: Ports, now: Instant) -> None:
    """Fill the car up and say so."""
    car.send_event("refuelled", now, car.powertrain.refill(now))
    hooks.refilled(car, now)


def drain(car: Ports, share: float, now: Instant) -> None:
    """Take fuel or charge out of the car; what was planned by its levels is planned anew."""
    if not car.engine_is_on:
        car.powertrain.settle(now)  # what it charges from now on depends on the charge that is left
    car.powertrain.drain(share, car.levels(now))
    hooks.fuel_changed(car, now)


def _draws(car: Ports, purpose: str) -> Draws:
    """Open a stream for the drive that is next, or was last."""
    return Draws(car.key, purpose, car.trips.count)
