"""Whether what a status tells fits together: ranges and levels, services and odometer, fixes, the 12 V battery, its groups.

Source: typical values and what a car reports of the domain description; figures marked ours there are named in the words of the
checks. Statuses of a parked car before and after one drive are compared.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from fleet.checks.cars import Cars
from fleet.checks.check import Check, Handlers, is_first, is_priority
from fleet.checks.geodesy import LatLon, vincenty_m
from fleet.kernel.instants import DAY, Instant
from fleet.observe.journal import Begin, End, Input, Output
from fleet.vehicle.catalogue import Equipment

ROUNDED_PERCENT: Final = 0.051
ROUNDED_RANGE_KM: Final = 0.06
STYLE: Final = (0.92, 1.12 * 1.18)
"""A drive uses that many times what the type does: by style, in town and on motorways (ours)."""
TOWN_KM: Final = (1.0, 4.0)
TOWN_KMH: Final = (17.0, 28.0)
"""Drives of that length average about 22 km/h (ours, so that a day's driving takes 45 min)."""
TOWN_DRIVES: Final = 50
"""Fewer say nothing of how fast is driven in town."""
FASTEST_KMH: Final = 130.0
"""On average, of a drive that is no recorded track (ours)."""
ACCURACY_M: Final = (5.0, 10.0)
GPS_ERROR_M: Final = 5.0
"""Rayleigh parameter of the receiver: 39 % of fixes within it, 86 % within twice as much."""
FAR_M: Final = 60.0
FIXES: Final = 25
"""Fewer pairs of fixes of one place say nothing of the receiver."""
DEVIATIONS: Final = 5.0
INTERVALS: Final = {"fixed": (15_000, 365), "long_life": (30_000, 730)}
"""km and days from one service to the next."""
ADBLUE_KM: Final = ((2400, "none"), (1750, "low"), (900, "very_low"), (0, "critical"))
KEPT: Final = 64
HEALTH_KM: Final = 20.1

Message = dict[str, Any]


class _Standstill:
    """The reports of a parked car, to be compared after the next drive; None is not known."""

    __slots__ = ("disturbed", "drives", "parked", "trip")

    def __init__(self) -> None:
        self.parked: Message | None = None
        self.trip: Message | None = None
        self.drives = 0
        self.disturbed: deque[Instant] = deque(maxlen=KEPT)

    def is_disturbed(self, since: Instant, until: Instant) -> bool:
        """Tell whether somebody took AdBlue, or was at a station or workshop, in that time."""
        known = self.disturbed
        return any(since <= at <= until for at in known) or (len(known) == KEPT and known[0] > since)


class Drive(NamedTuple):
    """One drive between two whole statuses of the parked car, and the trip it tells.

    `disturbed`: something was taken out or filled in.
    """

    before: Message
    trip: Message
    after: Message
    equipment: Equipment | None
    disturbed: bool


class DriveCheck(Check):
    """Base of what compares the status of a parked car with the one after its next drive, and with the trip between them."""

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment]) -> None:
        """Take what is known of the cars, and their equipment by VIN as far as it is known."""
        super().__init__(begin)
        self._cars = cars
        self._equipment = equipment if begin.scenario is not None else {}  # else nobody says which cars are whole
        self._known: dict[str, _Standstill] = defaultdict(_Standstill)

    def handlers(self) -> Handlers:
        return {
            **{("out", "Transmit", kind): self._sent for kind in ("Status", "Event")},
            **{("in", name): self._disturbs for name in ("DrainTo", "DrainAdBlue")},
        }

    def _disturbs(self, record: Input, _line: int) -> None:
        self._known[record.m].disturbed.append(record.t)

    def _sent(self, record: Output, line: int) -> None:
        if not is_first(record) or is_priority(record):
            return
        message = record.data["message"]
        known = self._known[record.m]
        if record.of == "Event":
            match message["name"]:
                case "trip":
                    known.trip, known.drives = message, known.drives + 1
                case "refuelled":
                    known.disturbed.append(message["captured_at"])
                case _:
                    pass
        elif message["state"] == "parked" and "mileage_km" in message:
            if known.parked is not None:
                self._compare(record.m, known, known.parked, message, line)
            known.parked, known.trip, known.drives = message, None, 0

    def _compare(self, machine: str, known: _Standstill, before: Message, after: Message, line: int) -> None:
        trip = known.trip["data"] if known.trip is not None and known.drives == 1 else None
        if trip is not None:
            self.looked_at += 1
            disturbed = known.is_disturbed(before["captured_at"], after["captured_at"])
            drive = Drive(before, trip, after, self._equipment.get(after["vin"]), disturbed)
            for told in self.judge(drive):
                self.breach(line, machine, told)

    def judge(self, drive: Drive) -> Iterator[str]:
        """Yield what is wrong with a drive."""
        raise NotImplementedError


class LevelsAgree(DriveCheck):
    """Ranges are what levels last at the type's consumption; AdBlue falls by the drive, and warns at 2400, 1750, 900 and 0 km."""

    name = "levels"
    rule = "ranges fit the levels of fuel, charge and AdBlue; AdBlue falls by each drive, and warns by its range"
    looks_at = "drives between two whole statuses"

    def judge(self, drive: Drive) -> Iterator[str]:
        if drive.equipment is not None:
            yield from _ranges(drive.after, drive.equipment)
            if not drive.disturbed:
                yield from _adblue_gone(drive)


def _adblue_gone(drive: Drive) -> Iterator[str]:
    before, after, km = drive.before.get("adblue"), drive.after.get("adblue"), drive.trip["distance_km"]
    if before is None or after is None or not after["range_km"]:
        return
    used_km = before["range_km"] - after["range_km"]
    least, most = km * STYLE[0] - 0.2, km * STYLE[1] + 0.2
    if not least <= used_km <= most:
        yield f"{km} km have taken AdBlue for {used_km:.1f} km, expected {least:.1f} to {most:.1f}"


def _ranges(status: Message, equipment: Equipment) -> Iterator[str]:
    energy, adblue = status.get("energy", {}), status.get("adblue")
    rows = [
        ("fuel", energy.get("fuel_level_percent"), energy.get("fuel_range_km"), equipment.tank_l, equipment.fuel_l_per_100km),
        ("charge", energy.get("charge_percent"), energy.get("electric_range_km"), equipment.usable_kwh, equipment.kwh_per_100km),
    ]
    if adblue is not None:
        uses = equipment.adblue_l_per_1000km / 10
        rows.append(("AdBlue", adblue["level_percent"], adblue["range_km"], equipment.adblue_l, uses))
        wanted = next((name for above, name in ADBLUE_KM if adblue["range_km"] > above), "empty")
        if adblue["warning"] != wanted and min(abs(adblue["range_km"] - above) for above, _ in ADBLUE_KM) > ROUNDED_RANGE_KM:
            yield f"AdBlue for {adblue['range_km']} km is told as {adblue['warning']}, expected {wanted}"
    for what, level, range_km, full, uses in rows:
        if full and (level is None or range_km is None):
            yield f"the status lacks level or range of {what}"
        elif full and level is not None and range_km is not None:
            expected_km = level / 100 * full / uses * 100
            if abs(range_km - expected_km) > ROUNDED_PERCENT / 100 * full / uses * 100 + ROUNDED_RANGE_KM:
                yield f"{level} % of {what} are told to last {range_km} km, expected {expected_km:.1f}"


class ServicesCount(DriveCheck):
    """The distance to the next inspection and oil change falls as the odometer counts, and days pass, until a workshop was there.

    None is farther away than 15 000 km or a year, with LongLife 30 000 km or two years; after a service it is that.
    """

    name = "services"
    rule = "km and days to the next service fall as the car is driven and time passes; none is farther than an interval"
    looks_at = "trips between two whole statuses"

    def __init__(self, begin: Begin, cars: Cars, equipment: Mapping[str, Equipment]) -> None:
        """Take what is known of the cars, and their equipment by VIN as far as it is known."""
        super().__init__(begin, cars, equipment)
        self._serviced: dict[str, tuple[Instant, list[str]]] = {}

    def handlers(self) -> Handlers:
        return {**super().handlers(), ("out", "Transmit", "Event"): self._event}

    def _event(self, record: Output, line: int) -> None:
        self._sent(record, line)
        message = record.data["message"]
        if message["name"] == "serviced":
            self._serviced[message["vin"]] = (message["captured_at"], message["data"]["services"])

    def judge(self, drive: Drive) -> Iterator[str]:
        """Yield what is wrong with the services due after a drive."""
        before, after, equipment = drive.before, drive.after, drive.equipment
        if equipment is None or "service" not in before:
            return
        if "service" not in after:
            yield "the status lacks the services"
            return
        at, done = self._serviced.get(after["vin"], (0, []))
        driven_km = after["mileage_km"] - before["mileage_km"]
        passed = after["captured_at"] - before["captured_at"]
        km_interval, days_interval = INTERVALS[equipment.service_interval]
        for service in ("inspection", "oil_change"):
            km, days = (after["service"].get(f"{service}_{unit}") for unit in ("km", "days"))
            km_before, days_before = (before["service"].get(f"{service}_{unit}") for unit in ("km", "days"))
            if km is None or km_before is None or days is None or days_before is None:
                continue
            if km > km_interval + 0.1 or days > days_interval:
                yield f"{service} is {km} km and {days} days away, but comes each {km_interval} km or {days_interval} days"
            if service in done and at >= before["captured_at"]:
                if (
                    not km_interval - driven_km - 0.2 <= km <= km_interval + 0.1
                    or not 0 <= days_interval - days <= passed / DAY + 1
                ):
                    yield f"{service} was done, and is {km} km and {days} days away, expected {km_interval} and {days_interval}"
                continue
            if abs(km_before - km - driven_km) > 0.12:
                yield f"{service} was {km_before} km away, and is {km} after {driven_km:.1f} km"
            if not -(-passed // DAY) >= days_before - days >= passed // DAY:
                yield f"{service} was {days_before} days away, and is {days} after {passed / DAY:.1f} days"


class SpeedsPlausible(Check):
    """A drive averages at most 130 km/h, all of 1 to 4 km together about 22 (ours); recorded tracks are as they were driven."""

    name = "speeds"
    rule = "a drive averages at most 130 km/h, and all of 1 to 4 km together 17 to 28"
    looks_at = "trips"

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._tracks = any(fleet.get("tracks") for fleet in (begin.scenario or {}).get("fleets", ()))
        self._drives = 0
        self._sum_kmh = 0.0

    def handlers(self) -> Handlers:
        return {} if self._tracks else {("out", "Transmit", "Event"): self._event}

    def _event(self, record: Output, line: int) -> None:
        event = record.data["message"]
        if event["name"] != "trip" or not is_first(record):
            return
        self.looked_at += 1
        km, kmh = event["data"]["distance_km"], event["data"]["average_speed_kmh"]
        if kmh > FASTEST_KMH:
            self.breach(line, record.m, f"a trip of {km} km averages {kmh} km/h")
        if TOWN_KM[0] <= km <= TOWN_KM[1]:
            self._drives += 1
            self._sum_kmh += kmh

    def finish(self, end: End | None, line: int) -> None:  # noqa: ARG002 (however many there are)
        """Judge those in town together."""
        if self._drives >= TOWN_DRIVES and not TOWN_KMH[0] <= self._sum_kmh / self._drives <= TOWN_KMH[1]:
            told = f"{self._drives} trips of {TOWN_KM[0]:g} to {TOWN_KM[1]:g} km average {self._sum_kmh / self._drives:.1f} km/h"
            self.breach(line, "run", told, subject="all cars")


class FixesAgree(Check):
    """A fix is of the moment of the status, or of that at which the car was parked, and then stays; it says 5 to 10 m of itself.

    Two fixes of a car whose odometer has not moved differ by what the receiver errs: 5 m (Rayleigh), over all such pairs, and
    never by 60.
    """

    name = "fixes"
    rule = "a fix is of its time, says 5 to 10 m of itself, stays while the car is parked, and errs by 5 m"
    looks_at = "statuses with a position"

    def __init__(self, begin: Begin, equipment: Mapping[str, Equipment]) -> None:
        """Take the cars' equipment by VIN, as far as it is known."""
        super().__init__(begin)
        self._equipment = equipment if begin.scenario is not None else {}  # else nobody says which cars are whole
        self._last: dict[str, Message] = {}
        self._pairs = 0
        self._squares_m2 = 0.0

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Status"): self._status}

    def _status(self, record: Output, line: int) -> None:
        message = record.data["message"]
        fix = message.get("position")
        if not is_first(record) or "mileage_km" not in message or message["vin"] not in self._equipment:
            return
        if fix is None:
            self._last.pop(record.m, None)
            return
        self.looked_at += 1
        before = self._last.get(record.m)
        self._last[record.m] = message
        for told in _fixed(fix, message):
            self.breach(line, record.m, told)
        if before is not None and before["mileage_km"] == message["mileage_km"]:
            for told in self._same_place(before, message):
                self.breach(line, record.m, told)

    def _same_place(self, before: Message, message: Message) -> Iterator[str]:
        one, other = before["position"], message["position"]
        if one["fixed_at"] == other["fixed_at"]:
            # A car that sends its status at intervals may do so in the very instant in which it is parked.
            if one != other and {"parked_at": other["fixed_at"], **one} != other:
                yield f"the fix of one instant is {one}, and then {other}"
            return
        if before["state"] == message["state"] == "parked" and one.get("parked_at") == other.get("parked_at"):
            yield f"a parked car has a fix of {one['fixed_at']}, and then of {other['fixed_at']}"
        apart_m = vincenty_m(_place(before), _place(message))
        if apart_m > FAR_M:
            yield f"the car has not moved, but its fixes are {apart_m:.0f} m apart"
        self._pairs += 1
        self._squares_m2 += apart_m * apart_m

    def finish(self, end: End | None, line: int) -> None:  # noqa: ARG002 (however many there are)
        """Judge the receiver: the square of the distance of two fixes is 4 times that of its parameter, on average."""
        if self._pairs < FIXES:
            return
        expected_m2 = 4 * GPS_ERROR_M**2
        mean_m2 = self._squares_m2 / self._pairs
        if abs(mean_m2 - expected_m2) > DEVIATIONS * expected_m2 / math.sqrt(self._pairs):
            errs_m = math.sqrt(mean_m2 / 4)
            self.breach(line, "run", f"over {self._pairs} pairs of fixes receivers err by {errs_m:.1f} m, expected {GPS_ERROR_M}")


def _fixed(fix: Message, message: Message) -> Iterator[str]:
    if not ACCURACY_M[0] <= fix["accuracy_m"] <= ACCURACY_M[1]:
        yield f"the accuracy of the fix is {fix['accuracy_m']} m, expected {ACCURACY_M[0]:g} to {ACCURACY_M[1]:g}"
    if message["state"] == "parked":
        if fix.get("parked_at") != fix["fixed_at"] or fix["fixed_at"] > message["captured_at"]:
            yield f"the fix of a parked car is of {fix['fixed_at']}, parked at {fix.get('parked_at')}"
        elif message["trigger"] == "engine_off" and fix["fixed_at"] != message["captured_at"]:
            yield "the fix at engine off is not of that instant"
    elif "parked_at" in fix or fix["fixed_at"] != message["captured_at"]:
        yield "with the engine on the fix is not of the instant of the status"


class VoltageAgrees(Check):
    """The 12 V battery tells 11.8 V (empty) to 12.8 V (full) at rest, and 14.2 V while engine or plug charge it (ours)."""

    name = "voltage"
    rule = "12 V battery: 11.8 to 12.8 V by its charge at rest, 14.2 V while it is charged; a whole status has it"
    looks_at = "whole statuses"

    def __init__(self, begin: Begin, equipment: Mapping[str, Equipment]) -> None:
        """Take the cars' equipment by VIN, as far as it is known."""
        super().__init__(begin)
        self._equipment = equipment if begin.scenario is not None else {}  # else nobody says which cars are whole

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Status"): self._status}

    def _status(self, record: Output, line: int) -> None:
        message = record.data["message"]
        battery = message.get("low_voltage")
        if not is_first(record) or battery is None or message["vin"] not in self._equipment:
            return
        self.looked_at += 1
        charge = battery["charge_percent"]
        fed = message["state"] != "parked" or message.get("charging", {}).get("plugged_in", False)
        expected_v = 14.2 if fed else 11.8 + charge / 100
        if not 0 <= charge <= 100 or abs(battery["voltage_v"] - expected_v) > 0.0101:
            told = f"{charge} % and {battery['voltage_v']} V, expected {expected_v:.2f} V {'while charged' if fed else 'at rest'}"
            self.breach(line, record.m, f"the 12 V battery tells {told}")


class StatusWhole(Check):
    """A status at engine off, on request, or asked for by load has all that such a car can tell, by its energy and switch.

    Driving data are there after a trip, the health report at an engine off with coverage after 20 km. A position is there in a
    run in which nobody's privacy holds it back.
    """

    name = "whole status"
    rule = "a status at engine off or on request has every group that such a car has"
    looks_at = "whole statuses"
    remembers = True
    WHOLE: Final = frozenset({"engine_off", "refresh", "load"})
    GROUPS: Final = ("mileage_km", "energy", "service", "doors", "windows", "lights", "climate", "low_voltage")

    def __init__(self, begin: Begin, equipment: Mapping[str, Equipment]) -> None:
        """Take the cars' equipment by VIN, as far as it is known."""
        super().__init__(begin)
        self._equipment = equipment if begin.scenario is not None else {}  # else nobody says which cars are whole
        self._open = not any(fleet.get("privacy") for fleet in (begin.scenario or {}).get("fleets", ()))
        self._closed: set[str] = set()
        self._driven_km: dict[str, float] = {}

    def handlers(self) -> Handlers:
        return {
            ("out", "Transmit", "Status"): self._status,
            ("out", "Transmit", "Event"): self._event,
            **{("in", name): self._closes for name in ("SetPrivacy", "ResetCar", "DeleteUser")},
            ("in", "Received", "Command"): self._commanded,
        }

    def _closes(self, record: Input, _line: int) -> None:
        self._closed.add(record.m)

    def _commanded(self, record: Input, line: int) -> None:
        if record.data["message"]["name"] in {"reset", "enrol_user"}:
            self._closes(record, line)

    def _event(self, record: Output, _line: int) -> None:
        event = record.data["message"]
        if event["name"] == "trip" and is_first(record):
            self._driven_km[record.m] = self._driven_km.get(record.m, 0.0) + event["data"]["distance_km"]

    def _status(self, record: Output, line: int) -> None:
        message = record.data["message"]
        equipment = self._equipment.get(message["vin"])
        if message["trigger"] not in self.WHOLE or not is_first(record) or equipment is None:
            return
        self.looked_at += 1
        wanted = set(self.GROUPS)
        driven_km, closed = self._driven_km.get(record.m, 0.0), record.m in self._closed
        reachable = record.data["due_at"] == message["captured_at"]
        wanted |= {"position"} if self._open and not closed else set()
        wanted |= {"driving"} if driven_km and not closed else set()
        wanted |= (
            {"health"} if driven_km > HEALTH_KM and message["trigger"] == "engine_off" and reachable and not closed else set()
        )
        wanted |= {"charging"} if equipment.energy in {"e-hybrid", "electric"} else set()
        wanted |= {"adblue"} if equipment.energy == "diesel" else set()
        if missing := {name for name in wanted if message.get(name) is None}:
            self.breach(line, record.m, f"the status lacks {', '.join(sorted(missing))}")


class LeavingShares(Check):
    """How drivers leave their cars, all together: 2 % with a window open, 0.4 % with the lights on, 0.4 % with the boot open.

    Of the others 3 % are unlocked (all ours). Fewer than a thousand say nothing of it.
    """

    name = "leaving"
    rule = (
        "of 100 cars that are left, 2 have a window open, 3.4 are unlocked, 0.4 have lights or boot left, in a thousand of them"
    )
    looks_at = "cars left"
    SHARES: Final = {"a window open": 0.02, "the lights on": 0.004, "the boot open": 0.004, "it unlocked": 0.034}
    ENOUGH: Final = 1_000
    DEVIATIONS: Final = 4.2

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._counts = dict.fromkeys(self.SHARES, 0)

    def handlers(self) -> Handlers:
        return {} if self.begin.scenario is None else {("out", "Transmit", "Status"): self._status}

    def _status(self, record: Output, _line: int) -> None:
        message = record.data["message"]
        if message["trigger"] != "left" or not is_first(record):
            return
        doors = message.get("doors")
        if doors is None or not {"windows", "lights"} <= message.keys():
            return  # `whole status` says so
        self.looked_at += 1
        seen = {
            "a window open": any(message["windows"].values()),
            "the lights on": message["lights"]["parking_lights_on"],
            "the boot open": doors["boot"]["open"],
            "it unlocked": not doors["front_left"]["locked"],
        }
        for what, is_so in seen.items():
            self._counts[what] += is_so

    def finish(self, end: End | None, line: int) -> None:  # noqa: ARG002 (however many there are)
        """Judge them all together."""
        for what, share in self.SHARES.items() if self.looked_at >= self.ENOUGH else ():
            expected, slack = share * self.looked_at, self.DEVIATIONS * math.sqrt(share * (1 - share) * self.looked_at)
            if abs(self._counts[what] - expected) > slack:
                told = (
                    f"{self._counts[what]} of {self.looked_at} left their car with {what}, expected {expected:.0f} ± {slack:.0f}"
                )
                self.breach(line, "run", told, subject="all cars")


def _place(message: Message) -> LatLon:
    return message["position"]["latitude"], message["position"]["longitude"]
