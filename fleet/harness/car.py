"""A car in the hands of a test: what its driver does, and what is expected of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, get_args

from fleet.errors import UnknownName, UsageError
from fleet.harness.durations import duration, wall_s
from fleet.harness.inboxes import ArrivedCommand
from fleet.harness.making import position
from fleet.harness.matching import Fields, Matcher, as_matcher
from fleet.harness.steps import Steps, step
from fleet.harness.surroundings import Surroundings
from fleet.harness.watcher import first_from
from fleet.kernel.instants import Instant, format_instant
from fleet.vehicle.car import Car
from fleet.vehicle.catalogue import Equipment
from fleet.vehicle.geo import geodesic_m, offset
from fleet.vehicle.region import Place
from fleet.vehicle.signals import (
    AskStatus,
    ButtonName,
    Crash,
    DrainTo,
    DriveTo,
    OpeningName,
    PowerOn,
    PressButton,
    SetCoverage,
    SetOpening,
    SetPlug,
    SwitchOff,
    SwitchOn,
    WorldInput,
)
from fleet.wire.commands import command_type
from fleet.wire.messages import TERMINAL_STATES, CarMessage, Event, Presence, Response, Status
from fleet.wire.services import load_services

if TYPE_CHECKING:
    from fleet.runtime.shard import CarOnLink

ROAD_DETOUR: Final = 1.3
FARTHEST_KM: Final = 1_000
MOST_WAKES: Final = 1_000
"""How often a car may have to be looked at on the way; a stop at a station takes five times, and the farthest way has seven."""
ANSWER_FIELDS: Final = ("state", "reason", "detail", "command_id", "awake")
MessageT = TypeVar("MessageT", bound=CarMessage)


class HarnessCar:
    """One simulated car, connected like any other. Messages are those that came through the broker.

    A wait takes the first message that fits, of those after the one that the last wait took; so each is taken once.
    """

    def __init__(self, world: Surroundings, held: CarOnLink) -> None:
        self._world = world
        self._held = held
        self._taken = 0
        self._presences_taken = 0
        self._commands_taken = 0

    # --- what it is

    @property
    def steps(self) -> Steps:
        return self._world.steps

    @property
    def vin(self) -> str:
        """The car's VIN."""
        return self.simulated.vin

    @property
    def equipment(self) -> Equipment:
        """The car's equipment."""
        return self.simulated.equipment

    @property
    def simulated(self) -> Car:
        """The state machine within, for what a test must know exactly; to be read, not changed."""
        return self._held.car

    @property
    def state(self) -> str:
        """parked, ignition_on or driving, as the car knows it now."""
        return self.simulated.state(self._world.now)

    @property
    def is_connected(self) -> bool:
        """Whether it has its connection to the broker, awake or asleep."""
        return self.simulated.outbox.is_connected

    @property
    def connection(self) -> str:
        """online, reachable (asleep) or offline."""
        return self.simulated.connection(self._world.now)

    @property
    def position(self) -> tuple[float, float]:
        """Its own last fix: latitude and longitude in degrees."""
        fix = self.simulated.position(self._world.now)
        return fix.latitude, fix.longitude

    @property
    def odometer_km(self) -> float:
        """How far it was driven in its life."""
        return self.simulated.levels(self._world.now).odometer_m / 1000

    @property
    def messages(self) -> list[CarMessage]:
        """All that came of it through the broker, oldest first."""
        return self._world.watcher.messages.setdefault(self.vin, [])

    @property
    def in_outbox(self) -> int:
        """How many of its messages have no final outcome yet."""
        return self.simulated.outbox.in_outbox

    def __repr__(self) -> str:
        return f"<{self.equipment.model} {self.vin}, {self.state}>"

    # --- what its driver does

    def put(self, message: WorldInput | PowerOn | AskStatus) -> None:
        """Let something happen to it: any input of `fleet.vehicle.signals`."""
        self._world.steps.check()
        self._world.must_be_open()
        with self._world.stage.inside():
            self._held.put(message)

    @step
    async def switch_on(self) -> None:
        """Start the engine and stay here."""
        self.put(SwitchOn())
        await self._world.settle()

    @step
    async def switch_off(self) -> None:
        """Switch the engine off, here; the car sends its status."""
        self.put(SwitchOff())
        await self._world.settle()

    @step
    async def start_drive(self, *, km: float | None = None, to: Place | tuple[float, float] | None = None) -> None:
        """Start a drive and return at once: no time passes."""
        self._start(km, to, garage=False)
        await self._world.settle()

    @step
    async def drive(self, *, km: float | None = None, to: Place | tuple[float, float] | None = None) -> None:
        """Drive so far, or to a place, and stand there with the engine on; time passes meanwhile."""
        self._start(km, to, garage=False)
        await self._arrive()

    @step
    async def park(self, *, at: Place | tuple[float, float] | None = None) -> None:
        """Park here or, after a drive, at a place, and switch the engine off."""
        if at is not None:
            self._start(None, at, garage=False)
            await self._arrive()
        self.put(SwitchOff())
        await self._world.settle()

    @step
    async def enter_garage(self) -> None:
        """Park in an underground car park around the corner: there is no coverage."""
        latitude, longitude = self.simulated.true_position(self._world.now)
        place = Place(*offset(latitude, longitude, 300.0, 0.0), "underground", "errand", garage=True)
        self._start(None, place, garage=True)
        await self._arrive()
        self.put(SwitchOff())
        await self._world.settle()

    @step
    async def leave_garage(self) -> None:
        """Be back under open sky: the connection comes back, and what waited is sent."""
        self.put(SetCoverage(True))
        await self._world.settle()

    @step
    async def lose_coverage(self) -> None:
        """Lose the mobile network at this place: until it comes back, or the car drives off."""
        self.put(SetCoverage(False))
        await self._world.settle()

    @step
    async def regain_coverage(self) -> None:
        """Have the mobile network again."""
        self.put(SetCoverage(True))
        await self._world.settle()

    @step
    async def open(self, opening: OpeningName) -> None:
        """Open a door, the bonnet or the boot lid."""
        await self._set_opening(opening, opened=True)

    @step
    async def close(self, opening: OpeningName) -> None:
        """Close it."""
        await self._set_opening(opening, opened=False)

    async def _set_opening(self, opening: OpeningName, *, opened: bool) -> None:
        if opening not in get_args(OpeningName):
            raise UnknownName("door", opening, get_args(OpeningName))
        self.put(SetOpening(opening, opened=opened))
        await self._world.settle()

    @step
    async def press(self, button: ButtonName) -> None:
        """Press sos, breakdown or info in the car: it calls."""
        if button not in get_args(ButtonName):
            raise UnknownName("button", button, get_args(ButtonName))
        self.put(PressButton(button))
        await self._world.settle()

    @step
    async def crash(self) -> None:
        """Crash on the way: the airbag calls for help, and the engine stops. A car whose engine is off has none to lose."""
        self.put(Crash())
        await self._world.settle()

    @step
    async def plug_in(self) -> None:
        """Plug it in where it is parked. Raises UsageError for a car that cannot be."""
        self.put(SetPlug(True))
        if not self.simulated.powertrain.plugged_in:
            raise UsageError(f"{self!r} cannot be plugged in", hint="It needs a socket, and its engine must be off.")
        await self._world.settle()

    @step
    async def unplug(self) -> None:
        """Take the plug out."""
        self.put(SetPlug(False))
        await self._world.settle()

    @step
    async def drain(self, *, to_percent: float) -> None:
        """Draw fuel, or the charge of an electric car, down to this; the car tells it with its next status."""
        if not 0 <= to_percent <= 100:
            raise UsageError(f"to_percent is {to_percent:g}", hint="0 to 100 are possible.")
        self.put(DrainTo(to_percent / 100))
        await self._world.settle()

    def _start(self, km: float | None, to: Place | tuple[float, float] | None, *, garage: bool) -> None:
        if (km is None) == (to is None):
            raise UsageError("a drive leads somewhere", hint="Give km=12, or to=(48.2, 11.6).")
        if to is None:
            assert km is not None
            if not 0.1 <= km <= FARTHEST_KM:
                raise UsageError(f"{km:g} km is no drive", hint=f"0.1 to {FARTHEST_KM} km are possible.")
            latitude, longitude = self.simulated.true_position(self._world.now)
            to = offset(latitude, longitude, km * 1000 / ROAD_DETOUR, 0.0)
        place = to if isinstance(to, Place) else Place(*position(to), "as the test says", "errand", garage=garage)
        far_km = geodesic_m(*self.simulated.true_position(self._world.now), *place.position) / 1000
        if far_km > FARTHEST_KM:
            raise UsageError(f"{place.position} is {far_km:.0f} km away", hint=f"Up to {FARTHEST_KM} km are possible.")
        self.put(DriveTo(place))
        if self.simulated.journey is None:
            self._world.fail(f"{self.vin} did not start: is the engine able to, and the place far enough?", self)

    async def _arrive(self) -> None:
        """Let time pass until it stands, engine on; a stop at a station on the way is part of it."""
        car = self.simulated

        def stands() -> bool:
            journey = car.journey
            return journey is not None and not journey.station and self._world.now >= journey.arrive_at

        for _ in range(MOST_WAKES):
            journey = car.journey
            at = journey.arrive_at if journey is not None and not journey.station else car.deadline()
            if at is None:
                break
            if await self._world.until(stands, max(at, self._world.now)):
                return
        self._world.fail(f"{self.vin} does not arrive", self)

    # --- what is expected of it

    @step
    async def wait_for_status(self, /, *, within: str | float = 0, **fields: Any) -> Status:
        """Return the next status whose fields are as expected; the cars' time moves as far as needed, at most `within`."""
        wanted = Fields(fields)

        def fits(message: CarMessage) -> bool:
            return isinstance(message, Status) and wanted.hold(message)

        found = await self._take(fits, within)
        if found is None:
            near = [message for message in self.messages[self._taken :] if isinstance(message, Status)]
            came = f"; the last of {len(near)} had: {wanted.told(near[-1])}" if near and fields else f"; {len(near)} came"
            self._world.fail(f"no status of {self.vin} with {wanted} within {within}{came}", self)
        return cast("Status", found)

    @step
    async def wait_for_event(self, /, name: str, *, within: str | float = 0, **data: Any) -> Event:
        """Return the next event of that name whose data are as expected."""
        wanted = _event_data(name, data)

        def fits(message: CarMessage) -> bool:
            return isinstance(message, Event) and message.name == name and _holds(message, wanted)

        found = await self._take(fits, within)
        if found is None:
            others = [message.name for message in self.messages[self._taken :] if isinstance(message, Event)]
            self._world.fail(f"no event {name} of {self.vin} within {within}; events since: {', '.join(others) or 'none'}", self)
        return cast("Event", found)

    @step
    async def wait_for_presence(self, connection: str, *, within: str | float = 0) -> Presence:
        """Return the next presence that says online or offline."""
        if connection not in {"online", "offline"}:
            raise UnknownName("presence", connection, ("online", "offline"))
        presences = self._world.watcher.presences.setdefault(self.vin, [])

        def found() -> int | None:
            return next((n for n in range(self._presences_taken, len(presences)) if presences[n].connection == connection), None)

        if not await self._world.until(lambda: found() is not None, self._world.now + duration(within)):
            self._world.fail(f"{self.vin} is not {connection} within {within}", self)
        place = found()
        assert place is not None
        self._presences_taken = place + 1
        return presences[place]

    @step
    async def wait_for_response(self, /, name: str, *, within: str | float = "10 min", **fields: Any) -> Response:
        """Return the car's next final answer to a command of that name, whoever has sent it; it must be as expected.

        A car that sleeps takes its time to wake, so the cars' time moves as far as needed.
        """
        known = command_type(name).name
        for key in fields:
            if key not in ANSWER_FIELDS:
                raise UnknownName("field of a response", key, ANSWER_FIELDS)

        def fits(message: CarMessage) -> bool:
            return isinstance(message, Response) and message.name == known and message.state in TERMINAL_STATES

        found = cast("Response | None", await self._take(fits, within))
        if found is None:
            self._world.fail(f"{self.vin} did not answer {name} within {within}; {self._told_of_inbox(0)}", self)
        wanted = {key: as_matcher(value) for key, value in fields.items()}
        if not all(matcher.holds(getattr(found, key)) for key, matcher in wanted.items()):
            is_ = ", ".join(f"{key} {getattr(found, key)!r}" for key in ANSWER_FIELDS)
            self._world.fail(f"{self.vin} was to answer {name} with {wanted}, and answered with {is_}", self)
        return found

    @step
    async def wait_for_command(self, /, name: str, *, within_s: float = 5.0, **parameters: Any) -> ArrivedCommand:
        """Return the next command of that name that came to the car, with parameters as expected; whoever has sent it.

        Waits `within_s` of wall time at most, as back ends take their own; the cars' time stands.
        """
        known = command_type(name).parameters.__struct_fields__
        for key in parameters:
            if key not in known:
                raise UnknownName(f"parameter of {name}", key, known)
        wanted = {key: as_matcher(value) for key, value in parameters.items()}
        commands = self._world.inboxes.commands(self.vin)

        def found() -> int | None:
            return first_from(commands, self._commands_taken, fits)

        def fits(arrived: ArrivedCommand) -> bool:
            command = arrived.command
            return command.name == name and all(matcher.holds(command.parameters.get(key)) for key, matcher in wanted.items())

        if not await self._world.stage.wait(lambda: found() is not None, wall_s(within_s)):
            self._world.fail(
                f"no command {name} came to {self.vin} within {within_s:g} s; {self._told_of_inbox(self._commands_taken)}", self
            )
        place = found()
        assert place is not None
        self._commands_taken = place + 1
        await self._world.settle()
        return commands[place]

    def _told_of_inbox(self, begin: int) -> str:
        """Write what came to it from there on."""
        inboxes = self._world.inboxes
        others = [f"{each.command.name} {each.command.parameters}" for each in inboxes.commands(self.vin)[begin:]]
        told = f"commands that came: {', '.join(others) or 'none'}"
        unreadable = inboxes.unreadable(self.vin)
        return f"{told}; the car could not read: {'; '.join(unreadable)}" if unreadable else told

    @step
    async def expect_no_status(self, /, **fields: Any) -> None:
        """Expect that no such status has come: all that the car sent so far has been seen, so nothing has to be waited for."""
        wanted = Fields(fields)
        await self._expect_none(lambda message: isinstance(message, Status) and wanted.hold(message), f"status with {wanted}")

    @step
    async def expect_no_event(self, /, name: str, **data: Any) -> None:
        """Expect that no such event has come."""
        wanted = _event_data(name, data)
        fits = lambda message: isinstance(message, Event) and message.name == name and _holds(message, wanted)  # noqa: E731
        await self._expect_none(fits, f"event {name}")

    async def _expect_none(self, fits: Callable[[CarMessage], bool], what: str) -> None:
        await self._world.settle()
        found = first_from(self.messages, self._taken, fits)
        if found is not None:
            message = self.messages[found]
            self._world.fail(
                f"no {what} of {self.vin} was expected, but one came: captured {format_instant(message.captured_at)}", self
            )

    async def _take(self, fits: Callable[[CarMessage], bool], within: str | float) -> CarMessage | None:
        """Return the first message that fits and has not been passed yet, and pass it."""
        limit: Instant = self._world.now + duration(within)
        if not await self._world.until(lambda: first_from(self.messages, self._taken, fits) is not None, limit):
            return None
        place = first_from(self.messages, self._taken, fits)
        assert place is not None
        self._taken = place + 1
        return self.messages[place]


def _event_data(name: str, data: dict[str, Any]) -> dict[str, Matcher]:
    known = load_services().events
    if name not in known:
        raise UnknownName("event", name, known)
    for key in data:
        if key not in known[name].data:
            raise UnknownName(f"data of the event {name}", key, known[name].data)
    return {key: as_matcher(value) for key, value in data.items()}


def _holds(event: Event, wanted: dict[str, Matcher]) -> bool:
    return all(matcher.holds(event.data.get(key)) for key, matcher in wanted.items())
