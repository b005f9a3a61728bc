"""The journal of a run: what every machine was given and wanted, every frame and connection, a JSON object a line.

Writes and reads the format, which docs/journal.md describes; knows neither cars nor desk. The same records give the same
bytes: fields have a fixed order, and nothing is written that is not handed in.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar, cast

import msgspec
import structlog

from fleet.errors import JournalError
from fleet.kernel.instants import Instant

FORMAT: Final = "fleet-journal/1"
JOURNAL: Final = "journal.jsonl"
BACKEND_PART: Final = "journal-backend.jsonl"
"""What a back end of a run writes beside `journal.jsonl`, until the two are merged."""
NOT_YET: Final = 0
"""The time of what a back end does before it was told the scenario time."""
RECORDS_AT_ONCE: Final = 32
"""Records that are encoded together. More would be held longer: they fall out of the processor's cache, and the collector
of garbage looks at what they hold."""
BLOCK_BYTES: Final = 256 * 1024
"""What is written together."""

log = structlog.get_logger()


class Line(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What every record starts with: scenario time, the machine, and the kind of record.

    A field is left out where it has its default; those that are always written have a factory for it.
    """

    t: Instant
    m: str
    k: str


class Begin(Line, frozen=True):
    """The first line: of which run this is the journal, and all that is needed to make its cars again.

    `parts` are the processes whose records are here. A back end alone knows nothing of the rest.
    """

    format: str = msgspec.field(default_factory=lambda: FORMAT)
    version: str = ""
    parts: tuple[str, ...] = ()
    seed: int | None = None
    start: Instant | None = None
    boot: int | None = None
    clock: str | None = None
    until_stored: bool = False
    index: int = 0
    count: int = 1
    scenario: dict[str, Any] | None = None


class End(Line, frozen=True):
    """The last line. Not `complete`: records are missing before it, and `note` says why."""

    complete: bool = msgspec.field(default_factory=bool)
    account: dict[str, int] = {}
    note: str = ""


class Input(Line, frozen=True):
    """What a machine was given: its type, the type of its message, its fields. `now` is there where it was told another time."""

    type: str = ""
    of: str | None = None
    now: Instant | None = None
    data: Any = None


class Wake(Line, frozen=True):
    """A machine was woken for what is due."""

    now: Instant | None = None


class Output(Line, frozen=True):
    """What a machine wanted done, after the input or wake before it."""

    type: str = ""
    of: str | None = None
    data: Any = None


class FrameSeen(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A frame that is said later or perhaps never: a will, or the last word."""

    topic: str
    bytes: int
    crc32: int | None = None
    retain: bool = False
    delay_s: int | None = None


class Opened(Line, frozen=True):
    """A link starts connecting, with the will it announces."""

    clean_start: bool = False
    keep_alive_s: int = 0
    session_expiry_s: int = 0
    subscriptions: tuple[tuple[str, int], ...] = ()
    will: FrameSeen | None = None


class Up(Line, frozen=True):
    """The broker accepted the connection."""

    session_present: bool = msgspec.field(default_factory=bool)


class Down(Line, frozen=True):
    """The connection is gone, or none came about; without a reason the link itself gave it up."""

    reason: str | None = None
    detail: str | None = None


class Dropped(Line, frozen=True):
    """The link cut its connection without a word."""


class Closed(Line, frozen=True):
    """The link says good-bye."""

    end_session: bool = False
    last: FrameSeen | None = None


class Published(Line, frozen=True):
    """A frame went out. `crc32` is of its payload, and left out where that may hold a secret."""

    topic: str = ""
    bytes: int = msgspec.field(default_factory=int)
    crc32: int | None = None
    token: int | None = None
    qos: int = 1
    retain: bool = False
    expiry_s: int | None = None


class Refused(Line, frozen=True):
    """The broker did not take what was published under the token."""

    token: int = msgspec.field(default_factory=int)
    reason: str = ""


class Received(Line, frozen=True):
    """A frame came in."""

    topic: str = ""
    bytes: int = msgspec.field(default_factory=int)
    crc32: int | None = None
    qos: int = 1
    retain: bool = False
    duplicate: bool = False


class Stored(Line, frozen=True):
    """A commit of the store: vin, boot, number and kind of each message that was new, or (`duplicate`) known before."""

    messages: tuple[tuple[str, int, int, str], ...] = ()


class Quarantined(Line, frozen=True):
    """A message was put into quarantine."""

    reason: str = ""
    topic: str = ""
    bytes: int = msgspec.field(default_factory=int)
    vin: str | None = None
    boot: int | None = None
    seq: int | None = None


Record = (
    Begin
    | End
    | Input
    | Wake
    | Output
    | Opened
    | Up
    | Down
    | Dropped
    | Closed
    | Published
    | Refused
    | Received
    | Stored
    | Quarantined
)
KINDS: Final[dict[str, type[Record]]] = {
    "begin": Begin,
    "end": End,
    "in": Input,
    "wake": Wake,
    "out": Output,
    "open": Opened,
    "up": Up,
    "down": Down,
    "drop": Dropped,
    "close": Closed,
    "publish": Published,
    "refused": Refused,
    "received": Received,
    "stored": Stored,
    "duplicate": Stored,
    "quarantine": Quarantined,
}

# --- writing ------------------------------------------------------------------------------------------------------


class JournalWriter:
    """Takes records and writes them in large blocks. A disk that fails ends the journal, never the run."""

    def __init__(self, path: Path, begin: Begin) -> None:
        """Create the file, in the place of any other. Raises OSError."""
        self.path = path
        self.failure = ""
        self._file: BinaryIO = path.open("wb", buffering=0)
        self._records: list[Record] = []
        self._block = bytearray()
        self._encoder = msgspec.json.Encoder(enc_hook=in_words)
        self._good_bytes = 0
        self.write(begin)

    def write(self, record: Record) -> None:
        """Take a record; it must not change any more. Nothing is written before a block is full."""
        self._records.append(record)
        if len(self._records) >= RECORDS_AT_ONCE:
            self._encode()
            if len(self._block) >= BLOCK_BYTES:
                self.flush()

    def flush(self) -> None:
        """Write what has gathered, so that it survives the process."""
        self._encode()
        block, self._block = self._block, bytearray()
        if not self.failure:
            self._put(block)

    def _encode(self) -> None:
        self._block += self._encoded(self._records)
        self._records.clear()

    def close(self, t: Instant, account: dict[str, int]) -> None:
        """Write the last line, and close the file. Safe to call twice."""
        if self._file.closed:
            return
        self.flush()
        failure = self.failure
        self.failure = ""  # where records are missing there may be room for the line that says so
        self._put(self._encoded([End(t, "run", "end", complete=not failure, account=account, note=failure)]))
        self._file.close()

    def _encoded(self, records: Sequence[Record]) -> bytes:
        try:
            return self._encoder.encode_lines(records)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return b"".join(map(self._encoded_alone, records))

    def _encoded_alone(self, record: Record) -> bytes:
        """Write a record of which JSON knows no form without its data: what came from outside must not end the journal."""
        try:
            return self._encoder.encode(record) + b"\n"
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            bare = KINDS[record.k](record.t, record.m, record.k)
            if isinstance(record, Input | Output):
                of, told = record.of, {"not written": type(error).__name__}
                bare = msgspec.structs.replace(cast("Input", bare), type=record.type, of=of, data=told)
            return self._encoder.encode(bare) + b"\n"

    def _put(self, block: bytes | bytearray) -> None:
        left = memoryview(block)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self.failure = f"the journal could not be written on: {error.strerror}"
            log.warning(f"{self.path}: {self.failure}; the run goes on without it")
            with contextlib.suppress(OSError):  # no half line, and what it took is room for the last one
                self._file.truncate(self._good_bytes)
                self._file.seek(self._good_bytes)
        else:
            self._good_bytes += len(block)


def in_words(value: object) -> str:
    """Name what JSON has no form for."""
    return f"a {type(value).__name__}"


# --- reading ------------------------------------------------------------------------------------------------------

DecodedT = TypeVar("DecodedT")


class JournalReader:
    """The records of a journal, one after the other; line n of the file is the n-th.

    `begin` is known at once; `warnings` and `end` are complete when all records have been read.
    """

    def __init__(self, path: Path) -> None:
        """Read the first line. Raises JournalError when this is no journal, or one of another format; OSError."""
        self.path = path
        self.warnings: list[str] = []
        self.end: End | None = None
        self._head = msgspec.json.Decoder(Line)
        self._decoders = {kind: msgspec.json.Decoder(made) for kind, made in KINDS.items()}
        with path.open("rb") as file:
            first = file.readline(1 << 26)
        self.begin = self._begin(first)
        beside = path.with_name(BACKEND_PART)
        if path.name != BACKEND_PART and "backend" not in self.begin.parts and beside.exists():
            self.warnings.append(f"the run did not come to its end: the back end's part lies apart, in {beside}")

    def _begin(self, line: bytes) -> Begin:
        try:
            raw = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError:
            raw = {}
        found = str(raw.get("format", ""))
        if not found.startswith("fleet-journal/"):
            raise JournalError(
                "this is no journal: its first line does not begin one",
                file=str(self.path),
                line=1,
                hint="A run with --out DIR leaves DIR/journal.jsonl, unless --no-journal is given.",
            )
        if found != FORMAT:
            raise JournalError(
                f"the format is {found}, and this fleet reads {FORMAT}",
                file=str(self.path),
                line=1,
                hint=f"Use the version that wrote it: {raw.get('version', 'unknown')}.",
            )
        return self._decoded(line, msgspec.json.Decoder(Begin), 1)

    def __iter__(self) -> Iterator[Record]:
        """Yield all records, the first line's included. Raises JournalError at a line that is none."""
        whole = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                whole += 1
                yield self._record(line, whole)
        if self.end is None:
            self.warnings.append(f"{self.path}:{whole}: cut off after this line: the run was killed, or still goes on")
        elif not self.end.complete:
            self.warnings.append(f"{self.path}:{whole}: records are missing before the end: {self.end.note}")

    def _record(self, line: bytes, number: int) -> Record:
        decoder = self._decoders.get(self._decoded(line, self._head, number).k)
        if decoder is None:
            raise self._damaged(number, "a kind of record that is not known")
        record: Record = self._decoded(line, decoder, number)
        if isinstance(record, End):
            self.end = record
        return record

    def _decoded(self, line: bytes, decoder: msgspec.json.Decoder[DecodedT], number: int) -> DecodedT:
        try:
            return decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise self._damaged(number, str(error)) from None

    def _damaged(self, number: int, what: str) -> JournalError:
        return JournalError(
            f"the line is no record of a journal: {what}",
            file=str(self.path),
            line=number,
            hint=f"What stands before it is good: head -n {number - 1} {self.path} > cut.jsonl",
        )


def read_journal(path: Path) -> Iterator[Record]:
    """Yield the records of a journal; see `JournalReader` for what is raised, and for its warnings."""
    return iter(JournalReader(path))


# --- merging ------------------------------------------------------------------------------------------------------


def merge_journals(parts: Sequence[Path], into: Path) -> None:
    """Merge what the processes of a run wrote into one journal, ordered by (time, part, line), and remove the parts.

    The first is the simulator's; what another did before it knew the scenario time happened while that stood at its start.
    Records of a part keep their order. Raises JournalError and OSError, and leaves the parts as they were then.
    """
    readers = [JournalReader(part) for part in parts]
    begin = readers[0].begin
    names = tuple(name for reader in readers for name in reader.begin.parts)
    ends: list[End | None] = [None] * len(parts)
    merged = into.with_name(f".{into.name}.merging")
    try:
        with merged.open("wb", buffering=1 << 18) as file:
            file.write(msgspec.json.encode(msgspec.structs.replace(begin, parts=names)) + b"\n")
            streams = [_keyed(part, number, begin.start or NOT_YET, ends) for number, part in enumerate(parts)]
            file.writelines(line for *_, line in heapq.merge(*streams))
            file.write(msgspec.json.encode(_end_of(ends, begin.start or NOT_YET)) + b"\n")
        merged.replace(into)
    finally:
        merged.unlink(missing_ok=True)
    for part in parts:
        if part != into:
            part.unlink()


def _keyed(path: Path, part: int, start: Instant, ends: list[End | None]) -> Iterator[tuple[Instant, int, int, bytes]]:
    """Yield the lines between first and last with the key to merge by; the last one goes to `ends`."""
    latest = start
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1 or not line.endswith(b"\n"):
                continue
            if line.startswith(_UNTIMED):
                line = b'{"t":%d,' % start + line[len(_UNTIMED) :]  # noqa: PLW2901
            elif b'"m":"run","k":"end"' in line[:60]:
                ends[part] = msgspec.json.decode(line, type=End)
                continue
            latest = max(latest, int(line[5 : line.index(b",")]))
            yield latest, part, number, line


_UNTIMED: Final = b'{"t":%d,' % NOT_YET


def _end_of(ends: Iterable[End | None], start: Instant) -> End:
    """Join the last lines of all parts; one that has none was killed."""
    found = [end for end in ends if end is not None]
    account = {name: count for end in found for name, count in end.account.items()}
    notes = [end.note for end in found if end.note]
    if None in ends:
        notes.append("a process of the run was killed")
    return End(max([start, *(end.t for end in found)]), "run", "end", complete=not notes, account=account, note="; ".join(notes))
