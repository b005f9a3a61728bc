"""Calls from the car: the emergency call, automatic or by hand, the breakdown call and the information call.

An eCall is law: it works in every privacy mode and before all else. Its fields are those of the minimum set of data of
EN 15722 as far as a simulated car has them; here it needs the network of the outbox unit, where a real one takes any.
After a crash the car stands with its engine off and its doors unlocked, and cannot be started before it is repaired (ours).
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, Protocol

from fleet.kernel.instants import MINUTE, SECOND, Instant
from fleet.vehicle.body import Body
from fleet.vehicle.journey import Journey
from fleet.vehicle.kept import find, obtain
from fleet.vehicle.services import health, privacy
from fleet.vehicle.services.health import report
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Refusal
from fleet.vehicle.trips import Trips
from fleet.wire.commands import CommandType
from fleet.wire.messages import Position, Reply

Sensor = Literal["airbag", "belt_tensioner"]
CallName = Literal["breakdown_call", "info_call"]

PROPULSION: Final = {
    "petrol": ("gasoline",), "diesel": ("diesel",), "e-hybrid": ("gasoline", "electric"), "electric": ("electric",),
}  # fmt: skip
"""The energy storages of EN 15722 by our energies."""
TRUSTED_WITHIN_M: Final = 150.0
"""A position can be trusted when it is within this with a probability of 95 % (EN 15722)."""
AT_95_PERCENT: Final = 2.45
"""Of a Rayleigh distribution 95 % lie within so many times its parameter, which the receiver tells as its accuracy."""
RECENT: Final = (5 * SECOND, 10 * SECOND)
"""How long before the call the two earlier positions were measured (ours)."""
OCCUPANTS: Final = (0.66, 0.24, 0.06, 0.03, 0.01)
"""Shares of cars with 1 to 5 people in them (ours; about 1.5 on average, as surveys of traffic have it)."""
ANSWERED_WITHIN: Final = 5 * MINUTE
"""Then a driver who was not connected with anybody hangs up (ours)."""


class Told(NamedTuple):
    """The last display to the driver of how a call ended."""

    call: CallName
    state: Literal["connected", "failed", "unknown"]
    reason: str | None


class Calls:
    """The calls of a car that has made one; `waiting` are those that nobody has answered yet, by id."""

    __slots__ = ("crashed", "made", "told", "waiting")

    def __init__(self) -> None:
        self.made = 0
        self.crashed = False
        self.waiting: dict[str, CallName] = {}
        self.told: Told | None = None


class Ports(privacy.Ports, health.Ports, Protocol):
    """All that a call tells of the car."""

    body: Body
    journey: Journey | None
    trips: Trips

    @property
    def registered_in(self) -> str:
        """The country where the car is registered."""

    def plan_next_trip(self, not_before: Instant) -> None:
        """Put the next trip of the day into the agenda."""


def _next_id(car: Ports) -> str:
    calls = obtain(car, Calls)
    calls.made += 1
    return f"{car.outbox.boot:x}-call-{calls.made}"


# --- emergency


def crash(car: Ports, sensor: Sensor, now: Instant) -> bool:
    """Call for help by itself; True when the engine must stop now. The sensors of a parked car sleep (ours)."""
    if not car.engine_is_on:
        return False
    _emergency(car, now, sensor)
    obtain(car, Calls).crashed = True
    car.body.locked = False
    return True


def press(car: Ports, button: Literal["sos", "breakdown", "info"], now: Instant) -> None:
    """Make the call of a button."""
    match button:
        case "sos":
            _press_sos(car, now)
        case "breakdown":
            _press_breakdown(car, now)
        case "info":
            _press_info(car, now)


def _press_sos(car: Ports, now: Instant) -> None:
    """Somebody in the car calls for help; that wakes it from any sleep, and it stays reachable until the next drive (ours)."""
    car.stay_awake(now)
    car.leave_deep_sleep(now)
    _emergency(car, now, None)


def _emergency(car: Ports, now: Instant, sensor: Sensor | None) -> None:
    fix = car.position(now)
    data: dict[str, Any] = {
        "id": _next_id(car),
        "automatic": sensor is not None,
        "sensor": sensor,
        "test_call": False,
        "vin": car.vin,
        "vehicle_type": "M1",
        "propulsion": PROPULSION[car.equipment.energy],
        "called_at": now,
        "position": _place(fix),
        "position_trusted": fix.accuracy_m * AT_95_PERCENT <= TRUSTED_WITHIN_M,
        "direction_deg": _direction_deg(car, now),
        "recent_positions": [_place(_fix_before(car, fix, now - ago)) for ago in RECENT],
        "passengers": 1 + car.draws("occupants", car.trips.count).weighted(OCCUPANTS),
    }
    car.send_event("ecall", now, {name: value for name, value in data.items() if value is not None})


def _place(fix: Position) -> dict[str, float]:
    return {"latitude": fix.latitude, "longitude": fix.longitude, "accuracy_m": fix.accuracy_m}


def _fix_before(car: Ports, fix: Position, at: Instant) -> Position:
    """Return the fix of an earlier instant of this drive; who stands has been where he is."""
    return fix if car.journey is None else car.receive_fix(car.journey.position_at(at), at, None)


def _direction_deg(car: Ports, now: Instant) -> int | None:
    """Return the direction of driving in steps of 2° (EN 15722), None for a car that has not moved."""
    journey = car.journey
    if journey is None or now <= journey.move_at:
        return None
    return round(journey.path.heading_at(journey.distance_at(now)) / 2) * 2 % 360


def has_crashed(car: Ports) -> bool:
    calls = find(car, Calls)
    return calls is not None and calls.crashed


def _forbids_start(car: Ports, _now: Instant) -> str | None:
    return "crashed" if has_crashed(car) else None


def refusal(car: Ports, command: CommandType) -> Refusal | None:
    """Judge whether a car that has crashed may move anything: it may not, and still tells how it is (ours)."""
    if has_crashed(car) and command.entry.state == "parked" and not command.entry.legal:
        return Refusal("crashed", "the car has crashed and was not repaired")
    return None


def repair(car: Ports, now: Instant) -> None:
    """The car can be started again; does nothing to one that has not crashed."""
    calls = find(car, Calls)
    if calls is not None and calls.crashed:
        calls.crashed = False
        car.send_event("repaired", now)
        car.plan_next_trip(now + MINUTE)


# --- to the call centres


def _press_breakdown(car: Ports, now: Instant) -> None:
    """The driver calls for help with the car: what it knows of itself goes along, its position only where privacy allows it."""
    known = report(car, now)
    data: dict[str, Any] = {"mileage_km": known.mileage_km, "warnings": [light.id for light in known.warnings]}
    if privacy.may_locate(car):
        data["position"] = _place(car.position(now))
    _call(car, "breakdown_call", data, now)


def _press_info(car: Ports, now: Instant) -> None:
    """The driver has a question: nothing of the car goes along but who calls."""
    _call(car, "info_call", {}, now)


def _call(car: Ports, name: CallName, data: dict[str, Any], now: Instant) -> None:
    call_id = _next_id(car)
    obtain(car, Calls).waiting[call_id] = name
    if privacy.forbids_event(car, name):
        _end(car, call_id, "failed", "privacy_offline", now)
    elif not car.outbox.is_connected:
        _end(car, call_id, "failed", "no_network", now)
    else:
        car.send_event(name, now, {"id": call_id, "registered_in": car.registered_in, **data})
        car.agenda.call(now + ANSWERED_WITHIN, _hang_up, call_id)


def answered(car: Ports, reply: Reply, now: Instant) -> None:
    """Take what the back end says to a call; what answers none is left to others."""
    _end(car, reply.id, "connected" if reply.error is None else "failed", reply.error, now)


def _hang_up(car: Ports, call_id: str, now: Instant) -> None:
    _end(car, call_id, "unknown", "no_answer", now)


def _end(car: Ports, call_id: str, state: Literal["connected", "failed", "unknown"], reason: str | None, now: Instant) -> None:
    """Tell the driver how the call ended, once, and the back end that the driver knows."""
    calls = find(car, Calls)
    name = None if calls is None else calls.waiting.pop(call_id, None)
    if name is None or calls is None:
        return
    calls.told = Told(name, state, reason)
    data = {"id": call_id, "call": name, "state": state, "reason": reason}
    car.send_event("call_ended", now, {key: value for key, value in data.items() if value is not None})


def forget(car: Ports, _now: Instant) -> None:
    """Forget what was said; whether the car can be started is no personal matter."""
    calls = find(car, Calls)
    if calls is not None:
        calls.told = None
        calls.waiting.clear()


def _is_personal(calls: Calls) -> bool:
    return calls.told is not None or bool(calls.waiting)


LISTENER: Final = Listener(
    state=Calls, is_personal=_is_personal, forbids_start=_forbids_start, strands=has_crashed, replied=answered, forget=forget
)
