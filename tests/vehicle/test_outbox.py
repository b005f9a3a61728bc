"""The outbox against a plain model of it: order, numbers, repetition, bound and account."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.vehicle.outbox import Outbox
from fleet.vehicle.signals import Transmit
from fleet.wire.messages import CarMessage, Event, Response, Status

LIMIT = 5


def message(kind: str, seq: int) -> CarMessage:
    header = {"vin": "V", "boot": 1, "seq": seq, "captured_at": seq}
    match kind:
        case "status":
            return Status(**header, trigger="load", state="parked")  # type: ignore[arg-type]
        case "event":
            return Event(**header, name="x")  # type: ignore[arg-type]
        case _:
            return Response(**header, command_id="c", name="x", state="accepted", awake=True)  # type: ignore[arg-type]


class Model:
    """What is kept, oldest first; the head is under way once it was sent."""

    def __init__(self) -> None:
        self.kept: list[CarMessage] = []
        self.under_way: CarMessage | None = None
        self.up = False
        self.dropped: list[int] = []

    def put(self, new: CarMessage) -> None:
        waiting = [each for each in self.kept if each is not self.under_way]
        if len(self.kept) >= LIMIT and not (self.up and not self.kept):
            statuses = [each for each in (*waiting, new) if isinstance(each, Status)]
            if statuses:
                self.dropped.append(statuses[0].seq)
                self.kept = [each for each in (*self.kept, new) if each is not statuses[0]]
                return
        self.kept.append(new)


ACTIONS = st.lists(
    st.sampled_from(["status", "status", "event", "response", "ack", "ack", "refuse", "stale", "up", "down"]), max_size=60
)


@settings(deadline=None, max_examples=400)
@given(ACTIONS)
def test_behaves_like_the_model(actions: list[str]) -> None:
    """Oldest first, one under way, repeated with its number after a break, bounded; the account holds at every step."""
    outbox = Outbox(1, limit=LIMIT)
    model = Model()
    acknowledged = refused = published = 0
    for action in actions:
        out: Transmit | None = None
        if action in {"status", "event", "response"}:
            new = message(action, outbox.next_seq())
            model.put(new)
            out = outbox.enqueue(new)
        elif action == "up" and not model.up:
            model.up = True
            out = outbox.connection_made(100)
            if model.under_way is not None:
                assert out is not None
                assert out.again
                assert out.message is model.under_way
                out = None
        elif action == "down":
            model.up = False
            outbox.connection_lost()
        elif action == "stale":
            out = outbox.acknowledge(10_000, refused=False)
            assert out is None
        elif action in {"ack", "refuse"} and model.under_way is not None:
            seq = model.under_way.seq
            acknowledged += action == "ack"
            refused += action == "refuse"
            model.kept.remove(model.under_way)
            model.under_way = None
            out = outbox.acknowledge(seq, refused=action == "refuse")
        if model.up and model.under_way is None and model.kept:
            model.under_way = model.kept[0]
            published += 1
            assert out == Transmit(model.under_way, max(model.under_way.captured_at, outbox.reachable_since))
        else:
            assert out is None
        assert outbox.open_seqs == [each.seq for each in model.kept]
        assert outbox.dropped == len(model.dropped)
        assert (outbox.acknowledged, outbox.refused, outbox.published) == (acknowledged, refused, published)
        assert outbox.created == outbox.acknowledged + outbox.refused + outbox.dropped + outbox.in_outbox


def test_the_oldest_status_goes_first_and_never_an_event() -> None:
    """Full: statuses go from the oldest on, the newcomer itself when it is the only one; events and responses stay."""
    outbox = Outbox(1, limit=4)
    for kind in ("event", "status", "response", "status", "event", "event", "status", "event"):
        outbox.enqueue(message(kind, outbox.next_seq()))
    assert outbox.open_seqs == [1, 3, 5, 6, 8]
    assert outbox.dropped == 3


def test_numbers_have_no_gap() -> None:
    """From 1, whatever happens to the messages."""
    outbox = Outbox(9)
    assert [outbox.next_seq() for _ in range(5)] == [1, 2, 3, 4, 5]
