"""The outbox of a car that may have to be silent: what goes first, what waits, and that the account holds all the while."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet.vehicle.outbox import UNSTORED_LIMIT, Outbox, is_priority
from fleet.vehicle.signals import Transmit
from fleet.wire.messages import CarMessage, Event, Response, Stored
from tests.vehicle.test_outbox import message

LIMIT = 8


def call(seq: int) -> Event:
    return Event(vin="V", boot=1, seq=seq, captured_at=seq, name="ecall")


def refused(seq: int, reason: str = "privacy_offline") -> Response:
    header = {"vin": "V", "boot": 1, "seq": seq, "captured_at": seq}
    return Response(**header, command_id="c", name="lock", state="rejected", reason=reason, awake=True)  # type: ignore[arg-type]


class World:
    """A link that works or not, and what has gone over it; messages are known by when they were made."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.up = False
        self.under_way: CarMessage | None = None
        self.first: list[CarMessage] = []
        self.calls_waiting: list[int] = []

    def sent(self, out: Transmit | None) -> None:
        if out is None:
            return
        assert self.up
        assert self.under_way is None, "one under way at a time"
        new = out.message
        assert not self.outbox.muted or is_priority(new), "a silent car says what the law requires"
        known = [held for held in self.first if held.seq == new.seq]
        assert out.again == bool(known)
        if known:
            assert known == [new], "a repetition is the same message"
        else:
            assert not self.first or new.seq > self.first[-1].seq, "numbers follow the order of sending"
            self.first.append(new)
        if new.captured_at in self.calls_waiting:
            assert new.captured_at == self.calls_waiting.pop(0), "calls go in their order"
        else:
            # A call that was taken, and may not be stored, comes again before those that came later.
            assert is_priority(new) or not self.calls_waiting, "a call goes before all that waits"
        self.under_way = new

    def put(self, kind: str) -> None:
        seq = self.outbox.next_seq()
        if kind == "call":
            self.calls_waiting.append(seq)
            self.sent(self.outbox.enqueue_priority(call(seq)))
        else:
            self.sent(self.outbox.enqueue(message(kind, seq)))

    def end(self, *, taken: bool) -> None:
        if self.under_way is not None:
            seq, self.under_way = self.under_way.seq, None
            self.sent(self.outbox.acknowledge(seq, refused=not taken))

    def link(self, *, up: bool) -> None:
        if up and not self.up:
            self.up = True
            self.sent(self.outbox.connection_made(0))
        elif not up:
            if self.under_way is not None and is_priority(self.under_way):
                self.calls_waiting.insert(0, self.under_way.captured_at)  # it has to come again
            self.up, self.under_way = False, None
            self.outbox.connection_lost()


ACTIONS = st.lists(
    st.sampled_from(
        ["status", "event", "response", "call", "taken", "taken", "refused", "up", "down", "silent", "speak", "stored", "repeat"]
    ),
    max_size=70,
)


@settings(deadline=None, max_examples=600)
@given(ACTIONS, st.booleans())
@example(["call", "call", "up", "taken", "down"], True)
@example(["status", "up", "down", "call", "up", "taken", "taken"], False)
def test_what_overtakes_goes_first_and_nothing_is_lost(actions: list[str], until_stored: bool) -> None:
    """Whatever happens, numbers rise in the order of sending, calls go first, silence is kept, and the account holds."""
    outbox = Outbox(1, limit=LIMIT, until_stored=until_stored)
    world = World(outbox)
    calls = 0
    for action in actions:
        match action:
            case "status" | "event" | "response" | "call":
                calls += action == "call"
                world.put(action)
            case "taken" | "refused":
                world.end(taken=action == "taken")
            case "up" | "down":
                world.link(up=action == "up")
            case "silent":
                outbox.muted = True
            case "speak":
                world.sent(outbox.unmute())
            case "stored" if world.first:
                world.sent(outbox.mark_stored(Stored(boot=1, through=0, high=world.first[-1].seq)))
            case "repeat" if world.under_way is None and not until_stored:
                world.sent(outbox.repeat_unstored())
        done = outbox.stored if until_stored else outbox.acknowledged
        assert outbox.created == done + outbox.refused + outbox.dropped + outbox.in_outbox
    outbox.muted = True
    world.link(up=True)
    while world.under_way is not None:
        world.end(taken=True)
    assert sum(isinstance(each, Event) and each.name == "ecall" for each in world.first) == calls, "each call was sent"


def fresh(*kinds: str) -> Outbox:
    outbox = Outbox(1)
    for kind in kinds:
        outbox.enqueue(message(kind, outbox.next_seq()))
    return outbox


def drain(outbox: Outbox, out: Transmit | None) -> list[tuple[int, int]]:
    """Acknowledge until nothing comes; return (number, when it was made) in the order of sending."""
    sent = []
    while out is not None:
        sent.append((out.message.seq, out.message.captured_at))
        out = outbox.acknowledge(out.message.seq, refused=False)
    return sent


def test_a_call_takes_the_lowest_number_that_was_never_sent() -> None:
    """What waited moves up by one; numbers have no gap, and are sent in their order."""
    outbox = fresh("event", "status", "response")
    assert outbox.enqueue_priority(call(outbox.next_seq())) is None
    assert outbox.enqueue_priority(call(outbox.next_seq())) is None
    assert drain(outbox, outbox.connection_made(0)) == [(1, 4), (2, 5), (3, 1), (4, 2), (5, 3)]


def test_what_was_dropped_leaves_its_gap_where_it_was() -> None:
    outbox = Outbox(1, limit=2)
    for kind in ("status", "event", "event"):
        outbox.enqueue(message(kind, outbox.next_seq()))
    outbox.enqueue_priority(call(outbox.next_seq()))
    assert drain(outbox, outbox.connection_made(0)) == [(2, 4), (3, 2), (4, 3)]
    assert outbox.dropped == 1


def test_a_call_goes_before_what_is_to_be_repeated() -> None:
    """The one that was under way keeps its number, and its bytes, and comes second."""
    outbox = fresh("event", "event")
    first = outbox.connection_made(0)
    assert first is not None
    outbox.connection_lost()
    outbox.enqueue_priority(call(outbox.next_seq()))
    assert drain(outbox, outbox.connection_made(0)) == [(2, 3), (1, 1), (3, 2)]


def test_a_call_does_not_wait_for_what_is_not_stored() -> None:
    outbox = Outbox(1, until_stored=True)
    outbox.connection_made(0)
    for _ in range(UNSTORED_LIMIT):
        outbox.enqueue(message("event", outbox.next_seq()))
        outbox.acknowledge(outbox.created, refused=False)
    assert outbox.enqueue(message("event", outbox.next_seq())) is None, "others wait"
    out = outbox.enqueue_priority(call(outbox.next_seq()))
    assert out is not None
    assert out.message.seq == UNSTORED_LIMIT + 1


def test_a_silent_car_does_not_repeat() -> None:
    """What the broker took is not sent again while the car is silent, and is when it speaks; a call is, all the while."""
    outbox = Outbox(1, until_stored=True)
    outbox.connection_made(0)
    for made in (message("event", outbox.next_seq()), call(outbox.next_seq())):
        outbox.enqueue(made)
        outbox.acknowledge(made.seq, refused=False)
    outbox.muted = True
    assert drain(outbox, outbox.repeat_unstored()) == [(2, 2)]
    sending_before = outbox.is_sending
    outbox.mark_stored(Stored(boot=1, through=0, high=2, gaps=((1, 1),)))
    assert (sending_before, outbox.is_sending) == (True, False), "a call that is not stored yet is being sent"
    assert outbox.in_outbox == 1
    outbox.unmute()
    assert drain(outbox, outbox.repeat_unstored()) == [(1, 1)]


def test_refusals_of_a_silent_car_leave_it_and_other_answers_wait() -> None:
    outbox = fresh("status")
    outbox.muted = True
    outbox.enqueue(message("response", outbox.next_seq()))
    outbox.enqueue_priority(refused(outbox.next_seq()))
    assert drain(outbox, outbox.connection_made(0)) == [(1, 3)]
    assert outbox.in_outbox == 2
    assert drain(outbox, outbox.unmute()) == [(2, 1), (3, 2)]


def test_revising_touches_only_what_was_never_sent() -> None:
    outbox = fresh("event", "event", "status")
    outbox.connection_made(0)
    outbox.connection_lost()
    outbox.repeat_unstored()
    outbox.redact_unsent(lambda held: None if isinstance(held, Event) else held)
    assert outbox.open_seqs == [1, 3]
    assert outbox.dropped == 1


def test_gaps_stay_between_the_messages_they_were_between() -> None:
    """What was dropped after the first event is missing after it still, though both have moved up."""
    outbox = Outbox(1, limit=3)
    for kind in ("event", "status", "event", "event"):
        outbox.enqueue(message(kind, outbox.next_seq()))
    outbox.enqueue_priority(call(outbox.next_seq()))
    assert drain(outbox, outbox.connection_made(0)) == [(1, 5), (2, 1), (4, 3), (5, 4)]


def test_what_was_overtaken_is_counted_when_it_is_taken() -> None:
    """Its number is lower than that of the call, which was taken before it."""
    outbox = fresh("status")
    outbox.connection_made(0)
    outbox.connection_lost()
    outbox.enqueue_priority(call(outbox.next_seq()))
    drain(outbox, outbox.connection_made(0))
    assert (outbox.created, outbox.acknowledged, outbox.in_outbox) == (2, 2, 0)
