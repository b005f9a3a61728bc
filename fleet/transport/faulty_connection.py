"""One connection under faults, as a pure machine: bytes come in from both ends, and at their time go out at the other.

Who drives it brings time and bytes, asks `take` what is to be written at once, comes back at the streams' deadlines, and does
to the connection what `fate` says. While `plain`, nothing happens to bytes: who drives it may pass them on himself, and only
lets the stream follow where packets begin, so that a rule that is set in the middle finds its packets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, Literal

from fleet.kernel.instants import MILLISECOND, SECOND, Instant
from fleet.transport.faults import (
    Bandwidth,
    Direction,
    DropPackets,
    Duplicate,
    Fault,
    FaultsInForce,
    HalfOpen,
    InForce,
    Latency,
    Refuse,
    Reorder,
    ResetConnections,
    Slicing,
    Stall,
    Truncate,
    goes,
)
from fleet.transport.mqtt_stream import Head, NotMqtt, Tracker, read_client_id, read_head, read_topic, repeated
from fleet.wire.clients import car_of

HELD_PACKET_MAX: Final = 1 << 18
"""The largest packet that can come twice or late; a larger one passes as it is, which is counted."""
STEPS_PER_S: Final = 20
"""Into so many pieces a second a narrow connection divides what it carries."""

Fate = Literal["reset", "end", "silent"]
"""Both sides get an RST; both sides are ended when what is held has gone out; bytes vanish and neither side notices."""


class FaultyStream:
    """One direction of a connection."""

    __slots__ = (
        "_back", "_back_until", "_decided", "_delays", "_direction", "_dropping", "_ends", "_ends_at", "_free_at", "_held",
        "_pending", "_piece", "_rate", "_release", "_rules", "_stalls", "_verdict", "carried", "client_id", "ended",
        "held_bytes", "tracker",
    )  # fmt: skip

    def __init__(self, direction: Direction) -> None:
        self.client_id = ""
        self.tracker = Tracker()
        self.carried = 0
        """Bytes that came in."""
        self.held_bytes = 0
        self.ended = False
        self._direction: Direction = direction
        self._held: deque[tuple[Instant, bytes, bool]] = deque()  # when it goes out, and whether by itself
        self._release: Instant = 0
        self._free_at: Instant = 0
        self._ends_at: Instant = 0
        # What is in force here, by what it does.
        self._rules: list[InForce] = []
        self._delays: list[InForce] = []
        self._rate: tuple[int, InForce] | None = None  # the narrowest, and the shortest
        self._piece: tuple[int, InForce] | None = None
        self._stalls: list[InForce] = []
        self._ends: list[tuple[int, InForce]] = []  # once so many bytes came in
        # A packet under way: its bytes while it is not decided, and what was decided.
        self._pending = b""
        self._decided = False
        self._verdict: InForce | None = None
        self._dropping = False
        self._back = b""  # waits for the packet after it
        self._back_until: Instant = 0

    @property
    def is_carrying(self) -> bool:
        """Whether something is held that will go out by itself."""
        return bool(self._held or self._back) and not self._stalls

    @property
    def is_plain(self) -> bool:
        """Whether nothing is in force here and nothing held."""
        return not (
            self._rules or self._delays or self._rate or self._piece or self._stalls or self._ends
            or self._held or self._pending or self._back or self._dropping or self.ended
        )  # fmt: skip

    def change(self, in_force: Sequence[InForce], now: Instant) -> None:
        """Take what is in force from now on."""
        since = {id(one): at for at, one in self._ends}
        here = [one for one in in_force if goes(getattr(one.fault, "way", "both"), self._direction)]

        def of(*kinds: type[Fault]) -> list[InForce]:
            return [one for one in here if isinstance(one.fault, kinds)]

        self._rules = of(DropPackets, Duplicate, Reorder) if not self.tracker.lost else []
        self._delays = of(Latency)
        self._rate = _least([(one.fault.bytes_per_s, one) for one in here if isinstance(one.fault, Bandwidth)])
        self._piece = _least([(one.fault.piece_bytes, one) for one in here if isinstance(one.fault, Slicing)])
        self._stalls = of(Stall)
        self._ends = [
            (since.get(id(one), self.carried + one.fault.after_bytes), one)
            for one in here
            if isinstance(one.fault, ResetConnections | HalfOpen | Truncate)
        ]
        if not self._rules and self._pending:
            self._let_pending_go(now)

    # --- bytes in

    def pass_by(self, data: bytes) -> None:
        """Note bytes that somebody else passes on, while nothing happens to them."""
        self.carried += len(data)
        if not self.tracker.lost:
            self.tracker.follow(data)

    def receive(self, data: bytes, now: Instant) -> InForce | None:
        """Take bytes; returns the fault that ends the connection with them, if one does."""
        ending = None
        first = _least(self._ends)
        if first is not None:
            limit, one = first
            if self.carried + len(data) > limit:
                ending = one
                data = data[: limit - self.carried]
        self.carried += len(data)
        for stall in self._stalls:
            stall.counts["bytes"] += len(data)
        if self._rules:
            self._judge(data, now)
        else:
            self._go_on_undecided(data, now)
        return ending

    def receive_end(self, now: Instant) -> None:
        """Take the end of the stream; what waited for more goes out as it is."""
        self._let_pending_go(now)
        self._release_back(now)
        self.ended = True
        self._ends_at = max(self._release, now + sum(one.delay(self.client_id, self._direction) for one in self._delays))

    def forget(self) -> None:
        """Let go of all that is held: it is lost."""
        self._held.clear()
        self.held_bytes = 0
        self._pending = self._back = b""

    def _go_on_undecided(self, data: bytes, now: Instant) -> None:
        """Pass the bytes on; but the rest of a packet that is being dropped goes where its beginning went."""
        if self._dropping:
            cut = self.tracker.skip(data)
            self._dropping = bool(self.tracker.left)
            data = data[cut:]
        if not self.tracker.lost:
            self.tracker.follow(data)
        self._pace(data, now)

    # --- packets

    def _judge(self, data: bytes, now: Instant) -> None:
        tracker = self.tracker
        at = 0
        if self._pending:
            data, self._pending = self._pending + data, b""
        elif not tracker.between:
            at = tracker.skip(data)
            if not self._dropping:
                self._pace(data[:at], now)
            self._packet_is_over(now)
        while at < len(data) and not tracker.lost:
            try:
                gone = self._decide(data, at, now)
            except NotMqtt:
                tracker.lost = True
                self._rules = []
                self._pace(data[at:], now)
                return
            if not gone:
                self._pending = data[at:]
                return
            at += gone

    def _decide(self, data: bytes, at: int, now: Instant) -> int:
        """Decide about the packet that begins at `at`; returns how many of its bytes are dealt with, 0 to wait for more."""
        head = read_head(data, at)
        if head is None:
            return 0
        if not self._decided:
            topic = None
            if head.packet == "PUBLISH" and any(getattr(one.fault, "topic", None) for one in self._rules):
                topic = read_topic(data, at, head)
                if topic is None:
                    return 0
            self._verdict = self._verdict_on(head, topic)
            self._decided = True
        verdict = self._verdict.fault if self._verdict is not None else None
        here = data[at : at + head.total]
        if isinstance(verdict, Duplicate | Reorder) and len(here) < head.total:
            return 0
        self._decided = False
        self.tracker.left = head.total - len(here)
        self._dropping = False
        match verdict:
            case DropPackets():
                self._dropping = True
            case Duplicate():
                self._pace(here, now)
                self._pace(repeated(here), now)
            case Reorder() if not self._back:
                self._back, self._back_until = here, now + round(verdict.within_ms * MILLISECOND)
                return len(here)
            case _:
                self._pace(here, now)
        self._packet_is_over(now)
        return len(here)

    def _verdict_on(self, head: Head, topic: str | None) -> InForce | None:
        """Ask all rules, so that each counts what it sees; the first that strikes has its way."""
        struck = [one for one in self._rules if one.strikes(self.client_id, self._direction, head.packet, topic)]
        if not struck:
            return None
        if head.total > HELD_PACKET_MAX and not isinstance(struck[0].fault, DropPackets):
            struck[0].counts["too_large"] += 1
            return None
        return struck[0]

    def _packet_is_over(self, now: Instant) -> None:
        """Let the packet go that waited for this one; one that vanished does not count."""
        if not self.tracker.between:
            return
        if not self._dropping:
            self._release_back(now)
        self._dropping = False

    def _release_back(self, now: Instant) -> None:
        back, self._back = self._back, b""
        self._pace(back, now)

    def _let_pending_go(self, now: Instant) -> None:
        pending, self._pending = self._pending, b""
        self._decided = False
        if pending:
            self._go_on_undecided(pending, now)

    # --- time

    def _pace(self, data: bytes, now: Instant) -> None:
        """Hold the bytes until their time, in pieces where they leave in pieces."""
        if not data:
            return
        delay = sum(one.delay(self.client_id, self._direction) for one in self._delays)
        size, rate = len(data), 0
        if self._rate is not None:
            rate, one = self._rate
            one.counts["bytes"] += len(data)
            size = min(size, max(1, rate // STEPS_PER_S))
        if self._piece is not None:
            piece, one = self._piece
            one.counts["pieces"] += -(-len(data) // piece)
            size = min(size, piece)
        for begin in range(0, len(data), size):
            part = data[begin : begin + size]
            at = now
            if rate:
                at = self._free_at = max(self._free_at, now) + len(part) * SECOND // rate
            self._release = max(self._release, at + delay)
            self._held.append((self._release, part, self._piece is not None))
        self.held_bytes += len(data)

    def deadline(self) -> Instant | None:
        """Return when there is something to take, or the end has come; None when only bytes or a change can bring it."""
        if self._stalls:
            return None
        if self._held:
            return min(self._held[0][0], self._back_until) if self._back else self._held[0][0]
        if self._back:
            return self._back_until
        return self._ends_at if self.ended else None

    def take(self, now: Instant) -> bytes:
        """Return what is to be written now, and in one go; nothing when its time has not come."""
        if self._stalls:
            return b""
        if self._back and self._back_until <= now:
            self._release_back(now)
        held = self._held
        if not held or held[0][0] > now:
            return b""
        _, data, alone = held.popleft()
        if not alone and held and held[0][0] <= now:
            parts = [data]
            while held and held[0][0] <= now and not held[0][2]:
                parts.append(held.popleft()[1])
            data = b"".join(parts)
        self.held_bytes -= len(data)
        return data

    def is_over(self, now: Instant) -> bool:
        """Whether the stream has ended, and all of it has gone out."""
        return self.ended and not self._held and not self._stalls and self._ends_at <= now


def _least(entries: Sequence[tuple[int, InForce]]) -> tuple[int, InForce] | None:
    return min(entries, key=lambda entry: entry[0], default=None)


class FaultyConnection:
    """Both directions of a connection, and whose it is once its CONNECT has said so."""

    __slots__ = ("_admitted", "_faults", "_forwarded", "_silencer", "_start", "_streams", "client_id", "fate", "plain")

    def __init__(self, faults: FaultsInForce, now: Instant) -> None:
        """Begin with the connection; `fate` may be sealed at once."""
        self.client_id: str | None = None
        self.fate: Fate | None = None
        self.plain = False
        self._faults = faults
        self._streams: dict[Direction, FaultyStream] = {
            "to_broker": FaultyStream("to_broker"),
            "to_client": FaultyStream("to_client"),
        }
        self._start: bytes | None = b""  # what has come of the CONNECT; None when there is nothing more to find out
        self._forwarded = 0
        self._admitted = False
        self._silencer: InForce | None = None
        self.look(now)

    def stream(self, direction: Direction) -> FaultyStream:
        return self._streams[direction]

    def look(self, now: Instant) -> None:
        """See what is in force, which may have changed."""
        if self.fate is not None:
            return
        in_force = self._faults.concerning(self.client_id)
        for stream in self._streams.values():
            stream.change(in_force, now)
        for one in in_force:
            fault = one.fault
            if (isinstance(fault, Refuse) and not self._admitted) or (
                isinstance(fault, ResetConnections | HalfOpen) and not fault.after_bytes
            ):
                self._strike(one)
                return
        if self._start is not None and self._start[self._forwarded :] and not self._faults.ask_who:
            self._forward(now)
        self._settle()

    @property
    def is_carrying(self) -> bool:
        """Whether something is held that will go out by itself."""
        return not self.plain and any(stream.is_carrying for stream in self._streams.values())

    def receive(self, direction: Direction, data: bytes, now: Instant) -> None:
        """Take bytes from one end."""
        if direction == "to_broker" and self._start is not None:
            data = self._identify(data, now)
        if self.fate is not None:
            if self._silencer is not None:
                self._silencer.counts["bytes"] += len(data)
            return
        ending = self._streams[direction].receive(data, now)
        if ending is not None:
            self._strike(ending, now)
        self._settle()

    def receive_end(self, direction: Direction, now: Instant) -> None:
        """Take the end of the stream of one end."""
        if self._start is not None and direction == "to_broker":
            self._forward(now)
            self._start = None
        if self.fate is None:
            self._streams[direction].receive_end(now)
        self._settle()

    def take(self, direction: Direction, now: Instant) -> bytes:
        """Return what is to be written now at the end that a direction leads to."""
        data = self._streams[direction].take(now)
        self._settle()
        return data

    def _settle(self) -> None:
        self.plain = self.fate is None and self._start is None and all(stream.is_plain for stream in self._streams.values())

    # --- who it is

    def _identify(self, data: bytes, now: Instant) -> bytes:
        """Look for the client id, and return what can go on; where it matters who it is, that is nothing until it is known."""
        assert self._start is not None
        self._start += data
        try:
            client_id = read_client_id(self._start)
        except NotMqtt:
            for stream in self._streams.values():
                stream.tracker.lost = True
        else:
            if client_id is None:
                if self._faults.ask_who:
                    return b""
                self._forwarded = len(self._start)
                return data
            self.client_id = client_id = car_of(client_id)
            for stream in self._streams.values():
                stream.client_id = client_id
        rest = self._start[self._forwarded :]
        self._start = None
        self.look(now)
        self._admitted = True
        return rest

    def _forward(self, now: Instant) -> None:
        """Let go what was kept back of the beginning."""
        assert self._start is not None
        kept = self._start[self._forwarded :]
        self._forwarded = len(self._start)
        if kept and self.fate is None:
            self._streams["to_broker"].receive(kept, now)

    # --- the end

    def _strike(self, one: InForce, now: Instant = 0) -> None:
        one.counts["connections"] += 1
        if isinstance(one.fault, Truncate):
            self.fate = "end"
            for stream in self._streams.values():
                stream.receive_end(now)
            return
        if isinstance(one.fault, HalfOpen):
            self.fate, self._silencer = "silent", one
        else:
            self.fate = "reset"
        for stream in self._streams.values():
            stream.forget()
        self.plain = False
