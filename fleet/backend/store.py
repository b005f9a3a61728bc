"""The store as the back end sees it: records, batches, and the protocol that every kind of store implements.

Readers beside the back end (tools, reports) open a store by `fleet.backend.reader`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from fleet.backend.decisions import AnswerGiven, Decided, ReplyGiven
from fleet.backend.known_numbers import BootKey, Seen
from fleet.backend.mail.letter import Letter
from fleet.backend.needles import Needle
from fleet.cloud.desk_io import CommandRecord, PresenceChanged, UserRecord
from fleet.cloud.dispatcher import MailState
from fleet.cloud.rule import Erase
from fleet.cloud.twin import Newest, Origin
from fleet.wire.messages import Presence, Stored


class Arrival(NamedTuple):
    """A counted message of a car as its row will be. `payload` is MessagePack whatever `content_type` it came in.

    Not the message itself: tens of thousands of objects that live until the commit are most of what decoding costs.
    `received_at`, `due_wall_us` and `sent_wall_us` are wall µs; `origin` is there for a status.
    """

    vin: str
    boot: int
    seq: int
    kind: str
    name: str | None
    trigger: str | None
    captured_at: int
    due_wall_us: int | None
    sent_wall_us: int | None
    received_at: int
    content_type: str | None
    payload: bytes
    origin: Origin | None


class QuarantinedFrame(NamedTuple):
    """A frame that was not understood, and why. `payload` is None where it may hold a secret."""

    received_at: int
    topic: str
    reason: str
    detail: str
    size: int
    payload: bytes | None
    vin: str | None
    boot: int | None
    seq: int | None


class Batch(msgspec.Struct):
    """The messages and decisions that are committed together. `writes` are the decisions of desk and centre.

    `forgotten` are messages of cars that were erased: they are counted, and not stored; each with whether its car is known
    (again), and so has rows for its numbers. `erased` are those of its writes that erase something.
    """

    arrivals: list[Arrival] = []
    presences: list[Presence] = []
    quarantined: list[QuarantinedFrame] = []
    writes: list[Decided] = []
    meta: dict[str, str] = {}
    prepared: Prepared | None = None
    forgotten: list[tuple[Arrival, bool]] = []
    erased: list[Erase] = []

    def __post_init__(self) -> None:
        """Know what is erased with the writes that it begins with."""
        self.erased = [write for decision in self.writes if type(write := decision.write) is Erase]

    def add(self, decision: Decided) -> None:
        """Add a decision of desk or centre."""
        self.writes.append(decision)
        if type(decision.write) is Erase:
            self.erased.append(decision.write)

    @property
    def size(self) -> int:
        """About how many rows it will write."""
        return len(self.arrivals) + len(self.presences) + len(self.quarantined) + len(self.writes) + len(self.forgotten)


class Prepared(msgspec.Struct):
    """The rows of a batch once duplicates are known; prepared once, so that a commit can be tried again."""

    fresh: list[Arrival] = []
    first_id: int = 0
    newest: dict[str, Newest] = {}
    sequences: dict[BootKey, Seen] = {}
    quarantined: list[QuarantinedFrame] = []
    refused: list[tuple[Arrival, QuarantinedFrame]] = []
    forgotten: list[BootKey] = []
    put_aside: dict[str, int] = {}
    forgotten_sequences: dict[BootKey, Seen] = {}
    erased_counts: dict[int, tuple[int, int]] = {}
    duplicates: int = 0

    @property
    def last_id(self) -> int:
        """The id of the last row, or the one before the first where there is none."""
        return self.first_id + len(self.fresh) - 1


class Committed(msgspec.Struct):
    """The outcome of a commit: the messages that were new, how many were not, and the numbers that are now stored of each boot.

    `refused` messages are in quarantine: nobody can tell any more whether they are new. `erased` counts by boot those that were
    not stored, since their car was erased: all, and those of cars that are known (again).
    """

    fresh: list[Arrival]
    duplicates: int
    sequences: Iterable[tuple[BootKey, Seen]]
    refused: list[tuple[Arrival, QuarantinedFrame]] = []
    erased: dict[int, tuple[int, int]] = {}

    @property
    def marks(self) -> list[tuple[str, Stored]]:
        """The stored numbers to send to the cars, until the next commit."""
        return [(vin, seen.mark(boot)) for (vin, boot), seen in self.sequences]


class Loaded(msgspec.Struct):
    """Everything that a back end needs to go on after a restart; `answers` each with the wall time at which it was given.

    `mails_sending` (id, tries) were about to leave when it ended, or are just now.
    """

    users: list[UserRecord]
    vins: list[str]
    presence: list[PresenceChanged]
    presence_boots: dict[str, int]
    commands: list[CommandRecord]
    replies: list[ReplyGiven]
    answers: list[tuple[AnswerGiven, int]]
    services: dict[str, dict[str, Any]]
    meta: dict[str, str]
    last_mail_id: int
    mails_sending: list[tuple[int, int]]


class StoredMail(NamedTuple):
    """A mail or push in the outbox, and how it stands; `due` is wall µs."""

    letter: Letter
    state: MailState
    tries: int
    due: int


class Store(Protocol):
    """The only writer of one store. One thread at a time may use it, but for what reads, and `copy_back`.

    Every method may raise StoreError and its kin.
    """

    path: Path
    first_id: int
    """The id of the first message that this writer stores."""
    beyond: Counter[str]
    """Counts of everything beyond the bounds of the store, by a text for people."""
    has_log: bool
    """True where a log grows that `copy_back` and `restart_log` keep short."""

    def load(self) -> Loaded:
        """Return what desk, service centre and consumer need to go on from here."""
        ...

    def commit(self, batch: Batch, stored_at: int) -> Committed:
        """Store a batch whole, or raise and store nothing of it; the same batch may be tried again. `stored_at` is wall µs."""
        ...

    def forget(self) -> None:
        """Let go of everything in memory that a failed batch may have changed."""
        ...

    def is_stored(self, vin: str, boot: int, seq: int) -> bool:
        """Tell whether a commit has seen the message of this number; also while another commit is under way."""
        ...

    def find_command(self, command_id: str) -> CommandRecord | None:
        """Return the command with this id, None when there never was one."""
        ...

    def waiting_mails(self, channel: str, limit: int) -> list[StoredMail]:
        """Return mails of a channel that are to be delivered, the first that is due first."""
        ...

    def find_mail(self, mail_id: int) -> StoredMail | None:
        """Return one mail, whatever its state; None when there is none."""
        ...

    def mails_of(self, erased: Erase) -> list[Letter]:
        """Return the committed letters to or about what is erased."""
        ...

    def needles_of(self, erased: Erase) -> list[Needle]:
        """Return what is to be found no more once this is erased: names, VINs, and some of the positions that are stored."""
        ...

    def save(self) -> None:
        """Write everything that was committed to where readers find it."""
        ...

    def truncate_log(self) -> bool:
        """Have nothing in the log that was written up to now; between two commits. False while a reader needs it."""
        ...

    def traces(self, needles: Sequence[Needle]) -> list[str]:
        """Return which of these its files hold, beside commits; in any thread."""
        ...

    def rewrite(self) -> None:
        """Write the file anew without what nobody uses any more, and empty the log; between two commits."""
        ...

    def look(self) -> None:
        """Raise StoreGone when the store is not at its place any more."""
        ...

    def copy_back(self) -> None:
        """Shorten the log as far as possible beside commits; in any thread."""
        ...

    def restart_log(self) -> None:
        """Shorten the log by the rest; between two commits."""
        ...

    def close(self) -> None:
        """Close it; commits are kept. Safe to call twice."""
        ...


class OpenStore(Protocol):
    """Opens or creates a store for writing. Raises StoreError and its kin, also when another back end has it open."""

    def __call__(self, path: Path, /, *, created_by: str) -> Store: ...
