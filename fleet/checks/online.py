"""Whether each online request has one end, and the end is what the back end replied in time.

Source: requests of the domain description, their time-outs, fields and errors in the catalogue of services.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fleet.checks.check import Check, Handlers, is_first, is_paired
from fleet.checks.people import KnownPeople
from fleet.kernel.instants import Instant, format_instant
from fleet.observe.journal import Begin, Input, Output
from fleet.vehicle.catalogue import Equipment
from fleet.wire.services import load_services

REMEMBERED: Final = 128
"""Requests of a car that are known once they have ended."""
CENTRE: Final = "centre"
ENDS: Final = frozenset({"request_answered", "request_failed", "request_timed_out"})
ANYWHERE: Final = frozenset({"malformed", "argument_out_of_range", "unsupported", "internal"})
"""Errors that every request can get."""
OF_PEOPLE: Final = frozenset({
    "insufficient_rights", "consent_missing", "licence_missing", "licence_inactive", "licence_expired", "service_deactivated",
    "privacy_location", "privacy_offline",
})  # fmt: skip
"""Errors that a request of a car with people, licences or switches of the app can get."""
WITH_PLUG: Final = frozenset({"plug_and_charge"})
"""The only one of these services that needs a plug, and no navi system."""
ANY_CAR: Final = frozenset({"enrolment", "log_in"})
"""Requests that need neither."""


class _Asked(NamedTuple):
    """A request that a car has sent, and that has no end yet."""

    name: str
    expires_at: Instant
    line: int


class _Got(NamedTuple):
    """A reply that has come to a car."""

    at: Instant
    error: str | None


def _remember(known: OrderedDict[str, Any], key: str, value: Any) -> None:
    known[key] = value
    if len(known) > REMEMBERED:
        known.popitem(last=False)


class RequestEnds(Check):
    """A request that was sent ends once, at its time-out at the latest; who sends a status of a later time has reported its end.

    A car that falls silent, or is reset, need not tell any more.
    """

    name = "request ends"
    rule = "each online request has exactly one end, at the latest at its time-out"
    looks_at = "requests"

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._open: dict[str, dict[str, _Asked]] = {}
        self._ended: dict[str, OrderedDict[str, str]] = {}
        self._excused: set[str] = set()

    def handlers(self) -> Handlers:
        return {
            ("out", "Transmit"): self._sent,
            ("in", "SetPrivacy"): self._silenced,
            ("in", "ResetCar"): self._silenced,
            ("in", "DeleteUser"): self._silenced,
            ("in", "PairCar"): self._silenced,
            ("in", "Received", "Command"): self._commanded,
        }

    def forget(self, machine: str) -> None:
        """Excuse the open request of the car: it may end during the silence."""
        self._excused.add(machine)
        self._open.pop(machine, None)

    def _commanded(self, record: Input, line: int) -> None:
        if record.data["message"]["name"] in {"reset", "enrol_user"}:
            self._silenced(record, line)

    def _silenced(self, record: Input, _line: int) -> None:
        self.forget(record.m)  # what waited may have been dropped unsent, and time out all the same

    def _sent(self, record: Output, line: int) -> None:
        if not is_first(record):
            return
        message = record.data["message"]
        if is_paired(record):
            self.forget(record.m)  # until then it told no end of an enrolment
        match record.of:
            case "Request":
                self.looked_at += 1
                asked = _Asked(message["name"], message["expires_at"], line)
                self._open.setdefault(record.m, {})[message["id"]] = asked
            case "Event" if message["name"] in ENDS:
                self._end(record.m, message, line)
            case "Status":
                for request_id, asked in list(self._open.get(record.m, {}).items()):
                    if asked.expires_at < message["captured_at"]:
                        del self._open[record.m][request_id]
                        when = format_instant(asked.expires_at)
                        self.breach(line, record.m, f"expected an end of {asked.name} {request_id} by {when}, but none was told")
            case _:
                pass

    def _end(self, machine: str, event: dict[str, Any], line: int) -> None:
        request_id, how = event["data"]["id"], event["name"]
        ended = self._ended.setdefault(machine, OrderedDict())
        asked = self._open.get(machine, {}).pop(request_id, None)
        what = f"{event['data']['request']} {request_id}"
        if request_id in ended:
            self.breach(line, machine, f"{what} ended as {ended[request_id]}, but ends again as {how}")
        elif asked is None and how != "request_failed" and machine not in self._excused:
            self.breach(line, machine, f"{what} ends as {how}, but was never asked")
        elif asked is not None and asked.name != event["data"]["request"]:
            self.breach(line, machine, f"{what} ends, but {asked.name} was asked")
        elif asked is not None and event["captured_at"] > asked.expires_at:
            self.breach(line, machine, f"{what} ends at {format_instant(event['captured_at'])}, after its time-out")
        _remember(ended, request_id, how)


class RepliesHeard(Check):
    """A car says that it has an answer, or an error, when such a reply came in time; and a time-out when none did."""

    name = "replies heard"
    rule = "what a car says of a request's end is what was replied to it before its time-out"
    looks_at = "ends"

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._asked: dict[str, OrderedDict[str, _Asked]] = {}
        self._got: dict[str, OrderedDict[str, _Got]] = {}

    def handlers(self) -> Handlers:
        return {
            ("out", "Transmit", "Request"): self._asks,
            ("in", "Received", "Reply"): self._hears,
            ("out", "Transmit", "Event"): self._tells,
        }

    def _asks(self, record: Output, line: int) -> None:
        message = record.data["message"]
        asked = _Asked(message["name"], message["expires_at"], line)
        _remember(self._asked.setdefault(record.m, OrderedDict()), message["id"], asked)

    def _hears(self, record: Input, _line: int) -> None:
        reply = record.data["message"]
        asked = self._asked.get(record.m, {}).get(reply["id"])
        got = self._got.setdefault(record.m, OrderedDict())
        if asked is not None and asked.name == reply["name"] and record.t < asked.expires_at and reply["id"] not in got:
            _remember(got, reply["id"], _Got(record.t, reply.get("error")))

    def _tells(self, record: Output, line: int) -> None:
        event = record.data["message"]
        if event["name"] not in ENDS or not is_first(record):
            return
        request_id = event["data"]["id"]
        asked = self._asked.get(record.m, {}).get(request_id)
        if asked is None:
            return  # it was not asked: another check's matter
        self.looked_at += 1
        got = self._got.get(record.m, {}).get(request_id)
        for told in _wrong(event, asked, got):
            self.breach(line, record.m, f"{asked.name} {request_id} {told}")


def _wrong(event: dict[str, Any], asked: _Asked, got: _Got | None) -> list[str]:
    """Return what is wrong with an end, given the first reply that came in time."""
    how, at = event["name"], event["captured_at"]
    if how == "request_timed_out":
        if got is not None:
            return [f"timed out, but a reply came at {format_instant(got.at)}"]
        when = format_instant(at)
        return [] if at == asked.expires_at else [f"timed out at {when}, and not at {format_instant(asked.expires_at)}"]
    if got is None:
        return [f"ends as {how}, but no reply came in time"]
    found = [] if at == got.at else [f"ended at {format_instant(at)}, and the reply came at {format_instant(got.at)}"]
    reason = event["data"].get("reason") if how == "request_failed" else None
    if got.error != reason:
        found.append(f"ends as {how} ({reason}), but the reply has the error {got.error}")
    return found


class RepliesFit(Check):
    """The back end replies to what it was asked, once, with the fields of the catalogue or one of its errors."""

    name = "replies fit"
    rule = "a request is replied at most once, to its car and under its name, with the fields or an error of the catalogue"
    looks_at = "replies"

    def __init__(self, begin: Begin, people: KnownPeople) -> None:
        super().__init__(begin)
        self._people = people
        self._asked: dict[str, OrderedDict[str, str]] = {}
        self._known = load_services().requests

    def handlers(self) -> Handlers:
        return {
            ("in", "Request"): lambda record, _line: self._given(record.data),
            ("in", "RequestProven"): lambda record, _line: self._given(record.data["request"]),
            ("out", "SendReply"): self._replied,
        }

    def _given(self, request: Mapping[str, Any]) -> None:
        _remember(self._asked.setdefault(request["vin"], OrderedDict()), request["id"], request["name"])

    def _replied(self, record: Output, line: int) -> None:
        vin, reply = record.data["vin"], record.data["reply"]
        name, error = reply["name"], reply.get("error")
        entry = self._known.get(name)
        if entry is None:
            return  # a reply to an event, such as a call
        self.looked_at += 1
        asked = self._asked.get(vin, {}).pop(reply["id"], None)
        told = None
        if asked != name:
            told = "was not asked so, or is replied again" if asked is None else f"is replied, but {asked} was asked"
        elif error is not None and error not in (*entry.errors, *ANYWHERE) and not self._is_of_people(vin, error):
            told = f"has the error {error}, which it cannot have"
        elif error is None and set(reply.get("data", {})) != set(entry.answer):
            told = f"is answered with {sorted(reply.get('data', {}))}, and not with {sorted(entry.answer)}"
        if told is not None:
            self.breach(line, CENTRE, f"{name} {reply['id']} {told}", subject=f"request of {vin}")

    def _is_of_people(self, vin: str, error: str) -> bool:
        return error in OF_PEOPLE and self._people.counts(vin)


class RequestRule(Check):
    """Online services need the navi system, but for plug and charge, which needs a socket for the plug."""

    name = "request rule"
    rule = "only a car with a navi system asks online services; plug and charge needs a plug alone"
    looks_at = "requests of known cars"

    def __init__(self, begin: Begin, equipment: Mapping[str, Equipment]) -> None:
        """Take the equipment of the cars, by VIN, as far as it is known."""
        super().__init__(begin)
        self._equipment = equipment

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Request"): self._asks}

    def _asks(self, record: Output, line: int) -> None:
        message = record.data["message"]
        fitted = self._equipment.get(message["vin"])
        if fitted is None or not is_first(record):
            return
        self.looked_at += 1
        if message["name"] in WITH_PLUG:
            if fitted.energy not in {"electric", "e-hybrid"}:
                self.breach(line, record.m, f"asks {message['name']}, and has no plug")
        elif message["name"] not in ANY_CAR and fitted.media != "navi_system":
            self.breach(line, record.m, f"asks {message['name']}, and has no navi system")
