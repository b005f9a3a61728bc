"""Looks for what is left of somebody who was erased: in the files of a run, and at the broker. Rewrites what can be rewritten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from fleet.backend.needles import Needle, found_in, position_needle, text_needle
from fleet.backend.reader import StoreReader
from fleet.backend.store_copies import copies_of
from fleet.cloud.people.erasure import former_cars
from fleet.cloud.people.people import RULE, People
from fleet.cloud.rule import Notes
from fleet.errors import FleetError, JournalError, UsageError
from fleet.kernel.instants import Instant
from fleet.observe.journal import journal_lines
from fleet.observe.packing import GZIP, ZSTD
from fleet.observe.redacting import redact
from fleet.runtime.access import Access
from fleet.runtime.cleaning import left_behind
from fleet.wire.vin import is_vin

POSITIONS: Final = 20
"""Positions of each car that are looked for, spread over all of its messages."""
_FOREVER: Final = 2**62
_JOURNAL_BEGINS: Final = b'"format":"fleet-journal/'


class Subject(NamedTuple):
    """Whom an erasure is about: the account, the VINs of the cars of their own, and the names that mean nobody else.

    `former` are cars that were their own once, each with when that was over (scenario µs).
    """

    account: str
    vins: tuple[str, ...]
    names: tuple[str, ...]
    former: tuple[tuple[str, Instant], ...] = ()

    @property
    def in_journals(self) -> tuple[str, ...]:
        """The words by which lines of a journal are about it; an account's id stands in quotes there, or after its shelf."""
        of_account = (f'"{self.account}"', f'account/{self.account}"') if self.account else ()
        return (*self.vins, *self.names, *of_account)


class Trace(NamedTuple):
    """Something that was found: where, and what, in words that do not hold it."""

    where: str
    what: str


def subject_of(reader: StoreReader, name: str) -> Subject:
    """Return whom a VIN, or a person's e-mail, user name, mobile number or account, is about. Raises UsageError for nobody."""
    people = People(Notes(reader.service_state(RULE)))
    if is_vin(name):
        return Subject("", (name,), ())
    account = people.named(name)
    if account is None:
        raise UsageError(f"nobody has an account by the name of {name!r}", hint="Give a VIN, or who it is as the account has it.")
    own = tuple(vin for vin in sorted(people.cars_of(account.id)) if people.cars[vin].primary == account.id)
    names = tuple(word for word in (account.email, account.mobile) if word)
    return Subject(account.id, own, names, tuple(former_cars(people, account, _FOREVER).items()))


def needles_of(reader: StoreReader, subject: Subject, *, whole: bool) -> list[Needle]:
    """Return what is to be found no more: of a `whole` erasure VINs and names, and in either case positions."""
    needles = needles_by_name(subject) if whole else []
    sought = [(vin, _FOREVER, whole) for vin in subject.vins]
    if whole:  # a former car goes on, and may stand where it stood
        sought += [(vin, until, False) for vin, until in subject.former]
    for vin, until, newest in sought:
        places = reader.sample_of_positions(vin, until, POSITIONS, newest=newest)
        needles += [position_needle(f"position ({len(needles) + number})", *place) for number, place in enumerate(places, 1)]
    return needles


def needles_by_name(subject: Subject) -> list[Needle]:
    """Return VINs and names as needles."""
    named = enumerate((*subject.vins, *subject.names), 1)
    return [text_needle(f"{'a VIN' if is_vin(word) else 'a name of the person'} ({number})", word) for number, word in named]


def search(files: Iterable[Path], needles: Sequence[Needle]) -> list[Trace]:
    """Return what is found in the content of files, packed ones unpacked, and in their names."""
    found = []
    for file in files:
        inside = _in_packed(file, needles) if file.suffix in {ZSTD, GZIP} else found_in(file, needles)
        by_name = [needle.what for needle in needles if needle.is_in(str(file).encode())]
        found += [Trace(str(file), what) for what in dict.fromkeys((*inside, *by_name))]
    return found


def _in_packed(file: Path, needles: Sequence[Needle]) -> list[str]:
    found: dict[str, None] = {}
    for line in journal_lines(file):
        for needle in needles:
            if needle.is_in(line):
                found[needle.what] = None
    return list(found)


def files_of(folder: Path, store: Path) -> list[Path]:
    """Return all files of a run's folder, and those that belong to a store elsewhere."""
    beside = [Path(f"{store}{ending}") for ending in ("", "-wal", "-shm", ".lock")]
    inside = [file for file in folder.rglob("*") if file.is_file()]
    return sorted({file.absolute() for file in (*inside, *beside, *copies_of(store)) if file.is_file()})


def is_journal(file: Path) -> bool:
    """Tell whether a file is a journal, whatever it is called and packed with."""
    try:
        return _JOURNAL_BEGINS in next(journal_lines(file, longest=1 << 16), b"")[:400]
    except (OSError, FleetError):
        return False


class Rewritten(NamedTuple):
    """The outcome for the files of a run: lines taken out of journals, copies of the store removed, and refusals with reasons."""

    journals: dict[str, int]
    removed: tuple[str, ...]
    refused: dict[str, str]


def rewrite(files: Iterable[Path], store: Path, words: Sequence[str]) -> Rewritten:
    """Take the lines with these words out of journals that have ended, and remove the store's copies of earlier schemas.

    A copy would bring back with it whoever was erased since.
    """
    journals: dict[str, int] = {}
    removed, refused = [], {}
    copies = {copy.absolute() for copy in copies_of(store)}
    for file in files:
        try:
            if file in copies:
                file.unlink()
                removed.append(str(file))
            elif is_journal(file) and (lines := redact(file, words)):
                journals[str(file)] = lines
        except JournalError as error:
            refused[str(file)] = f"{error} {error.hint}".strip()
        except OSError as error:
            refused[str(file)] = error.strerror or str(error)
    return Rewritten(journals, tuple(removed), refused)


async def retained(access: Access, vins: Sequence[str]) -> list[Trace]:
    """Return what the broker retains of these cars. Raises LinkError when it cannot be asked."""
    left = await left_behind(access)
    return [Trace(f"the broker retains {topic.replace(vin, 'VIN')}", "a VIN") for vin in vins for topic in left.get(vin, ())]
