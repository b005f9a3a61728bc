"""The services of VISS 3.2: each command of ours is a procedure that can be invoked, monitored, cancelled and discovered. Pure.

A procedure goes on until the car has ended it: a heater's invocation is ONGOING while it heats, and SUCCESSFUL when its time is
over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from fleet.dialects.vss.filters import VissError, bad_request, invalid_data, read_period, unavailable
from fleet.dialects.vss.viss import (
    Answer,
    Asked,
    Object,
    Outcome,
    as_text,
    error_of,
    new_command,
    read_asked,
    read_path,
)
from fleet.kernel.instants import MILLISECOND, Duration, Instant, format_instant
from fleet.wire.commands import COMMANDS, LONGEST_TIME_TO_LIVE
from fleet.wire.messages import TERMINAL_STATES, Command, Event, Response
from fleet.wire.parameters import PARAMETERS

MOST_SESSIONS: Final = 32
"""Invocations and monitorings of one car; more are refused with 429."""
ROOT: Final = "VehicleService"
ACTIONS: Final = ("invoke", "monitor", "cancel", "discover")
VARIANTS: Final = ("all", "status", "timebased", "none")
LASTING: Final = {name: f"{name}_ended" for name in ("heater", "ventilation", "climatisation")}
"""Services that go on after they have started, each with the event that is its end."""
CANCELLED: Final = frozenset({"stopped", "restarted", "engine_start", "cancelled"})
"""Reasons of an end that somebody wanted before the time; those of a start that was stopped on its way are among them."""


def _path_of(name: str) -> str:
    words = "".join(word.capitalize() for word in name.split("_"))
    return f"{ROOT}.{COMMANDS[name].entry.group.capitalize()}.{words}"


PATHS: Final = {_path_of(name): name for name in COMMANDS}
"""The procedures, by path: `VehicleService.Access.Lock` …"""


class Session:
    """A client that is told of an invocation: its own, or one that it monitors."""

    __slots__ = ("asked", "due", "invocation", "is_owner", "period", "variant")

    def __init__(self, asked: Asked, invocation: Invocation, variant: str, period: Duration, *, is_owner: bool) -> None:
        self.asked = asked
        self.invocation = invocation
        self.variant = variant
        self.period = period
        self.is_owner = is_owner
        self.due: Instant | None = None


class Invocation:
    """A procedure that was invoked, until it has ended. `asked` is None once the invocation was answered."""

    __slots__ = ("asked", "indata", "is_start", "name", "owner", "path", "status")

    def __init__(self, asked: Asked, path: str, indata: Object, *, is_start: bool) -> None:
        self.asked: Asked | None = asked
        self.path = path
        self.name = PATHS[path]
        self.indata = indata
        self.is_start = is_start
        self.status = "UNKNOWN"
        self.owner = ""


class Last(NamedTuple):
    """The newest that is known of a procedure."""

    status: str
    indata: Object
    outdata: Object | None


class VissServices:
    """The procedures of one car."""

    def __init__(self, vin: str) -> None:
        self.vin = vin
        self._invocations: dict[str, Invocation] = {}
        self._sessions: dict[str, Session] = {}
        self._last: dict[str, Last] = {}
        self._cancelling: dict[str, tuple[Asked, str]] = {}
        self._made = 0

    def request(self, topic: str, request: Mapping[str, Any], now: Instant) -> Outcome:
        """Take a request for one of `ACTIONS`, that is authorized."""
        asked = read_asked(topic, request)
        try:
            match asked.action:
                case "invoke":
                    return self._invoke(asked, request, now)
                case "monitor":
                    return self._monitor(asked, request, now)
                case "cancel":
                    return self._cancel(asked, request, now)
                case _:
                    return Outcome((asked.answer(now, metadata=_metadata(read_path(request))),))
        except VissError as error:
            return Outcome((asked.error(now, error, **({} if asked.action == "discover" else {"status": "FAILED"})),))

    # --- invoke

    def _invoke(self, asked: Asked, request: Mapping[str, Any], now: Instant) -> Outcome:
        path = _read_procedure(request)
        variant, period = _read_variant(request.get("filter"))
        parameters = _read_input(PATHS[path], request.get("input", {}))
        if len(self._invocations) >= MOST_SESSIONS or len(self._sessions) >= MOST_SESSIONS:
            raise VissError(429, "too_many_requests", "Too many services are under way")
        command = new_command(self.vin, PATHS[path], parameters, now, self._name("viss", now))
        command = _in_time(command, request.get("timeout"), now)
        indata = {"input": request.get("input", {}), "ts": format_instant(now)}
        invocation = Invocation(asked, path, indata, is_start=parameters.get("action") != "stop")
        self._invocations[command.id] = invocation
        if variant != "none":
            invocation.owner = self._open(Session(asked, invocation, variant, period, is_owner=True), now)
        return Outcome(commands=(command,))

    def _name(self, what: str, now: Instant) -> str:
        self._made += 1
        return f"{what}-{now}-{self._made}"

    def _open(self, session: Session, now: Instant) -> str:
        self._made += 1
        name = str(self._made)
        if session.variant == "timebased":
            session.due = now + session.period
        self._sessions[name] = session
        return name

    # --- monitor, cancel

    def _monitor(self, asked: Asked, request: Mapping[str, Any], now: Instant) -> Outcome:
        path = _read_procedure(request)
        variant, period = _read_variant(request.get("filter"))
        ongoing = [each for each in self._invocations.values() if each.path == path and each.status == "ONGOING"]
        if not ongoing:
            last = self._last.get(path)
            told: Object = {"status": "UNKNOWN"} if last is None else {"status": last.status, "indata": last.indata}
            if last is not None and last.outdata is not None:
                told["outdata"] = last.outdata
            return Outcome((asked.answer(now, path=path, **told),))
        told = {"path": path, "status": "ONGOING", "indata": ongoing[-1].indata}
        if variant != "none":
            if len(self._sessions) >= MOST_SESSIONS:
                raise VissError(429, "too_many_requests", "Too many services are monitored")
            told["serviceId"] = self._open(Session(asked, ongoing[-1], variant, period, is_owner=False), now)
        return Outcome((asked.answer(now, **told),))

    def _cancel(self, asked: Asked, request: Mapping[str, Any], now: Instant) -> Outcome:
        name = request.get("serviceId")
        session = self._sessions.get(name) if isinstance(name, str) else None
        if session is None:
            raise bad_request("Missing or unknown serviceId")
        assert isinstance(name, str)
        invocation = session.invocation
        if not session.is_owner:
            del self._sessions[name]
            return Outcome((asked.answer(now, status="CANCELED", serviceId=name),))
        if "action" not in COMMANDS[invocation.name].entry.parameters or not invocation.is_start:
            raise VissError(403, "forbidden_request", f"{invocation.path} cannot be cancelled")
        command = new_command(self.vin, invocation.name, {"action": "stop"}, now, self._name("viss-cancel", now))
        self._cancelling[command.id] = (asked, name)
        return Outcome(commands=(command,))

    # --- what came of them

    def answered(self, response: Response, now: Instant) -> list[Answer]:
        """Tell those concerned of a step of a command's life."""
        cancelling = self._cancelling.get(response.command_id)
        if cancelling is not None:
            return self._cancel_answered(response, *cancelling, now)
        invocation = self._invocations.get(response.command_id)
        if invocation is None:
            return []
        if response.state not in TERMINAL_STATES or (
            response.state == "succeeded" and invocation.name in LASTING and invocation.is_start
        ):
            return self._step(invocation, "ONGOING", now)
        del self._invocations[response.command_id]
        if response.state == "succeeded":
            return self._step(invocation, "SUCCESSFUL", now)
        status = "CANCELED" if response.reason in CANCELLED else "FAILED"
        return self._step(invocation, status, now, error=error_of(response))

    def happened(self, event: Event, now: Instant) -> list[Answer]:
        """Tell those concerned that a service has ended of which this is the end."""
        ended = [key for key, each in self._invocations.items() if _is_end_of(event, each)]
        answers: list[Answer] = []
        for key in ended:
            reason = str(event.data.get("reason"))
            status = "CANCELED" if reason in CANCELLED else "SUCCESSFUL" if reason == "time" else "FAILED"
            error = VissError(503, "service_unavailable", reason) if status == "FAILED" else None
            output = {name: as_text(value) for name, value in event.data.items() if isinstance(value, bool | int | float | str)}
            outdata = {"output": output, "ts": format_instant(event.captured_at)}
            answers += self._step(self._invocations.pop(key), status, now, outdata=outdata, error=error)
        return answers

    def _cancel_answered(self, response: Response, asked: Asked, name: str, now: Instant) -> list[Answer]:
        if response.state not in TERMINAL_STATES:
            return []
        del self._cancelling[response.command_id]
        session = self._sessions.pop(name, None)
        if response.state != "succeeded":
            if session is not None:
                self._sessions[name] = session
            return [asked.error(now, error_of(response), status="FAILED", serviceId=name)]
        answers = [asked.answer(now, status="CANCELED", serviceId=name)]
        if session is not None:
            for key in [key for key, each in self._invocations.items() if each is session.invocation]:
                del self._invocations[key]
                answers += self._step(session.invocation, "CANCELED", now)
        return answers

    def _step(
        self, invocation: Invocation, status: str, now: Instant, *, outdata: Object | None = None, error: VissError | None = None
    ) -> list[Answer]:
        """Answer the invocation when that is still to be done, and send an event to the sessions that want one."""
        changed = invocation.status != status
        invocation.status = status
        self._last[invocation.path] = Last(status, invocation.indata, outdata)
        told: Object = {"status": status, **({} if error is None else {"error": error.as_object()})}
        answers: list[Answer] = []
        first = invocation.asked
        if first is not None:
            invocation.asked = None
            of_answer = {} if error is not None else {"path": invocation.path, **({"outdata": outdata} if outdata else {})}
            if invocation.owner and status == "ONGOING":
                of_answer["serviceId"] = invocation.owner
            answers.append(first.answer(now, **of_answer, **told))
        for name, session in [item for item in self._sessions.items() if item[1].invocation is invocation]:
            if (not session.is_owner or first is None) and (changed or session.variant == "all"):
                answers.append(_event(name, session, told, outdata, now))
            if status != "ONGOING":
                del self._sessions[name]
        return answers

    # --- by time

    def deadline(self) -> Instant | None:
        """Return when the next event of a timebased session is due."""
        return min((session.due for session in self._sessions.values() if session.due is not None), default=None)

    def wake(self, now: Instant) -> list[Answer]:
        """Return the events that are due."""
        events = []
        for name, session in self._sessions.items():
            if session.due is not None and session.due <= now:
                session.due += session.period * ((now - session.due) // session.period + 1)
                if session.invocation.asked is None:
                    events.append(_event(name, session, {"status": session.invocation.status}, None, now))
        return events


def _is_end_of(event: Event, invocation: Invocation) -> bool:
    return LASTING.get(invocation.name) == event.name and invocation.is_start and invocation.status == "ONGOING"


def _event(name: str, session: Session, told: Object, outdata: Object | None, now: Instant) -> Answer:
    more = {} if outdata is None else {"outdata": outdata}
    asked = Asked(session.asked.topic, "monitoring", None)
    return asked.answer(now, path=session.invocation.path, serviceId=name, **told, **more)


def _read_procedure(request: Mapping[str, Any]) -> str:
    path = read_path(request)
    if path not in PATHS:
        raise unavailable("Data is unknown: the path names no service; discover lists them")
    return path


def _read_variant(filter_: Any) -> tuple[str, Duration]:
    """Read the filter of a service: `all` when there is none."""
    if filter_ is None:
        return "all", 0
    variant = filter_.get("variant") if isinstance(filter_, Mapping) else None
    if variant not in VARIANTS:
        raise bad_request(f"Missing or invalid filter: the variant of a service is one of {', '.join(VARIANTS)}")
    return variant, read_period(filter_.get("parameter")) if variant == "timebased" else 0


def _read_input(name: str, given: Any) -> Object:
    """Read the input as parameters of the command: strings stand for numbers and truth values, as VISS has all values."""
    try:
        parameters = msgspec.convert(given, PARAMETERS[name], strict=False)
    except msgspec.ValidationError as error:
        raise invalid_data(f"The input does not fit {_path_of(name)}: {error}") from None
    known = msgspec.to_builtins(parameters)
    return {key: value for key, value in known.items() if key in given or key == "action"}


def _in_time(command: Command, timeout_ms: Any, now: Instant) -> Command:
    """Return the command with the time to live that the request wants, in ms."""
    text = str(timeout_ms)
    if timeout_ms is None or not text.isdecimal() or len(text) > 12:
        return command
    return msgspec.structs.replace(command, expires_at=now + min(int(text) * MILLISECOND, LONGEST_TIME_TO_LIVE))


def _metadata(path: str) -> Object:
    """Return the procedures at and below a path, with the type and range of each input."""
    found: Object = {}
    for procedure, name in PATHS.items():
        if procedure == path or procedure.startswith(path + ".") or path == ROOT:
            _, group, word = procedure.split(".")
            inputs = {
                key: {"type": "property", "datatype": each.type, **({"unit": each.unit} if each.unit else {})}
                for key, each in COMMANDS[name].entry.parameters.items()
            }
            node = {"type": "procedure", "Input": {"type": "iostruct", **inputs}}
            found.setdefault(group, {"type": "branch"})[word] = node
    if not found:
        raise unavailable("Data is unknown: the path names no service")
    return found
