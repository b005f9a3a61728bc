"""The outbox that keeps messages until they are stored, against a world that loses whatever it can."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.cloud.sequence import SeenSequence
from fleet.vehicle.outbox import UNSTORED_LIMIT, Outbox
from fleet.vehicle.signals import Transmit
from fleet.wire.messages import Stored
from tests.vehicle.test_outbox import message

LIMIT = 6


class World:
    """A broker that may forget, and a store that numbers what it has. `sent` is what is on its way to an answer."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.up = False
        self.under_way: int | None = None
        self.broker: list[int] = []
        self.store: set[int] = set()
        self.sequence = SeenSequence()
        self.refused: set[int] = set()
        self.first_sent: list[int] = []

    def transmitted(self, out: Transmit | None) -> None:
        if out is None:
            return
        assert self.up
        assert self.under_way is None, "one under way at a time"
        assert out.again == (out.message.seq in self.first_sent)
        if not out.again:
            self.first_sent.append(out.message.seq)
        self.under_way = out.message.seq

    def answer(self, *, refused: bool = False) -> None:
        seq, self.under_way = self.under_way, None
        if seq is None:
            return
        if refused and seq not in self.store and seq not in self.broker:
            self.refused.add(seq)
            self.transmitted(self.outbox.acknowledge(seq, refused=True))
            return
        self.broker.append(seq)
        self.transmitted(self.outbox.acknowledge(seq, refused=False))

    def commit(self, *, mark_lost: bool = False) -> None:
        for seq in self.broker:
            self.store.add(seq)
            self.sequence.add(seq)
        self.broker.clear()
        if not mark_lost and self.store:
            numbers = self.sequence
            mark = Stored(boot=1, through=numbers.through, high=numbers.high, gaps=tuple(numbers.gaps))
            out = self.outbox.mark_stored(mark)
            if out is not None:
                self.transmitted(out)

    def check(self) -> None:
        outbox = self.outbox
        assert outbox.created == outbox.stored + outbox.refused + outbox.dropped + outbox.in_outbox
        held = set(outbox.open_seqs)
        gone = set(range(1, outbox.created + 1)) - held - self.refused
        assert len(gone - self.store) == outbox.dropped, "what is neither held nor stored was dropped and counted"
        assert not self.refused & self.store


ACTIONS = st.lists(
    st.sampled_from(
        ["status", "status", "event", "answer", "answer", "refuse", "commit", "commit, mark lost", "broker forgets",
         "up", "down", "down with the answer lost", "repeat", "foreign mark"]
    ),
    max_size=80,
)  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(ACTIONS)
def test_nothing_is_lost_whatever_is_forgotten(actions: list[str]) -> None:
    """Every number is stored, still held, refused, or dropped and counted; and in the end all that is held is stored."""
    outbox = Outbox(1, limit=LIMIT, until_stored=True)
    world = World(outbox)
    for action in actions:
        match action:
            case "status" | "event":
                world.transmitted(outbox.enqueue(message(action, outbox.next_seq())))
            case "answer" | "refuse":
                world.answer(refused=action == "refuse")
            case "commit" | "commit, mark lost":
                world.commit(mark_lost=action != "commit")
            case "broker forgets":
                world.broker.clear()
            case "up" if not world.up:
                world.up = True
                world.transmitted(outbox.connection_made(100))
            case "down" | "down with the answer lost" if world.up:
                if world.under_way is not None and action != "down":
                    world.broker.append(world.under_way)
                world.up, world.under_way = False, None
                outbox.connection_lost()
            case "repeat" if world.up and world.under_way is None:
                world.transmitted(outbox.repeat_unstored())
            case "foreign mark":
                assert outbox.mark_stored(Stored(boot=2, through=1_000)) is None
        world.check()
    if not world.up:
        world.up = True
        world.transmitted(outbox.connection_made(200))
    for _ in range(3):
        while world.under_way is not None:
            world.answer()
        world.commit()
        if world.under_way is None:
            world.transmitted(outbox.repeat_unstored())
    assert outbox.in_outbox == 0
    assert world.first_sent == sorted(world.first_sent)
    world.check()


def test_waits_when_much_is_not_stored() -> None:
    """A back end that is away for long fills the outbox, where the bound holds, and not the broker alone."""
    outbox = Outbox(1, until_stored=True)
    world = World(outbox)
    world.up = True
    world.transmitted(outbox.connection_made(0))
    for _ in range(UNSTORED_LIMIT + 10):
        world.transmitted(outbox.enqueue(message("event", outbox.next_seq())))
        world.answer()
    assert outbox.unstored == UNSTORED_LIMIT
    assert len(world.first_sent) == UNSTORED_LIMIT
    world.commit()
    assert world.under_way == UNSTORED_LIMIT + 1


def test_a_status_for_which_there_is_no_room_does_not_stop_the_car() -> None:
    """All that may be sent is sent and not known to be stored, so the newest status is dropped; what comes later still goes."""
    outbox = Outbox(1, limit=1, until_stored=True)
    outbox.connection_made(0)
    outbox.enqueue(message("event", outbox.next_seq()))
    outbox.acknowledge(1, refused=False)
    assert outbox.enqueue(message("status", outbox.next_seq())) is None
    outbox.mark_stored(Stored(boot=1, through=1))
    out = outbox.enqueue(message("event", outbox.next_seq()))
    assert out is not None
    assert out.message.seq == 3
