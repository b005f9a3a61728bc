"""The journal of a run: what every machine was given and wanted, every frame and connection, a JSON object a line.

Writes and reads the format, which docs/journal.md describes; knows neither cars nor desk. The same records give the same
bytes: fields have a fixed order, and nothing is written that is not handed in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, cast
from zlib import crc32

import msgspec
import structlog

from fleet.errors import JournalError
from fleet.kernel.instants import Instant
from fleet.observe.packing import DamagedPacking, find, pack_of, read_lines

FORMAT: Final = "fleet-journal/1"
JOURNAL: Final = "journal.jsonl"
BACKEND_PART: Final = "journal-backend.jsonl"
"""The part of a back end, beside `journal.jsonl` until the two are merged."""
NOT_YET: Final = 0
"""The time of records of a back end that does not know the scenario time yet."""
RECORDS_AT_ONCE: Final = 32
"""Records that are encoded together. More would be held longer: they fall out of the processor's cache, and the collector
of garbage looks at what they hold."""
BLOCK_BYTES: Final = 256 * 1024
"""Bytes that are written together."""
_LONGEST_LINE: Final = 1 << 26
"""Bytes of the first line that are looked at: a large file of anything else has none."""
MARKED_LINES: Final = 256
"""After so many lines a mark stands; that costs less than a byte a line, and a line that is gone is looked for among so many."""

log = structlog.get_logger()


class Line(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The fields with which every record starts: scenario time, machine, and kind of record.

    A field is left out where it has its default; those that are always written have a factory for it.
    """

    t: Instant
    m: str
    k: str


class Begin(Line, frozen=True):
    """The first line: of which run this is the journal, and all that is needed to make its cars again.

    `parts` are the processes whose records are here. A back end alone knows nothing of the rest. `dialect` is the name
    of one whose frames are not ours.
    """

    format: str = msgspec.field(default_factory=lambda: FORMAT)
    version: str = ""
    parts: tuple[str, ...] = ()
    seed: int | None = None
    start: Instant | None = None
    boot: int | None = None
    clock: str | None = None
    until_stored: bool = False
    remembers: bool = False
    index: int = 0
    count: int = 1
    scenario: dict[str, Any] | None = None
    dialect: str | None = None


class Mark(Line, frozen=True):
    """The number of this line of the file, and the checksum of all lines before it from the last mark on, that one included."""

    line: int = msgspec.field(default_factory=int)
    crc32: int = msgspec.field(default_factory=int)


class End(Line, frozen=True):
    """The last line, and a mark. Not `complete`: records are missing before it, and `note` says why."""

    complete: bool = msgspec.field(default_factory=bool)
    account: dict[str, int] = {}
    note: str = ""
    line: int | None = None
    crc32: int | None = None


class Input(Line, frozen=True):
    """An input of a machine: its type, the type of its message, its fields. `now` is the machine's time where it is not `t`."""

    type: str = ""
    of: str | None = None
    now: Instant | None = None
    data: Any = None


class Wake(Line, frozen=True):
    """A machine was woken for what is due."""

    now: Instant | None = None


class Output(Line, frozen=True):
    """An output of a machine, after the input or wake before it."""

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


class ReceivedFrame(Line, frozen=True):
    """A frame came in."""

    topic: str = ""
    bytes: int = msgspec.field(default_factory=int)
    crc32: int | None = None
    qos: int = 1
    retain: bool = False
    duplicate: bool = False


class StoredBatch(Line, frozen=True):
    """A commit of the store: vin, boot, number and kind of each message that was new, or (`duplicate`) known before.

    Those of a car that was erased before are `erased`: they were not stored, and may be repetitions.
    """

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
    | Mark
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
    | ReceivedFrame
    | StoredBatch
    | Quarantined
)
KINDS: Final[dict[str, type[Record]]] = {
    "begin": Begin,
    "mark": Mark,
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
    "received": ReceivedFrame,
    "stored": StoredBatch,
    "duplicate": StoredBatch,
    "erased": StoredBatch,
    "quarantine": Quarantined,
}

# --- marking ------------------------------------------------------------------------------------------------------

_MARKS: Final = (Mark, End)


class Lines:
    """How many lines of a journal were written or read, and the checksum of those since the last mark."""

    def __init__(self) -> None:
        self.count = 0
        self._crc32 = 0
        self._marked = 0
        self._shifted = 0
        self._ended = False

    def add(self, text: bytes, lines: int = 1) -> None:
        """Take so many lines."""
        self.count += lines
        self._crc32 = crc32(text, self._crc32)

    @property
    def is_due(self) -> bool:
        """Whether a mark comes next."""
        return self.count % MARKED_LINES == 0

    @property
    def until_due(self) -> int:
        """How many lines come before the next mark, when none is due."""
        return MARKED_LINES - self.count % MARKED_LINES

    def mark(self, t: Instant) -> bytes:
        """Return the mark that is due, and take it too. `t` is the time of the line before it."""
        text = msgspec.json.encode(Mark(t, "run", "mark", self.count + 1, self._crc32)) + b"\n"
        self._crc32 = 0
        self.add(text)
        return text

    def end(self, end: End) -> bytes:
        """Return the last line, as a mark."""
        return msgspec.json.encode(msgspec.structs.replace(end, line=self.count + 1, crc32=self._crc32)) + b"\n"

    def read(self, record: Record | None, text: bytes) -> str:
        """Take the next line of a file; return what is wrong with those before it, or nothing. Only a mark's record is needed."""
        finding = ""
        if self._ended:
            finding = "written after the last line"
        elif isinstance(record, _MARKS):
            self._ended = isinstance(record, End)
            if record.line is not None:
                finding = self._differs(record.line, record.crc32)
            self._marked, self._crc32 = self.count + 1, 0
        self.count += 1
        self._crc32 = crc32(text, self._crc32)
        return finding

    def _differs(self, line: int, check: int | None) -> str:
        shifted = self.count + 1 - line
        more, self._shifted = shifted - self._shifted, shifted
        where = f"between line {self._marked} and this one" if self._marked else "before this line"
        if more:
            return f"{_lines(-more)} missing {where}" if more < 0 else f"{_lines(more)} too many {where}"
        return "" if check == self._crc32 else f"the lines {where} are not as they were written"


def _lines(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"


# --- writing ------------------------------------------------------------------------------------------------------


def set_aside(path: Path) -> Path | None:
    """Keep the journal that is there under another name, such as `desk.1.jsonl`; return it, None when there is none.

    Numbers rise: the highest is the newest of those set aside. Raises OSError.
    """
    if not path.exists() or not path.stat().st_size:
        return None
    stem, dot, ending = path.name.partition(".")
    for number in count(1):
        aside = path.with_name(f"{stem}.{number}{dot}{ending}")
        if not aside.exists():
            path.rename(aside)
            return aside
    raise AssertionError("numbers do not end")


class JournalWriter:
    """Takes records and writes them in large blocks, packed as the name says. A disk that fails ends the journal, not the run."""

    def __init__(self, path: Path, begin: Begin) -> None:
        """Create the file, in the place of any other. Raises OSError."""
        self.path = path
        self.failure = ""
        self._has_warned = False
        self._pack = pack_of(path)
        self._file: BinaryIO = path.open("wb", buffering=0)
        self._records: list[Record] = []
        self._block = bytearray()
        self._encoder = msgspec.json.Encoder(enc_hook=encode_unknown)
        self._lines = Lines()
        self._at_once = RECORDS_AT_ONCE
        self._good_bytes = 0
        self.write(begin)

    def write(self, record: Record) -> None:
        """Take a record; it must not change any more. Nothing is written before a block is full."""
        records = self._records
        records.append(record)
        if len(records) >= self._at_once:
            self._encode()
            if len(self._block) >= BLOCK_BYTES:
                self.flush()

    def flush(self) -> None:
        """Write what has gathered, so that it survives the process."""
        self._encode()
        block, self._block = self._block, bytearray()
        if block and not self.failure:
            self._put(block)

    def _encode(self) -> None:
        if not self._records:
            return
        text, t = self._encoded(self._records), self._records[-1].t
        self._lines.add(text, len(self._records))
        self._block += text
        self._records.clear()
        if self._lines.is_due:
            self._block += self._lines.mark(t)
        self._at_once = min(RECORDS_AT_ONCE, self._lines.until_due)

    def close(self, t: Instant, account: dict[str, int]) -> None:
        """Write the last line, and close the file. Safe to call twice."""
        if self._file.closed:
            return
        self.flush()
        failure = self.failure
        self.failure = ""  # where records are missing there may be room for the line that says so
        end = End(t, "run", "end", complete=not failure, account=account, note=failure)
        self._put(self._encoded([end]) if failure else self._lines.end(end))
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
                of, data = record.of, {"not written": type(error).__name__}
                bare = msgspec.structs.replace(cast("Input", bare), type=record.type, of=of, data=data)
            return self._encoder.encode(bare) + b"\n"

    def _put(self, block: bytes | bytearray) -> None:
        frame = self._pack(bytes(block))
        left = memoryview(frame)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self.failure = f"the journal could not be written on: {error.strerror}"
            if not self._has_warned:  # the last line of a full disk fails, too: that is nothing new
                log.warning(f"{self.path}: {self.failure}; the run goes on without it")
            self._has_warned = True
            with contextlib.suppress(OSError):  # no half line, and what it took is room for the last one
                self._file.truncate(self._good_bytes)
                self._file.seek(self._good_bytes)
        else:
            self._good_bytes += len(frame)


def encode_unknown(value: object) -> str:
    """Name what JSON has no form for."""
    return f"a {type(value).__name__}"


# --- reading ------------------------------------------------------------------------------------------------------

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError)


class Gap(NamedTuple):
    """A line at which it shows that lines before it were cut out, added or changed, and what it shows."""

    line: int
    finding: str


class JournalReader:
    """The records of a journal, one after the other; line n of the file is the n-th.

    `begin` is known at once; `warnings`, `gaps` and `end` are complete when all records have been read. What is older than
    marks has no gaps.
    """

    def __init__(self, path: Path) -> None:
        """Read the first line, of the file or of the packed one of that name.

        Raises JournalError when this is no journal, or one of another format; OSError.
        """
        self.path = path = find(path) or path
        self.warnings: list[str] = []
        self.gaps: list[Gap] = []
        self.end: End | None = None
        self._head = msgspec.json.Decoder(Line).decode
        self._decode = {kind: msgspec.json.Decoder(record).decode for kind, record in KINDS.items()}
        self.begin = self._begin(next(journal_lines(path, longest=_LONGEST_LINE), b""))
        beside = find(path.with_name(BACKEND_PART))
        if beside is not None and not path.name.startswith(BACKEND_PART) and "backend" not in self.begin.parts:
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
        try:
            return msgspec.json.decode(line, type=Begin)
        except _UNREADABLE as error:
            raise self._damaged(1, str(error)) from None

    def __iter__(self) -> Iterator[Record]:
        """Yield all records, the first line's included. Raises JournalError at a line that is none."""
        lines, head, decode = Lines(), self._head, self._decode
        for line in journal_lines(self.path):
            if not line.endswith(b"\n"):
                break
            try:
                record = decode[head(line).k](line)
            except KeyError:
                raise self._damaged(lines.count + 1, "a kind of record that is not known") from None
            except _UNREADABLE as error:
                raise self._damaged(lines.count + 1, str(error)) from None
            if isinstance(record, End):
                self.end = record
            finding = lines.read(record, line)
            if finding:
                self.gaps.append(Gap(lines.count, finding))
            yield record
        whole = lines.count
        if self.end is None:
            self.warnings.append(f"{self.path}:{whole}: cut off after this line: the run was killed, or still goes on")
        elif not self.end.complete:
            self.warnings.append(f"{self.path}:{whole}: records are missing before the end: {self.end.note}")

    def _damaged(self, number: int, what: str) -> JournalError:
        return JournalError(
            f"the line is no record of a journal: {what}",
            file=str(self.path),
            line=number,
            hint=f"What stands before it is good: fleet journal {self.path} | head -n {number - 1} > cut.jsonl",
        )


def journal_lines(path: Path, *, longest: int = -1) -> Iterator[bytes]:
    """Yield the lines of a journal. Raises OSError, and JournalError behind the last one that can be unpacked."""
    count = 0
    try:
        for count, line in enumerate(read_lines(path, longest=longest), 1):  # noqa: B007
            yield line
    except DamagedPacking as error:
        raise JournalError(
            f"what comes here cannot be unpacked: {error}",
            file=str(path),
            line=count + 1,
            hint=f"What stands before it is good: fleet journal {path} > cut.jsonl",
        ) from None
