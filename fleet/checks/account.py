"""Whether every numbered message is accounted for, and none is stored twice.

Source: the account of the contract, created = stored + in_outbox + dropped + quarantined + refused + left_out + erased + lost.
"""

from __future__ import annotations

from typing import Any, Final

from fleet.checks.check import Check, Handlers, is_first, is_priority
from fleet.observe.journal import Begin, End, Input, Output, Quarantined, StoredBatch
from fleet.observe.story import CAR

_SENT, _LEFT, _TAKEN = 1, 2, 4
"""The car sent it; it has left the outbox; the back end took it."""
_ALL: Final = _SENT | _LEFT | _TAKEN
NAMED: Final = 5
_PAGE: Final = 512
"""Numbers that are noted together: few pages for many messages, and a number out of all reason costs one page."""


class Numbering(Check):
    """A car counts its messages from 1, and sends them in that order. What is left out was dropped, and the account says so."""

    name = "numbering"
    rule = "a car numbers its messages from 1 and sends them in order; only dropped ones are left out"
    looks_at = "messages"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._last: dict[tuple[str, int], int] = {}
        self._left_out = 0
        self._gap: tuple[int, str, str] | None = None

    def handlers(self) -> Handlers:
        return {("out", "Transmit"): self._sent}

    def _sent(self, record: Output, line: int) -> None:
        message = record.data["message"]
        key, seq = (record.m, message["boot"]), message["seq"]
        last = self._last.get(key, 0)
        self.looked_at += 1
        if not is_first(record):
            if seq > last:
                self.breach(line, record.m, f"message {seq} is called a repetition, but was never sent before")
            return
        if seq <= last:
            self.breach(line, record.m, f"expected a number above {last}, but message {seq} is sent as a new one")
            return
        if seq > last + 1:
            self._left_out += seq - last - 1
            self._gap = self._gap or (line, record.m, f"expected message {last + 1}, but the next one is {seq}")
        self._last[key] = seq

    def finish(self, end: End | None, line: int) -> None:  # noqa: ARG002 (the gap has a better line)
        dropped = 0 if end is None else end.account.get("dropped", 0)
        if end is not None and self._gap is not None and self._left_out > dropped:
            at, machine, told = self._gap
            self.breach(at, machine, f"{told}: {self._left_out} left out in all, {dropped} dropped")


class StoredOnce(Check):
    """Nothing is stored twice, and what is called a duplicate was stored before. Messages are known by (vin, boot, seq)."""

    name = "stored once"
    rule = "no message is stored twice, and only what is stored is called a duplicate"
    looks_at = "messages stored or known"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._stored: dict[tuple[str, int, int], int] = {}
        """A bit for each number that is stored, in pages of vin, boot and the numbers' high bits."""

    def handlers(self) -> Handlers:
        return {("stored",): self._commit, ("duplicate",): self._known, ("quarantine",): self._quarantined}

    def _commit(self, record: StoredBatch, line: int) -> None:
        for vin, boot, seq, kind in record.messages:
            self.looked_at += 1
            if not self._add(vin, boot, seq):
                self.breach(line, CAR + vin, f"expected each message to be stored once, but {kind} {seq} is stored again")

    def _known(self, record: StoredBatch, line: int) -> None:
        for vin, boot, seq, kind in record.messages:
            self.looked_at += 1
            if self._add(vin, boot, seq):
                self.breach(line, CAR + vin, f"{kind} {seq} is taken for a duplicate, but was never stored")

    def _quarantined(self, record: Quarantined, _line: int) -> None:
        if record.vin is not None and record.boot is not None and record.seq:
            self._add(record.vin, record.boot, record.seq)

    def _add(self, vin: str, boot: int, seq: int) -> bool:
        """Note that a number is stored; False when it was before."""
        page, place = divmod(seq, _PAGE)
        bits = self._stored.get((vin, boot, page), 0)
        self._stored[vin, boot, page] = bits | 1 << place
        return not bits >> place & 1


class _Outbox:
    """The messages of one car that are still under way, and how far they have come; the others are only counted.

    What was not known to be stored goes `again`, unless the car is silent: then a mark still takes it out of the outbox. Which of
    the two it was is in `doubt` until the car has sent it again, or what comes after it.
    """

    __slots__ = ("again", "counted", "doubt", "in_flight", "open", "unstored")

    def __init__(self) -> None:
        self.open: dict[int, int] = {}
        self.in_flight: int | None = None
        self.unstored: list[int] = []
        self.again: list[int] = []
        self.counted: set[int] = set()
        self.doubt: set[int] = set()

    def speaks(self) -> None:
        """The car sends what is new: what went again is sent, and what it has held back since is held still."""
        self.unstored += self.again
        self.again = []
        self.counted.clear()
        self.doubt.clear()


class AccountHolds(Check):
    """The account of the last line holds, and what stands in the journal adds up to the same, to the message.

    A message that left its car's outbox and was neither stored nor quarantined is lost. With delivery until stored there is
    none; without, a broker that dies may lose some, which the account names. Needs the records of cars and back end.
    """

    name = "account"
    rule = "created = stored + in_outbox + dropped + quarantined + refused + left_out + erased + lost, as the records say"
    looks_at = "messages"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._outboxes: dict[str, _Outbox] = {}
        self._refused: set[tuple[str, int, int]] = set()
        self._counts = dict.fromkeys(
            ("published", "repeated", "acknowledged", "refused", "left_out", "left", "stored", "duplicates", "quarantined"), 0
        )

    def handlers(self) -> Handlers:
        return {
            ("out", "Transmit"): self._sent,
            ("in", "Acknowledged"): self._answered,
            ("in", "LeftOut"): self._is_left_out,
            ("in", "Received", "Stored"): self._marked,
            ("in", "RepeatUnstored"): self._goes_again,
            ("in", "LinkUp"): self._goes_again,
            ("stored",): self._stored,
            ("duplicate",): self._duplicate,
            ("erased",): self._erased,
            ("quarantine",): self._quarantined,
        }

    # --- the car

    def _of(self, machine: str) -> _Outbox:
        found = self._outboxes.get(machine)
        if found is None:
            found = self._outboxes[machine] = _Outbox()
        return found

    def _sent(self, record: Output, _line: int) -> None:
        outbox, seq = self._of(record.m), record.data["message"]["seq"]
        outbox.in_flight = seq
        if is_first(record):
            self.looked_at += 1
            self._counts["published"] += 1
            self._note(outbox, seq, _SENT)
            if not is_priority(record):
                outbox.speaks()
        else:
            self._counts["repeated"] += 1
            self._sent_again(outbox, seq)

    def _sent_again(self, outbox: _Outbox, seq: int) -> None:
        if seq in outbox.again:
            outbox.again.remove(seq)
        if seq in outbox.doubt:
            outbox.doubt.remove(seq)
            outbox.open[seq] = _SENT | _TAKEN
            self._counts["left"] -= 1

    def _answered(self, record: Input, _line: int) -> None:
        outbox, seq = self._of(record.m), record.data["seq"]
        if outbox.in_flight != seq:
            return  # an answer to an earlier connection's copy
        outbox.in_flight = None
        if record.data["refused"]:
            self._counts["refused"] += 1
            self._note(outbox, seq, _LEFT | _TAKEN)
            return
        if seq in outbox.counted:
            outbox.counted.remove(seq)
        else:
            self._counts["acknowledged"] += 1
        if self.begin.until_stored:
            outbox.unstored.append(seq)
        else:
            self._leaves(outbox, seq)

    def _is_left_out(self, record: Input, _line: int) -> None:
        outbox, seq = self._of(record.m), record.data["seq"]
        if outbox.in_flight == seq:
            outbox.in_flight = None
            self._counts["published"] -= 1
            self._counts["left_out"] += 1
            self._note(outbox, seq, _LEFT | _TAKEN)

    def _marked(self, record: Input, _line: int) -> None:
        told = record.data["message"]
        outbox = self._of(record.m)
        outbox.doubt.update(seq for seq in outbox.again if _covers(told, seq))
        for seq in (*outbox.unstored, *outbox.again):
            if _covers(told, seq):
                self._leaves(outbox, seq)
        outbox.unstored = [seq for seq in outbox.unstored if not _covers(told, seq)]
        outbox.again = [seq for seq in outbox.again if not _covers(told, seq)]

    def _goes_again(self, record: Input, _line: int) -> None:
        outbox = self._of(record.m)
        outbox.again += outbox.unstored
        outbox.counted.update(outbox.unstored)
        outbox.unstored = []

    def _leaves(self, outbox: _Outbox, seq: int) -> None:
        self._counts["left"] += 1
        self._note(outbox, seq, _LEFT)

    # --- the back end

    def _stored(self, record: StoredBatch, _line: int) -> None:
        self._counts["stored"] += len(record.messages)
        for vin, _, seq, _ in record.messages:
            self._note(self._of(CAR + vin), seq, _TAKEN)

    def _duplicate(self, record: StoredBatch, _line: int) -> None:
        self._counts["duplicates"] += len(record.messages)

    def _erased(self, record: StoredBatch, _line: int) -> None:
        """Messages of an erased car are taken, and not stored; again and again they count once."""
        for vin, boot, seq, _ in record.messages:
            if (vin, boot, seq) not in self._refused:
                self._refused.add((vin, boot, seq))
                self._note(self._of(CAR + vin), seq, _TAKEN)

    def _quarantined(self, record: Quarantined, _line: int) -> None:
        self._counts["quarantined"] += 1
        if record.vin is not None and record.seq:
            self._note(self._of(CAR + record.vin), record.seq, _TAKEN)

    def _note(self, outbox: _Outbox, seq: int, what: int) -> None:
        known = outbox.open.get(seq, 0) | what
        if known == _ALL:
            outbox.open.pop(seq, None)
        else:
            outbox.open[seq] = known

    # --- the end

    def finish(self, end: End | None, line: int) -> None:
        """Compare sums only of a journal that has them all."""
        if end is None or not {"simulator", "backend"} <= set(self.begin.parts):
            return
        account, counts = end.account, self._counts
        for name in ("published", "repeated", "acknowledged", "refused", "left_out", "stored", "duplicates", "quarantined"):
            if account.get(name, 0) != counts[name]:
                self.breach(line, "run", f"the account says {account.get(name, 0)} {name}, but the records {counts[name]}")
        self._rows(account, line)
        held = account["created"] - account["dropped"] - account["refused"] - counts["left_out"] - counts["left"]
        doubtful = sum(len(outbox.doubt) for outbox in self._outboxes.values())
        if not held <= account["in_outbox"] <= held + doubtful:
            self.breach(line, "run", f"the account says {account['in_outbox']} in_outbox, but by the records {held} are left")
        self._each_car(line)
        self._sum(account, line, stays=min(max(account["in_outbox"] - held, 0), doubtful))

    def _rows(self, account: dict[str, int], line: int) -> None:
        """Hold what the back end says that it stored against the rows of its store, where those were counted."""
        kept = account.get("rows", 0) - account.get("rows_twice", 0) + account.get("rows_erased", 0)
        if "rows" in account and kept != self._counts["stored"]:
            self.breach(line, "run", f"{self._counts['stored']} messages are told as stored, but the store has rows of {kept}")
        if account.get("rows_twice"):
            self.breach(line, "run", f"{account['rows_twice']} rows of the store are of messages that it has already")

    def _each_car(self, line: int) -> None:
        for machine, outbox in self._outboxes.items():
            unsent = [seq for seq, known in outbox.open.items() if not known & _SENT]
            if unsent:
                self.breach(line, machine, f"stored, but never sent by the car: {_some(unsent)}")
            lost = [seq for seq, known in outbox.open.items() if known == _SENT | _LEFT]
            if lost and self.begin.until_stored:
                self.breach(line, machine, f"left the outbox as stored, but is not: {_some(lost)}")

    def _sum(self, account: dict[str, int], line: int, *, stays: int) -> None:
        """Add up the account; so many of what is in doubt `stays` in an outbox, and is stored."""
        states = [known for outbox in self._outboxes.values() for known in outbox.open.values()]
        both = states.count(_SENT | _TAKEN)  # stored, and the car does not know it yet
        lost = states.count(_SENT | _LEFT)
        kept = account["in_outbox"] - both - stays
        parts = {name: account.get(name, 0) for name in ("stored", "dropped", "quarantined", "refused", "left_out")}
        parts["erased"] = account.get("erased", 0)  # those that were stored before are among the stored ones here
        if parts["erased"] > len(self._refused):
            self.breach(line, "run", f"{parts['erased']} messages of erased cars are counted, and {len(self._refused)} came")
        found = sum(parts.values()) + kept + lost
        if account["created"] != found:
            told = ", ".join(f"{count} {name}" for name, count in {**parts, "in_outbox": kept, "lost": lost}.items())
            self.breach(line, "run", f"{account['created']} messages were created, but {found} accounted for: {told}")


def _covers(mark: dict[str, Any], seq: int) -> bool:
    """Tell whether a mark of the back end says that a message is stored: `through` all, and up to `high` all but the gaps."""
    if seq <= mark["through"] or mark.get("high") is None:
        return bool(seq <= mark["through"])
    return bool(seq <= mark["high"]) and not any(first <= seq <= last for first, last in mark.get("gaps", ()))


def _some(seqs: list[int]) -> str:
    more = f" and {len(seqs) - NAMED} more" if len(seqs) > NAMED else ""
    return f"message {', '.join(map(str, sorted(seqs)[:NAMED]))}{more}"
