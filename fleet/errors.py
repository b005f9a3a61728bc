"""Every error the project raises on purpose.

    FleetError
    ├── UsageError                what the user asked for cannot be done as asked
    │   ├── UnknownName           with the nearest right name
    │   ├── InvalidVin
    │   └── FileError             file:line:column, what was expected
    │       ├── ScenarioError
    │       └── MappingError      of a dialect
    ├── Undecodable               bytes that are not a message; goes to quarantine
    ├── Unwritable                a message that a dialect has no words for
    ├── LinkError                 the connection to a broker
    │   ├── Unreachable           no connection came about
    │   ├── ConnectRefused        the broker answered no, with its reason
    │   ├── SubscribeRefused
    │   ├── PublishRefused        definite: the broker did not take the message
    │   └── ConnectionLost        what was under way may still have arrived
    ├── StoreError
    │   ├── StoreTooNew
    │   ├── StoreLocked           for the moment
    │   ├── StoreFull
    │   └── StoreGone             the file is not the one that was written to
    ├── JournalError              file:line, a journal that cannot be read
    └── BrokerError               the private Mosquitto could not be run

An error carries its fields, and `hint` says what to do next: it is a note of the exception, so that a traceback ends with it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from fleet.addresses import address_of


class FleetError(Exception):
    """Root of all errors raised on purpose; `str(error)` is for people, `hint` is the next step (or "")."""

    _hint = ""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def hint(self) -> str:
        """Advice on the next step, or "". An uncaught error shows it as a note below its message."""
        return self._hint

    @hint.setter
    def hint(self, hint: str) -> None:
        if self._hint:
            self.__notes__.remove(self._hint)
        self._hint = hint
        if hint:
            self.add_note(hint)

    def to_plain(self) -> dict[str, Any]:
        """Write for JSON, so that another process can raise it: kind, words, hint, and its fields as far as they are plain."""
        fields = {name: value for name, value in vars(self).items() if not name.startswith("_") and _is_plain(value)}
        return {"kind": type(self).__name__, "text": str(self), "hint": self.hint, "fields": fields}

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> FleetError:
        """Read what `to_plain` has written; a kind that is not known here is a FleetError."""
        kinds = {kind.__name__: kind for kind in _kinds(FleetError)}
        kind = kinds.get(plain["kind"], FleetError)
        error = kind.__new__(kind)
        FleetError.__init__(error, plain["text"], hint=plain["hint"])
        vars(error).update(plain["fields"])
        return error


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def _kinds(root: type[FleetError]) -> Iterable[type[FleetError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


class UsageError(FleetError):
    """A request that cannot be fulfilled as it stands: a wrong option, name or combination."""


class UnknownName(UsageError):
    """A name that does not exist; the hint names the nearest one that does, or all of them."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.known = sorted(known)
        super().__init__(f"unknown {kind} {name!r}", hint=nearest_hint(name, self.known))


class InvalidVin(UsageError):
    """A vehicle identification number that is not one."""

    def __init__(self, text: str, problem: str) -> None:
        self.text = text
        super().__init__(
            f"{text[:40]!r} is not a VIN: {problem}", hint="A VIN has 17 characters, A-Z and 0-9 without I, O and Q."
        )


class FileError(UsageError):
    """A file written by people that cannot be used; says where and what was expected."""

    def __init__(self, message: str, *, file: str, line: int, column: int, hint: str = "") -> None:
        self.file = file
        self.line = line
        self.column = column
        super().__init__(f"{file}:{line}:{column}: {message}", hint=hint)

    def and_more(self, count: int, command: str) -> Self:
        """Return this error, the first of `count` more in its file; `command` shows them all."""
        message = str(self).removeprefix(f"{self.file}:{self.line}:{self.column}: ")
        hint = f"{self.hint} And {count} more: {command}".strip()
        return type(self)(message, file=self.file, line=self.line, column=self.column, hint=hint)


class ScenarioError(FileError):
    """A scenario file that cannot be used."""


class RegionError(FileError):
    """A region file that cannot be used."""


class MappingError(FileError):
    """A mapping file of a dialect that cannot be used."""


class Undecodable(FleetError):
    """A payload or a topic that is no message of ours. `reason` is one word for counting."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


class Unwritable(FleetError):
    """A message that a dialect should write and cannot, such as a value without a word. `reason` is one word for counting."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


class LinkError(FleetError):
    """Something about the connection to a broker."""


class Unreachable(LinkError):
    """No connection to the broker came about."""

    def __init__(self, host: str, port: int, cause: str, *, hint: str = "") -> None:
        self.host = host
        self.port = port
        self.cause = cause
        super().__init__(
            f"no connection to {address_of(host, port)}: {cause}",
            hint=hint or "Is the broker running there, and is the port right?",
        )


class ConnectRefused(LinkError):
    """The broker answered the CONNECT with a reason code of 0x80 or above."""

    def __init__(self, client_id: str, code: int, name: str, *, hint: str = "") -> None:
        self.client_id = client_id
        self.code = code
        self.name = name
        super().__init__(f"the broker refused the connection of {client_id!r}: {name} (0x{code:02X})", hint=hint)


class SubscribeRefused(LinkError):
    """The broker answered a SUBSCRIBE with a reason code of 0x80 or above."""

    def __init__(self, client_id: str, topic_filter: str, code: int, name: str, *, hint: str = "") -> None:
        self.client_id = client_id
        self.topic_filter = topic_filter
        self.code = code
        self.name = name
        super().__init__(
            f"the broker refused {client_id!r} the subscription to {topic_filter!r}: {name} (0x{code:02X})",
            hint=hint or "Does the broker's access control allow this user to read that topic?",
        )


class PublishRefused(LinkError):
    """The broker answered a PUBLISH with a reason code of 0x80 or above: the message was not taken."""

    def __init__(self, client_id: str, topic: str, code: int, name: str, *, hint: str = "") -> None:
        self.client_id = client_id
        self.topic = topic
        self.code = code
        self.name = name
        super().__init__(
            f"the broker refused {client_id!r} a publish to {topic!r}: {name} (0x{code:02X})",
            hint=hint or "Does the broker's access control allow this user to write that topic?",
        )


class ConnectionLost(LinkError):
    """The connection broke; what was under way may still have arrived.

    `taken_over` tells whether another client came with the same client id: None where nobody said why it ended, as brokers do
    that close the connection of the older client without a word.
    """

    def __init__(self, message: str, *, hint: str = "", taken_over: bool | None = False) -> None:
        self.taken_over = taken_over
        super().__init__(message, hint=hint)


class StoreError(FleetError):
    """Something about the store of the back end."""


class StoreTooNew(StoreError):
    """The store was written by a newer version."""

    def __init__(self, path: str, found: int, known: int) -> None:
        self.path = path
        self.found = found
        self.known = known
        super().__init__(
            f"{path} has schema version {found}; this fleet knows up to {known}",
            hint="Use the fleet version that wrote it, or another --store.",
        )


class StoreTooOld(StoreError):
    """The store was written by an earlier version, and nobody has brought it up to date."""

    def __init__(self, path: str, found: int, known: int) -> None:
        self.path = path
        self.found = found
        self.known = known
        super().__init__(
            f"{path} has schema version {found} of an earlier fleet; this one reads {known}",
            hint=f"`fleet migrate {path}` brings it up to date, and keeps a copy of it as it is.",
        )


class StoreLocked(StoreError):
    """Another program holds the file; nothing of the batch was acknowledged."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path} is locked by another program", hint="Does something else write to it? Only the back end may.")


class StoreFull(StoreError):
    """No room to commit; nothing of the batch was acknowledged."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"no room left to write {path}",
            hint="Free space there; what was not committed stays with the broker and is delivered again.",
        )


class StoreGone(StoreError):
    """The store's file was removed, replaced or overwritten while the back end ran; nothing is acknowledged any more."""

    def __init__(self, path: str, what: str) -> None:
        self.path = path
        super().__init__(
            f"{path} {what} while the back end ran",
            hint="What was not acknowledged stays with the broker. Put the file back, or name another --store, and start again.",
        )


class JournalError(FleetError):
    """A journal that cannot be read on, or not at all; says where. `line` is 0 when it is about the whole file."""

    def __init__(self, message: str, *, file: str, line: int = 0, hint: str = "") -> None:
        self.file = file
        self.line = line
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}", hint=hint)


class BrokerError(FleetError):
    """The private Mosquitto could not be started or died."""


def nearest_hint(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest of `known`; without a near one, list them all."""
    names = sorted(known)
    by_lower = {known_name.lower(): known_name for known_name in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {by_lower[close[0]]!r}?"
    return f"Known: {', '.join(names)}." if names else ""


def error_place(error: Exception) -> str:
    """Return the kind of an error and where it was raised; never its text, in which there may be an S-PIN."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" in {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"{type(error).__name__}{place}"
