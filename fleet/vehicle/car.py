"""The car: one state machine put together from driver, drive, energy, body, climate, commands and outbox.

Everything it does by itself stands in its agenda; between two entries its state is a closed form of time. It
knows no broker and no clock: what it wants done comes out as outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from msgspec.structs import replace

from fleet.kernel.draws import Draws
from fleet.kernel.instants import HOUR, MINUTE, Instant
from fleet.vehicle import driver_actions
from fleet.vehicle.agenda import NEVER, Agenda
from fleet.vehicle.body import Body
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.driver import Driver
from fleet.vehicle.geo import offset
from fleet.vehicle.inputs import apply_input
from fleet.vehicle.journey import Journey
from fleet.vehicle.low_voltage import DEEP_SLEEP_PERCENT, LOW_PERCENT, LowVoltageBattery
from fleet.vehicle.outbox import UNTIL_HELLO, UNTIL_RESET, URGENT_EVENTS, Outbox, is_priority
from fleet.vehicle.powertrain import Levels, Powertrain
from fleet.vehicle.region import Place
from fleet.vehicle.remote import Remote
from fleet.vehicle.services import hooks
from fleet.vehicle.services.cabin import Cabin
from fleet.vehicle.services.comfort import ComfortRun
from fleet.vehicle.services.wear import Wear
from fleet.vehicle.settings import CarSettings
from fleet.vehicle.signals import (
    Acknowledged,
    Announce,
    AskStatus,
    CarInput,
    CarOutput,
    Connect,
    Disconnect,
    Drop,
    Executed,
    LeftOut,
    LinkDown,
    LinkUp,
    PowerOff,
    PowerOn,
    Recall,
    Received,
    Remember,
    RepeatUnstored,
)
from fleet.vehicle.status import AtRest, asked_status, build_status
from fleet.vehicle.trips import Trips
from fleet.wire.messages import (
    CarMessage,
    Command,
    CommandState,
    Event,
    Position,
    Presence,
    Reply,
    Response,
    Status,
    Stored,
    Trigger,
)

GPS_SIGMA_M: Final = 5.0
"""Rayleigh parameter of the receiver's error: 39 % of fixes within 5 m, 86 % within 10 m."""
GPS_ACCURACY_M: Final = 8.0
"""The accuracy that the receiver claims, on average (ours)."""
STAY_AWAKE: Final = 3 * MINUTE
"""How long the car stays awake after a command or after its driver has gone (ours)."""
NEXT_TRIP: Final = "next trip"
"""Key of the timer of the next trip of the plan."""

_HERE, _NETWORK, _DEAD_ZONE = 1, 2, 4
"""Causes of having no coverage: this very place, the network of all cars, this region."""

STATIONS: Final = frozenset({"petrol_station", "charging_station"})
"""Kinds of places where one is on the way to another."""

ConnectionState = Literal["online", "reachable", "offline"]


class Car:
    """One car as a Machine[CarInput, CarOutput]; see `fleet.kernel.machine`."""

    __slots__ = (
        "_due", "_now", "_outputs", "_power", "agenda", "at_rest", "body", "cabin", "comfort", "driver", "engine_is_on",
        "equipment", "fix", "journey", "kept", "key", "low_voltage", "outbox", "place", "powertrain", "remote", "settings",
        "trips", "vin", "wear",
    )  # fmt: skip

    powertrain: Powertrain
    low_voltage: LowVoltageBattery
    body: Body
    wear: Wear

    def __init__(
        self,
        *,
        vin: str,
        key: int,
        equipment: Equipment,
        driver: Driver,
        boot: int,
        now: Instant,
        settings: CarSettings | None = None,
    ) -> None:
        """Make a car that has been parked at its driver's home; `key` is the root of all its draws."""
        self.vin = vin
        self.key = key
        self.equipment = equipment
        self.driver = driver
        self.settings = settings or CarSettings()
        draws = self.draws("initial")
        self.powertrain = Powertrain(equipment, draws, now)
        self.body = Body(has_sunroof=equipment.sunroof)
        self.low_voltage = LowVoltageBattery(equipment.battery_12v_ah, draws.uniform(75, 98), now)
        self.outbox = Outbox(boot, limit=self.settings.outbox_limit, until_stored=self.settings.until_stored)
        self.remote = Remote()
        self.agenda = Agenda()
        self.journey: Journey | None = None
        self.cabin: Cabin | None = None
        self.comfort: ComfortRun | None = None
        self.at_rest: AtRest | None = None
        self.kept: dict[type[Any], Any] | None = None
        self.engine_is_on = False
        self.powertrain.plugged_in = bool(equipment.usable_kwh) and draws.chance(0.7)
        parked_at = now - int(draws.uniform(2, 14) * HOUR)
        self.place = driver.home
        self.trips = Trips()
        self._power: Literal["before", "on", "off"] = "before"
        self._now = now
        self._due: Instant = NEVER
        self._outputs: list[CarOutput] = []
        self.fix = self.receive_fix(self.place.position, parked_at, parked_at)
        in_dead_zone = any(zone.holds(*self.place.position) for zone in self.settings.dead_zones)
        self.outbox.uncovered = _HERE * self.place.garage | _DEAD_ZONE * in_dead_zone
        hooks.made(self, now)

    # --- the machine

    def receive(self, message: CarInput, now: Instant) -> Sequence[CarOutput]:
        """Take one input at `now`; what was due before it is done first, but on no connection that this input says has gone.

        Before PowerOn it recalls what it has executed; then, and after PowerOff, its outbox alone hears how its message fares.
        """
        if now < self._now:  # noqa: PLR1730 (a third of the cost of max())
            now = self._now  # who asks late for an earlier instant gets no answer from the past
        self._now = now
        if now >= self._due:
            if isinstance(message, LinkDown):
                self.outbox.connection_lost()
            self._catch_up(now)
        if self._power != "on" and not isinstance(message, Recall | PowerOn | Acknowledged | LeftOut | LinkDown):
            return ()
        if isinstance(message, Acknowledged):  # nearly all there is under load are these two, and they put off nothing
            sent = self.outbox.acknowledge(message.seq, refused=message.refused)
            if sent is not None:
                self._outputs.append(sent)
        elif isinstance(message, AskStatus):
            if not self.outbox.muted:
                self.send(asked_status(self, now))
        else:
            self._take(message, now)
            self._due = self._next_due()
        outputs = self._outputs
        if outputs:
            self._outputs = []
        return outputs

    def _take(self, message: CarInput, now: Instant) -> None:
        match message:
            case Received(Command() as command, before):
                self.at_rest = None
                self.remote.arrive(self, command, now, before=before)
            case Received(Stored() as mark):
                self._extend(self.outbox.mark_stored(mark))
            case Received(reply):
                if isinstance(reply, Reply):
                    hooks.replied(self, reply, now)
            case RepeatUnstored():
                self._extend(self.outbox.repeat_unstored())
            case LeftOut(seq):
                self._extend(self.outbox.leave_out(seq))
            case LinkUp(session_present) if self.outbox.wants_connection:
                self._outputs.append(Announce(self._presence("online", None, now)))
                if session_present and self.outbox.in_outbox:
                    self.outbox.hold(UNTIL_HELLO)
                self._extend(self.outbox.connection_made(now))
            case LinkDown():
                self.outbox.connection_lost()
            case Recall(executed):
                self.remote.recall(executed)
            case PowerOn():
                self._power_on(now)
            case PowerOff():
                self._power_off(now)
            case LinkUp():
                pass  # it came up while the car was giving it up
            case Acknowledged() | AskStatus():
                raise AssertionError("taken already")
            case _:
                self.at_rest = None
                apply_input(self, message, now)

    def deadline(self) -> Instant | None:
        """Return when the car next does something by itself."""
        return self._due if self._due != NEVER else None

    def _next_due(self) -> Instant:
        """Look for it anew; `_due` must be what this returns whenever nobody is at work in the car."""
        if self._power != "on":
            return NEVER
        planned, low = self.agenda.next_at, self.low_voltage.due_at
        return planned if low is None or planned <= low else low

    def wake(self, now: Instant) -> Sequence[CarOutput]:
        """Do what is due."""
        if now < self._now:  # noqa: PLR1730 (as in `receive`)
            now = self._now
        self._now = now
        self._catch_up(now)
        outputs = self._outputs
        if outputs:
            self._outputs = []
        return outputs

    def _extend(self, output: CarOutput | None) -> None:
        if output is not None:
            self._outputs.append(output)

    def _catch_up(self, now: Instant) -> None:
        """Do what is due, the earliest first; in the same instant the battery comes before what is planned."""
        at = self._due
        try:
            while at <= now:
                self.at_rest = None
                if at == self.low_voltage.due_at:
                    self._low_voltage_fell(at)
                else:
                    do, data = self.agenda.pop()
                    do(self, data, at)
                at = self._due = self._next_due()
        except BaseException:
            self._due = self._next_due()  # or else what comes next would be done with the next input, as of this instant
            raise

    # --- what others ask of it

    def draws(self, purpose: str, index: int = 0) -> Draws:
        """Open one of the car's streams of draws."""
        return Draws(self.key, purpose, index)

    def state(self, now: Instant) -> Literal["parked", "ignition_on", "driving"]:
        """Return the vehicle state as the car knows it."""
        if not self.engine_is_on:
            return "parked"
        if self.journey is not None and self.journey.move_at <= now < self.journey.arrive_at:
            return "driving"
        return "ignition_on"

    def connection(self, now: Instant) -> ConnectionState:
        """Return `reachable` for a connected car that sleeps and would have to wake."""
        if not self.outbox.is_connected:
            return "offline"
        return "online" if self.engine_is_on or now < self.low_voltage.awake_until else "reachable"

    def is_awake(self, now: Instant) -> bool:
        return self.engine_is_on or now < self.low_voltage.awake_until

    def levels(self, now: Instant) -> Levels:
        """Return odometer, fuel, charge and AdBlue at `now`."""
        return self.powertrain.levels(now, self.journey.distance_at(now) if self.journey else 0.0)

    def true_position(self, now: Instant) -> tuple[float, float]:
        """Return where the car really is, (latitude, longitude) in degrees."""
        return self.journey.position_at(now) if self.journey else self.place.position

    def position(self, now: Instant) -> Position:
        """Return the last fix; the receiver measures anew while the engine is on."""
        if self.engine_is_on:
            self.fix = self.receive_fix(self.true_position(now), now, None)
        return self.fix

    def receive_fix(self, true: tuple[float, float], now: Instant, parked_at: Instant | None) -> Position:
        """Return what the receiver measures at a place at an instant."""
        draws = Draws(self.key, "gps", now)
        latitude, longitude = offset(*true, draws.normal(0, GPS_SIGMA_M), draws.normal(0, GPS_SIGMA_M))
        return Position(
            latitude=round(latitude, 7),
            longitude=round(longitude, 7),
            accuracy_m=round(GPS_ACCURACY_M * draws.uniform(0.7, 1.25), 1),
            fixed_at=now,
            parked_at=parked_at,
        )

    # --- messages

    @property
    def registered_in(self) -> str:
        """The country where the car is registered."""
        return self.settings.registered_in or self.driver.region.country

    def send(self, message: CarMessage) -> None:
        """Put a numbered message into the outbox."""
        sent = self.outbox.enqueue(message)
        if sent is not None:
            self._outputs.append(sent)

    def send_priority(self, message: CarMessage) -> None:
        """Put a message into the outbox that goes before all that waits."""
        self._extend(self.outbox.enqueue_priority(message))

    def unmute(self) -> None:
        """Let the outbox send what it had to hold back."""
        self._extend(self.outbox.unmute())

    def release(self) -> None:
        """Let the outbox send what it held back for a reset that has been judged."""
        self._extend(self.outbox.release(UNTIL_RESET))

    def send_status(self, trigger: Trigger, now: Instant, groups: tuple[str, ...] | None = None) -> None:
        """Send the status, whole or some groups.

        A silent car makes none.
        """
        if self.outbox.muted:
            return
        self.send(build_status(self, trigger, now, groups))

    def snapshot(self, now: Instant) -> Status:
        """Return the whole status as it is, under the number 0: for a dialect that answers by itself, in no account."""
        return build_status(self, "refresh", now, seq=0)

    def send_event(self, name: str, now: Instant, data: Mapping[str, Any] | None = None) -> None:
        """Send an event, unless a service forbids it."""
        if hooks.forbids_event(self, name):
            return
        event = Event(
            vin=self.vin,
            boot=self.outbox.boot,
            seq=self.outbox.next_seq(),
            captured_at=now,
            name=name,
            data={} if data is None else dict(data),
        )
        if name in URGENT_EVENTS:
            self.send_priority(event)
        else:
            self.send(event)

    def remember(self, done: Executed) -> None:
        """Have it written down what a command has come to, where that is wanted."""
        if self.settings.remembers:
            self._outputs.append(Remember(done))

    def respond(
        self,
        command_id: str,
        name: str,
        state: CommandState,
        now: Instant,
        *,
        reason: str | None,
        detail: str | None,
        awake: bool,
    ) -> None:
        """Send a step of a command's life; a detail that a service forbids is left out."""
        response = Response(
            vin=self.vin,
            boot=self.outbox.boot,
            seq=self.outbox.next_seq(),
            captured_at=now,
            command_id=command_id,
            name=name,
            state=state,
            reason=reason,
            detail=None if hooks.forbids_detail(self, reason) else detail,
            awake=awake,
        )
        if is_priority(response):
            self.send_priority(response)
        else:
            self.send(response)

    def _presence(
        self, connection: Literal["online", "offline"], reason: Literal["shutdown", "deep_sleep"] | None, now: Instant
    ) -> Presence:
        return Presence(vin=self.vin, boot=self.outbox.boot, seq=0, captured_at=now, connection=connection, reason=reason)

    def will(self, now: Instant) -> Presence:
        """Return what the broker is to say when the car is gone without a word."""
        return Presence(vin=self.vin, boot=self.outbox.boot, seq=0, captured_at=now, connection="offline", reason="lost")

    def charge_changed(self, now: Instant) -> None:
        """Let all services know that the plug is in or out, or that charging has begun or ended."""
        hooks.charge_changed(self, now)

    def forget(self, now: Instant) -> None:
        """Have all services forget what people have left in the car."""
        hooks.forget(self, now)

    # --- power, coverage, sleep

    def _power_on(self, now: Instant) -> None:
        if self._power != "before":
            return  # once it has been off it is another run of the computer: another Car, with another boot
        self._power = "on"
        self.outbox.reachable_since = now
        hooks.powered_on(self, now)
        self.plan_day(now)
        self.low_voltage.look_ahead(now)
        self.remote.tell_interrupted(self, now)
        self._connect_if_possible()

    def _power_off(self, now: Instant) -> None:
        self._power = "off"
        if self.outbox.wants_connection:
            self.outbox.wants_connection = False
            self.outbox.connection_lost()
            self._outputs.append(Disconnect(self._presence("offline", "shutdown", now)))

    def _connect_if_possible(self) -> None:
        if self.outbox.has_coverage and not self.low_voltage.in_deep_sleep and not self.outbox.wants_connection:
            self.outbox.wants_connection = True
            self._outputs.append(Connect())

    def set_coverage(self, covered: bool, now: Instant) -> None:
        """Have coverage at this place or not; without it messages wait in the outbox."""
        self._find_network(_HERE, now, covered=covered)

    def set_dead_zone(self, inside: bool, now: Instant) -> None:
        """Drive into a dead zone or out of it."""
        self._find_network(_DEAD_ZONE, now, covered=not inside)

    def set_network(self, works: bool, now: Instant) -> None:
        """Have a network that works, or fails for all cars wherever they are."""
        self._find_network(_NETWORK, now, covered=works)

    def _find_network(self, cause: int, now: Instant, *, covered: bool) -> None:
        """Lose the network or find it again: it must work, reach this region, and this very place."""
        had_coverage = self.outbox.has_coverage
        self.outbox.uncovered = self.outbox.uncovered & ~cause if covered else self.outbox.uncovered | cause
        covered = self.outbox.has_coverage
        if covered == had_coverage:
            return
        if covered:
            self.outbox.reachable_since = now
            self._connect_if_possible()
            hooks.network_found(self, now)
        elif self.outbox.wants_connection:
            self.outbox.wants_connection = False
            self.outbox.connection_lost()
            self._outputs.append(Drop())
        if not covered:
            hooks.network_lost(self, now)

    def stay_awake(self, now: Instant) -> None:
        """Stay awake for a while from `now` on."""
        self.low_voltage.stay_awake(now, now + STAY_AWAKE)

    def _low_voltage_fell(self, now: Instant) -> None:
        """Tell that the battery is low, or sleep deeply."""
        percent = self.low_voltage.percent(now)
        if percent < DEEP_SLEEP_PERCENT:
            self.low_voltage.due_at = None
            self.low_voltage.in_deep_sleep = True
            if self.outbox.wants_connection:
                self.outbox.wants_connection = False
                self.outbox.connection_lost()
                self._outputs.append(Disconnect(self._presence("offline", "deep_sleep", now)))
            return
        if percent < LOW_PERCENT:
            self.send_event("low_voltage_low", now, {"charge_percent": round(percent, 1)})
            hooks.low_voltage_fell(self, now)
        self.low_voltage.look_ahead(now)

    def drain_low_voltage(self, share: float, now: Instant) -> None:
        """Draw the 12 V battery down to a share (0 to 1) of what it can hold; nothing happens while it is charged."""
        battery = self.low_voltage
        if battery.is_fed:
            return
        if battery.percent(now) >= LOW_PERCENT > share * 100:
            battery.drain(max(share, DEEP_SLEEP_PERCENT / 100), now)
            self._low_voltage_fell(now)
        battery.drain(share, now)
        if battery.percent(now) < DEEP_SLEEP_PERCENT and not self.low_voltage.in_deep_sleep:
            self._low_voltage_fell(now)

    def leave_deep_sleep(self, now: Instant) -> None:
        """The engine runs, or the plug is in: the modem switches itself on again."""
        if self.low_voltage.in_deep_sleep:
            self.low_voltage.in_deep_sleep = False
            self.outbox.reachable_since = now
        self._connect_if_possible()

    # --- the day

    def plan_day(self, now: Instant) -> None:
        """Ask the driver for the day's trips; of yesterday's plan only a trip that has got as far as a station is left."""
        at_station = self.journey.station if self.journey else self.place.kind in STATIONS
        self.trips.plan_day(self.driver.plan_day(self.driver.local_date(now)), go_on=at_station)
        self.agenda.call(self.driver.next_midnight(now), _new_day)
        hooks.day_began(self, now)
        if self.journey is None:
            self.plan_next_trip(now)

    def plan_next_trip(self, not_before: Instant) -> None:
        """Put the next trip of the day into the agenda; late trips start as soon as possible, past ones are skipped."""
        at = self.trips.departure_after(not_before)
        if at is None:
            self.agenda.cancel(NEXT_TRIP)
        else:
            self.start_next_trip_at(at)

    def stay_put(self) -> None:
        """Start no further trip."""
        self.trips.stays = True
        self.agenda.cancel(NEXT_TRIP)

    def start_next_trip_at(self, at: Instant) -> None:
        """Have the next trip of the plan begin then, and at no other time."""
        self.agenda.replace(NEXT_TRIP, at, _start)

    def count_trip(self) -> int:
        """Number the drive that starts now, from 1."""
        self.trips.count += 1
        self.agenda.cancel(NEXT_TRIP)
        return self.trips.count

    def arrive(self, place: Place | None, true_position: tuple[float, float]) -> None:
        """Be at a place, or (None) somewhere by the road."""
        latitude, longitude = true_position
        if place is None:
            self.place = Place(latitude, longitude, "by the road")
        else:  # the road may end some metres before it
            self.place = replace(place, latitude=latitude, longitude=longitude)

    def park(self, now: Instant, place: Place | None) -> None:
        """Stand with the engine off: fix the position once; a place decides about coverage, the roadside changes nothing."""
        self.fix = self.receive_fix(self.place.position, now, now)
        self.stay_awake(now)
        if place is not None:
            self.set_coverage(not place.garage, now)


# --- what the car has in its agenda for every day


def _new_day(car: Car, _data: None, now: Instant) -> None:
    car.plan_day(now)


def _start(car: Car, _data: None, now: Instant) -> None:
    """Set off, unless the car has been started meanwhile."""
    if not car.engine_is_on:
        driver_actions.start_planned(car, now)
