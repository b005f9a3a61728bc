"""Whether connections, frames and acknowledgements fit together, and fit what cars wanted.

Source: the header and the delivery of messages in the contract; MQTT 5 for QoS 1.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

import msgspec

from fleet.checks.check import Check, Handlers
from fleet.observe.journal import Begin, Closed, Down, Dropped, Input, Opened, Output, Published, Up
from fleet.observe.story import CAR, LINK
from fleet.wire.messages import Event, FromCar, Presence, Request, Response, Status

FIRST_SENT_KEPT: Final = 1_000
STAMP: Final = 2**50
"""A wall time in µs: any of our days is written in as many bytes."""
PRESENCE: Final = 0
"""The token of what has no number."""

Encode = Callable[[Any], bytes]
_KINDS: Final[dict[str | None, type[FromCar]]] = {kind.__name__: kind for kind in (Status, Event, Response, Request, Presence)}


class Connection(Check):
    """A link comes up only after it was opened, and nothing is published while it is down; nor does a car send then."""

    name = "connection"
    rule = "nothing is sent or published while there is no connection"
    looks_at = "frames and messages"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._wanted: set[str] = set()
        self._up: set[str] = set()
        self._cars_up: set[str] = set()

    def handlers(self) -> Handlers:
        return {
            ("open",): self._opens,
            ("up",): self._comes_up,
            ("down",): self._goes_down,
            ("drop",): self._ends,
            ("close",): self._ends,
            ("publish",): self._publishes,
            ("in", "LinkUp"): self._car_up,
            ("in", "LinkDown"): self._car_down,
            ("out", "Drop"): self._car_down,
            ("out", "Disconnect"): self._car_down,
            ("out", "Transmit"): self._sends,
        }

    def _opens(self, record: Opened, _line: int) -> None:
        self._wanted.add(record.m)

    def _comes_up(self, record: Up, line: int) -> None:
        if record.m not in self._wanted:
            self.breach(line, record.m, "the connection stands, but was not opened")
        self._up.add(record.m)

    def _goes_down(self, record: Down, _line: int) -> None:
        self._up.discard(record.m)

    def _ends(self, record: Dropped | Closed, _line: int) -> None:
        self._wanted.discard(record.m)
        self._up.discard(record.m)

    def _publishes(self, record: Published, line: int) -> None:
        self.looked_at += 1
        if record.m not in self._up:
            self.breach(line, record.m, f"published on {record.topic} without a connection")

    def _car_up(self, record: Input, _line: int) -> None:
        self._cars_up.add(record.m)

    def _car_down(self, record: Input | Output, _line: int) -> None:
        self._cars_up.discard(record.m)

    def _sends(self, record: Output, line: int) -> None:
        self.looked_at += 1
        if record.m not in self._cars_up:
            self.breach(line, record.m, f"message {record.data['message']['seq']} is sent without a connection")


class Frames(Check):
    """A frame of a car is the encoding of what it wanted to send, on the topic of it, with QoS 1.

    Compared by length and checksum. Live the bytes hold two wall times that the journal does not: there the length is
    compared, and that a repetition has the bytes of the first time. A presence is told again at the end, or cleared.
    """

    name = "frames"
    rule = "a frame of a car is the encoding of the message it wanted to send; a repetition has the same bytes"
    looks_at = "frames of cars"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._stamped = begin.clock != "virtual"
        self._wanted: dict[str, OrderedDict[int, tuple[str, FromCar]]] = {}
        self._first: dict[str, OrderedDict[int, tuple[int, int | None]]] = {}
        self._encoders: list[Encode] = [msgspec.msgpack.Encoder().encode, msgspec.json.Encoder().encode]

    def handlers(self) -> Handlers:
        return {
            ("out", "Transmit"): self._sends,
            ("out", "Announce"): self._announces,
            ("out", "Disconnect"): self._says_goodbye,
            ("publish",): self._publishes,
            ("in", "Acknowledged"): self._taken,
            ("in", "Received", "Stored"): self._stored,
        }

    def _sends(self, record: Output, _line: int) -> None:
        message = msgspec.convert(record.data["message"], _KINDS[record.of])
        tail = "status" if isinstance(message, Status) else f"{type(message).__name__.lower()}/{message.name}"  # type: ignore[union-attr]
        self._want(message, tail)

    def _announces(self, record: Output, _line: int) -> None:
        self._want(msgspec.convert(record.data["presence"], Presence), "presence")

    def _says_goodbye(self, record: Output, _line: int) -> None:
        self._want(msgspec.convert(record.data["last"], Presence), "presence")

    def _want(self, message: FromCar, tail: str) -> None:
        """Keep what a car wants to send; a presence has no number, and so the token 0."""
        wanted = self._wanted.setdefault(message.vin, OrderedDict())
        wanted[message.seq] = (f"/{message.vin}/{tail}", message)
        if len(wanted) > FIRST_SENT_KEPT:
            wanted.popitem(last=False)

    def _publishes(self, record: Published, line: int) -> None:
        vin = record.m.removeprefix(LINK)
        if vin not in self._wanted or record.token is None:
            return  # not the link of a car
        self.looked_at += 1
        token = record.token
        wanted = self._wanted[vin]
        found = wanted.get(token) if token == PRESENCE else wanted.pop(token, None)
        if found is None:
            self.breach(line, record.m, f"frame {token} on {record.topic} is nothing that the car wanted to send")
            return
        end, message = found
        if not record.topic.endswith(end):
            self.breach(line, record.m, f"expected a topic that ends in {end}, but it is {record.topic}")
        if record.qos != 1:
            self.breach(line, record.m, f"expected QoS 1, but frame {token} has {record.qos}")
        if not self._is_encoding(record, message):
            told = f"frame {token} has {record.bytes} bytes, checksum {record.crc32}: not the encoding of the message"
            self.breach(line, record.m, told)
        if token != PRESENCE:
            self._repeats(record, vin, token, line)

    def _is_encoding(self, record: Published, message: FromCar) -> bool:
        """Compare with the encoding that this journal's frames have; which one that is, the first frame shows."""
        stamped = self._stamped and record.token != PRESENCE
        if stamped:
            message = msgspec.structs.replace(message, due_wall_us=STAMP, sent_wall_us=STAMP)
        for encode in self._encoders:
            payload = encode(message)
            if len(payload) == record.bytes and (stamped or record.crc32 in {None, crc32(payload)}):
                self._encoders = [encode]
                return True
        return False

    def _repeats(self, record: Published, vin: str, seq: int, line: int) -> None:
        first = self._first.setdefault(vin, OrderedDict())
        said = first.setdefault(seq, (record.bytes, record.crc32))
        if said != (record.bytes, record.crc32):
            self.breach(line, record.m, f"message {seq} is sent again with other bytes than the first time")
        if len(first) > FIRST_SENT_KEPT:
            first.popitem(last=False)

    def _taken(self, record: Input, _line: int) -> None:
        """Forget the bytes of a message that does not come again."""
        if not self.begin.until_stored:
            self._first.get(record.m.removeprefix(CAR), OrderedDict()).pop(record.data["seq"], None)

    def _stored(self, record: Input, _line: int) -> None:
        first = self._first.get(record.m.removeprefix(CAR))
        through = record.data["message"]["through"]
        while first and next(iter(first)) <= through:
            first.popitem(last=False)


class Acknowledgements(Check):
    """A publish with QoS 1 is acknowledged at most once on its connection, and nothing that was not published there."""

    name = "acknowledgements"
    rule = "a message is acknowledged at most once for each time it was published on that connection"
    looks_at = "acknowledgements"
    remembers = True

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._open: dict[str, set[int]] = {}

    def handlers(self) -> Handlers:
        return {
            ("up",): self._comes_up,
            ("publish",): self._publishes,
            ("in", "Acknowledged"): self._acknowledged,
        }

    def _comes_up(self, record: Up, _line: int) -> None:
        self._open[record.m.removeprefix(LINK)] = set()

    def _publishes(self, record: Published, _line: int) -> None:
        waiting = self._open.get(record.m.removeprefix(LINK))
        if waiting is not None and record.qos and record.token:
            waiting.add(record.token)

    def _acknowledged(self, record: Input, line: int) -> None:
        self.looked_at += 1
        seq = record.data["seq"]
        waiting = self._open.get(record.m.removeprefix(CAR), set())
        if seq in waiting:
            waiting.remove(seq)
        elif seq == PRESENCE:
            return  # a car hears of it where it waits for that; in another dialect there may be no frame
        else:
            self.breach(line, record.m, f"message {seq} is acknowledged, but is not under way on this connection")
