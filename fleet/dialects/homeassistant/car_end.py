"""A car's end of Home Assistant's dialect: it announces the car, keeps its states retained, and reads what is asked there."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

import fleet
from fleet.dialects.homeassistant.entities import (
    BIRTH_TOPIC,
    CLIMATE_COMMANDS,
    Announcement,
    Discovery,
    announcement_topics,
    entities_of,
    load_entities,
)
from fleet.dialects.homeassistant.topics import CAR, CONTROLS, HomeAssistantTopics
from fleet.errors import Undecodable
from fleet.kernel.instants import SECOND, Instant
from fleet.wire.commands import COMMANDS, command_type
from fleet.wire.dialect import CarFacts, Dialect, Heard
from fleet.wire.frame import Frame
from fleet.wire.messages import (
    STATUS_GROUPS,
    TERMINAL_STATES,
    Climate,
    Command,
    Doors,
    Event,
    FromCar,
    Header,
    Presence,
    Response,
    Status,
    Trigger,
    VehicleState,
)
from fleet.wire.numbering import number_of
from fleet.wire.privacy import SHARING, SILENT_MODES

SPREAD: Final = 3 * SECOND
"""Scenario time over which the cars spread that they announce themselves anew, when Home Assistant has come online."""
DEFAULT_TARGET_C: Final = 21.0
"""The temperature that Home Assistant shows until somebody has chosen one: the car's own default."""
MOST_BYTES: Final = 16 * 1024
"""Of what is asked; more is nothing that Home Assistant sends."""

_SAID: Final = (*Header.__struct_fields__, "trigger", "state")
_CLIMATE: Final = {"heating": "heater", "ventilation": "ventilation", "climatisation": "climatisation"}
_LOCKS: Final = {"LOCK": "lock", "UNLOCK": "unlock"}
_ON_ITS_WAY: Final = {"lock": "LOCKING", "unlock": "UNLOCKING"}


class Reported(Header, frozen=True, kw_only=True, omit_defaults=True):
    """The payload of the group `car`: a status without its groups, of which `unchanged` are those that are known as they are."""

    trigger: Trigger
    state: VehicleState
    unchanged: tuple[str, ...] = ()

    @staticmethod
    def of(status: Status, unchanged: Iterable[str] = ()) -> Reported:
        """Return what is said of a status."""
        return Reported(**{name: getattr(status, name) for name in _SAID}, unchanged=tuple(unchanged))

    def with_groups(self, groups: Mapping[str, Any]) -> Status:
        """Return the status with these groups."""
        return Status(**{name: getattr(self, name) for name in _SAID}, **groups)


class Controls(msgspec.Struct, kw_only=True, omit_defaults=True):
    """States that no message has: the lock while it is at work, the target temperature while nothing runs."""

    lock: str | None = None
    target_c: float = 0.0


class HomeAssistantEnd:
    """One car. It remembers what it last sent of each group, and sends a group when that changes."""

    def __init__(
        self,
        car: CarFacts,
        snapshot: Callable[[], Status],
        *,
        topics: HomeAssistantTopics,
        plain: Dialect,
        discovery: Discovery,
    ) -> None:
        """Take `plain`, which writes all messages but the status."""
        self._car = car
        self._snapshot = snapshot
        self._topics = topics
        self._plain = plain
        self._discovery = discovery
        self._commands = car.commands
        self._known: dict[str, bytes] = {}
        self._announced: set[str] = set()
        self._controls = Controls(target_c=DEFAULT_TARGET_C)
        self._climate: Climate | None = None
        self._doors: Doors | None = None
        self._asked = 0
        self._start: Command | None = None
        self._next_target_c: float | None = None
        self._announces_at: Instant | None = None
        self._restarts_at: Instant | None = None

    @property
    def subscriptions(self) -> tuple[tuple[str, int], ...]:
        """The filters of the car, and the topic on which Home Assistant says that it has come online."""
        return (*self._topics.car_subscriptions(self._car.vin), (BIRTH_TOPIC, 1))

    def will(self, presence: Presence) -> Frame | None:
        """Return the presence that makes all entities unavailable."""
        return self._plain.from_car(presence)

    # --- to Home Assistant

    def connected(self, now: Instant) -> Sequence[Frame]:  # noqa: ARG002
        """Announce the car, and send all states."""
        self._known.clear()
        self._announces_at = None
        return self._whole()

    def write(self, message: FromCar, now: Instant) -> Sequence[Frame]:
        """Write a message: of a status what has changed, and always that it came; all else as it is."""
        if isinstance(message, Status):
            return self._status_frames(message)
        frame = self._plain.from_car(message)
        if isinstance(message, Response):
            self._answered(message, now)
            return [frame, *self._controls_if_changed()]
        if isinstance(message, Event) and message.name in SHARING:
            return [frame, *self._shared(message)]
        return [frame]

    def _status_frames(self, status: Status) -> list[Frame]:
        states = list(self._states(status))
        parts = len(states) + 1
        frames = [replace(each, user_properties=(number_of(status, n, parts),)) for n, each in enumerate(states, start=1)]
        sent = {frame.topic.rpartition("/")[2] for frame in frames}
        unchanged = [group for group in STATUS_GROUPS if getattr(status, group) is not None and group not in sent]
        frames.append(
            self._retained(CAR, msgspec.json.encode(Reported.of(status, unchanged)), (number_of(status, parts, parts),))
        )
        return [*frames, *self._controls_if_changed()]

    def _shared(self, event: Event) -> Iterator[Frame]:
        """Yield all that the car may tell from now on; of a car that has fallen silent an empty position, and nothing else."""
        if event.name == "car_reset" or event.data.get("mode") in SILENT_MODES:
            self._known.pop("position", None)  # of a connection that began in silence nothing has left the car
            yield from self._withdrawn()
            return
        self._known.clear()
        yield from self._whole()

    def clear(self) -> Sequence[Frame]:
        """Return empty retained frames for each announcement and state: Home Assistant then removes the device."""
        vin = self._car.vin
        states = (self._topics.state(vin, group) for group in (*STATUS_GROUPS, CAR, CONTROLS))
        announced = announcement_topics(vin, load_entities(), self._discovery)
        return [Frame(topic=each, payload=b"", retain=True) for each in (*announced, self._topics.presence(vin), *states)]

    def _whole(self) -> list[Frame]:
        status = self._snapshot()
        frames = [
            Frame(topic=topic, payload=msgspec.json.encode(payload), retain=True, content_type="application/json")
            for topic, payload in self._announcement(status).messages(self._discovery)
        ]
        gone = self._announced.difference(each.topic for each in frames)
        self._announced = {each.topic for each in frames}
        frames += [Frame(topic=topic, payload=b"", retain=True) for topic in sorted(gone)]
        hidden = self._withdrawn() if status.position is None else ()
        return [
            *frames,
            *self._states(status),
            *hidden,
            self._retained(CAR, msgspec.json.encode(Reported.of(status))),
            *self._controls_if_changed(),
        ]

    def _announcement(self, status: Status) -> Announcement:
        return Announcement(
            car=self._car,
            head=self._topics.head(self._car.vin),
            entities=entities_of(status, self._commands),
            commands=self._commands,
            version=fleet.__version__,
        )

    def _states(self, status: Status) -> Iterator[Frame]:
        """Yield the groups of a status that are not known as they are."""
        for group in STATUS_GROUPS:
            value = getattr(status, group)
            if value is not None:
                payload = msgspec.json.encode(value)
                if self._known.get(group) != payload:
                    self._known[group] = payload
                    yield self._retained(group, payload)
        if status.doors is not None:
            self._doors = status.doors
            self._controls.lock = _lock_of(status.doors)
        if status.climate is not None:
            self._climate = status.climate
            if status.climate.target_c is not None and self._next_target_c is None:
                self._controls.target_c = status.climate.target_c

    def _withdrawn(self) -> Iterator[Frame]:
        """Yield an empty position, as the broker may still keep the one of before."""
        if self._known.get("position") != b"{}":
            self._known["position"] = b"{}"
            yield self._retained("position", b"{}")

    def _controls_if_changed(self) -> Iterator[Frame]:
        payload = msgspec.json.encode(self._controls)
        if self._known.get(CONTROLS) != payload:
            self._known[CONTROLS] = payload
            yield self._retained(CONTROLS, payload)

    def _retained(self, group: str, payload: bytes, properties: tuple[tuple[str, str], ...] = ()) -> Frame:
        return Frame(
            topic=self._topics.state(self._car.vin, group),
            payload=payload,
            retain=True,
            content_type="application/json",
            user_properties=properties,
        )

    def _answered(self, response: Response, now: Instant) -> None:
        """Show the lock at work from `accepted` on, and as the doors are when that has come to nothing.

        A target that came while climatisation was being started is sent after it: together they would be too many for the car.
        """
        if self._start is not None and response.command_id == self._start.id and response.state in TERMINAL_STATES:
            self._start = None
            if self._next_target_c is not None and response.state == "succeeded":
                self._restarts_at = now
            else:
                self._next_target_c = None
        at_work = _ON_ITS_WAY.get(response.name)
        if at_work is None or self._doors is None:
            return
        if response.state not in TERMINAL_STATES:
            self._controls.lock = at_work
        elif response.state != "succeeded":  # else the doors follow
            self._controls.lock = _lock_of(self._doors)

    # --- from Home Assistant

    def read(self, frame: Frame, now: Instant) -> Heard:
        """Read a command, what else our own cloud sends, or that Home Assistant has come online. Raises Undecodable."""
        if frame.topic == BIRTH_TOPIC:
            if frame.payload == b"online" and self._announces_at is None:
                self._announces_at = now + zlib.crc32(self._car.vin.encode()) % SPREAD
            return Heard()
        asked = self._topics.asked(frame.topic, self._car.vin)
        if asked is None:
            return Heard((self._plain.read_to_car(frame),))
        if frame.retain:
            raise Undecodable("retained", "a retained command is refused: it would run again at every connect")
        if len(frame.payload) > MOST_BYTES:
            raise Undecodable("size", f"{len(frame.payload)} bytes are more than {MOST_BYTES}")
        return self._heard(asked, frame.payload, now)

    def _heard(self, asked: str, payload: bytes, now: Instant) -> Heard:
        match asked:
            case "lock":
                return self._lock(_text(payload), now)
            case "climate_mode":
                return self._command(*self._climate_command(_text(payload)), now)
            case "target_c":
                return self._target(_number(payload), now)
            case _:
                return self._command(asked, _parameters(payload), now)

    def _lock(self, text: str, now: Instant) -> Heard:
        name = _LOCKS.get(text)
        if name is None:
            raise Undecodable("malformed", f"{text[:40]!r} is neither LOCK nor UNLOCK")
        return self._command(name, {}, now)

    def _climate_command(self, mode: str) -> tuple[str, dict[str, Any]]:
        """Return the command of a climate mode: `off` stops what runs."""
        if mode == "off":
            runs = _CLIMATE.get(self._climate.state) if self._climate is not None else None
            known = [name for name in CLIMATE_COMMANDS.values() if name in self._commands]
            return runs or (known or ["climatisation"])[0], {"action": "stop"}
        name = CLIMATE_COMMANDS.get(mode)
        if name is None:
            raise Undecodable("malformed", f"{mode[:40]!r} is no climate mode; known are off, {', '.join(CLIMATE_COMMANDS)}")
        return name, {"action": "start"} | ({"target_c": self._controls.target_c} if name == "climatisation" else {})

    def _target(self, target_c: float, now: Instant) -> Heard:
        """Keep the target for the next start, and bring the car to it at once where climatisation runs."""
        found = COMMANDS["climatisation"].entry.parameters["target_c"].misfit("target_c", target_c)
        if found is not None:
            raise Undecodable("malformed", found)
        self._controls.target_c = target_c
        shown = tuple(self._controls_if_changed())
        if self._start is not None and now <= self._start.expires_at:
            self._next_target_c = target_c
        elif self._climate is not None and self._climate.state == "climatisation":
            return self._command("climatisation", {"action": "start", "target_c": target_c}, now)._replace(frames=shown)
        return Heard(frames=shown)

    def _command(self, name: str, parameters: dict[str, Any], now: Instant) -> Heard:
        """Return the command with an id of our own, as Home Assistant gives none, and the time to live of the catalogue."""
        if name not in COMMANDS:
            raise Undecodable("unsupported", f"there is no command {name[:40]!r}")
        self._asked += 1
        command = Command(
            id=f"homeassistant-{now}-{self._asked}",
            vin=self._car.vin,
            name=name,
            issued_at=now,
            expires_at=now + command_type(name).time_to_live,
            parameters=parameters,
        )
        if name == "climatisation" and parameters.get("action") != "stop":
            self._start, self._next_target_c = command, None
        return Heard((command,))

    # --- by itself

    def deadline(self) -> Instant | None:
        """Return when the car announces itself anew, or goes on to another target."""
        return min((each for each in (self._announces_at, self._restarts_at) if each is not None), default=None)

    def wake(self, now: Instant) -> Sequence[Frame | Command]:
        """Start climatisation anew with a target that came meanwhile, and announce the car to a Home Assistant that is online."""
        due: list[Frame | Command] = []
        if self._restarts_at is not None and self._restarts_at <= now:
            self._restarts_at = None
            parameters = {"action": "start", "target_c": self._next_target_c}
            due += self._command("climatisation", parameters, now).messages  # type: ignore[arg-type]  # of commands alone
        if self._announces_at is not None and self._announces_at <= now:
            self._announces_at = None
            self._known.clear()
            due += self._whole()
        return due


def _lock_of(doors: Doors) -> str:
    """Return Home Assistant's word: locked is a car with all of its openings locked."""
    return "LOCKED" if all(getattr(doors, name).locked for name in Doors.__struct_fields__) else "UNLOCKED"


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Undecodable("encoding", f"{len(payload)} bytes are no text") from None


def _number(payload: bytes) -> float:
    try:
        return float(_text(payload))
    except ValueError:
        raise Undecodable("malformed", f"{_text(payload)[:40]!r} is no number") from None


def _parameters(payload: bytes) -> dict[str, Any]:
    if not payload:
        return {}
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Undecodable("malformed", f"{len(payload)} bytes are no JSON object with the parameters of a command") from None
