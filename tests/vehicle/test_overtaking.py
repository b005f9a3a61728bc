"""The outbox of a car that may have to be silent: what overtakes, what waits, and that the account holds all the while."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet.vehicle.signals import Transmit
from fleet.vehicle.telematics import UNSTORED_LIMIT, Telematics, overtakes
from fleet.wire.messages import CarMessage, Event, Response, Stored
from tests.vehicle.test_telematics import message

LIMIT = 8


def call(seq: int) -> Event:
    return Event(vin="V", boot=1, seq=seq, captured_at=seq, name="ecall")


def refused(seq: int, reason: str = "privacy_offline") -> Response:
    header = {"vin": "V", "boot": 1, "seq": seq, "captured_at": seq}
    return Response(**header, command_id="c", name="lock", state="rejected", reason=reason, awake=True)  # type: ignore[arg-type]


class World:
    """A link that works or not, and what has gone over it; messages are known by when they were made."""

    def __init__(self, modem: Telematics) -> None:
        self.modem = modem
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
        assert not self.modem.silent or overtakes(new), "a silent car says what the law requires"
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
            assert overtakes(new) or not self.calls_waiting, "a call goes before all that waits"
        self.under_way = new

    def put(self, kind: str) -> None:
        seq = self.modem.next_seq()
        if kind == "call":
            self.calls_waiting.append(seq)
            self.sent(self.modem.put_ahead(call(seq)))
        else:
            self.sent(self.modem.put(message(kind, seq)))

    def end(self, *, taken: bool) -> None:
        if self.under_way is not None:
            seq, self.under_way = self.under_way.seq, None
            self.sent(self.modem.acknowledge(seq, refused=not taken))

    def link(self, *, up: bool) -> None:
        if up and not self.up:
            self.up = True
            self.sent(self.modem.link_up(0))
        elif not up:
            if self.under_way is not None and overtakes(self.under_way):
                self.calls_waiting.insert(0, self.under_way.captured_at)  # it has to come again
            self.up, self.under_way = False, None
            self.modem.link_down()


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
    modem = Telematics(1, limit=LIMIT, until_stored=until_stored)
    world = World(modem)
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
                modem.silent = True
            case "speak":
                world.sent(modem.speak())
            case "stored" if world.first:
                world.sent(modem.mark_stored(Stored(boot=1, through=0, high=world.first[-1].seq)))
            case "repeat" if world.under_way is None and not until_stored:
                world.sent(modem.repeat_unstored())
        done = modem.stored if until_stored else modem.acknowledged
        assert modem.created == done + modem.refused + modem.dropped + modem.in_outbox
    modem.silent = True
    world.link(up=True)
    while world.under_way is not None:
        world.end(taken=True)
    assert sum(isinstance(each, Event) and each.name == "ecall" for each in world.first) == calls, "each call was sent"


def fresh(*kinds: str) -> Telematics:
    modem = Telematics(1)
    for kind in kinds:
        modem.put(message(kind, modem.next_seq()))
    return modem


def drain(modem: Telematics, out: Transmit | None) -> list[tuple[int, int]]:
    """Acknowledge until nothing comes; return (number, when it was made) in the order of sending."""
    sent = []
    while out is not None:
        sent.append((out.message.seq, out.message.captured_at))
        out = modem.acknowledge(out.message.seq, refused=False)
    return sent


def test_a_call_takes_the_lowest_number_that_was_never_sent() -> None:
    """What waited moves up by one; numbers have no gap, and are sent in their order."""
    modem = fresh("event", "status", "response")
    assert modem.put_ahead(call(modem.next_seq())) is None
    assert modem.put_ahead(call(modem.next_seq())) is None
    assert drain(modem, modem.link_up(0)) == [(1, 4), (2, 5), (3, 1), (4, 2), (5, 3)]


def test_what_was_dropped_leaves_its_gap_where_it_was() -> None:
    modem = Telematics(1, limit=2)
    for kind in ("status", "event", "event"):
        modem.put(message(kind, modem.next_seq()))
    modem.put_ahead(call(modem.next_seq()))
    assert drain(modem, modem.link_up(0)) == [(2, 4), (3, 2), (4, 3)]
    assert modem.dropped == 1


def test_a_call_goes_before_what_is_to_be_repeated() -> None:
    """The one that was under way keeps its number, and its bytes, and comes second."""
    modem = fresh("event", "event")
    first = modem.link_up(0)
    assert first is not None
    modem.link_down()
    modem.put_ahead(call(modem.next_seq()))
    assert drain(modem, modem.link_up(0)) == [(2, 3), (1, 1), (3, 2)]


def test_a_call_does_not_wait_for_what_is_not_stored() -> None:
    modem = Telematics(1, until_stored=True)
    modem.link_up(0)
    for _ in range(UNSTORED_LIMIT):
        modem.put(message("event", modem.next_seq()))
        modem.acknowledge(modem.created, refused=False)
    assert modem.put(message("event", modem.next_seq())) is None, "others wait"
    out = modem.put_ahead(call(modem.next_seq()))
    assert out is not None
    assert out.message.seq == UNSTORED_LIMIT + 1


def test_a_silent_car_does_not_repeat() -> None:
    """What the broker took is not sent again while the car is silent, and is when it speaks; a call is, all the while."""
    modem = Telematics(1, until_stored=True)
    modem.link_up(0)
    for made in (message("event", modem.next_seq()), call(modem.next_seq())):
        modem.put(made)
        modem.acknowledge(made.seq, refused=False)
    modem.silent = True
    assert drain(modem, modem.repeat_unstored()) == [(2, 2)]
    sending_before = modem.is_sending
    modem.mark_stored(Stored(boot=1, through=0, high=2, gaps=((1, 1),)))
    assert (sending_before, modem.is_sending) == (True, False), "a call that is not stored yet is being sent"
    assert modem.in_outbox == 1
    modem.speak()
    assert drain(modem, modem.repeat_unstored()) == [(1, 1)]


def test_refusals_of_a_silent_car_leave_it_and_other_answers_wait() -> None:
    modem = fresh("status")
    modem.silent = True
    modem.put(message("response", modem.next_seq()))
    modem.put_ahead(refused(modem.next_seq()))
    assert drain(modem, modem.link_up(0)) == [(1, 3)]
    assert modem.in_outbox == 2
    assert drain(modem, modem.speak()) == [(2, 1), (3, 2)]


def test_revising_touches_only_what_was_never_sent() -> None:
    modem = fresh("event", "event", "status")
    modem.link_up(0)
    modem.link_down()
    modem.repeat_unstored()
    modem.revise(lambda held: None if isinstance(held, Event) else held)
    assert modem.outbox_seqs == [1, 3]
    assert modem.dropped == 1


def test_gaps_stay_between_the_messages_they_were_between() -> None:
    """What was dropped after the first event is missing after it still, though both have moved up."""
    modem = Telematics(1, limit=3)
    for kind in ("event", "status", "event", "event"):
        modem.put(message(kind, modem.next_seq()))
    modem.put_ahead(call(modem.next_seq()))
    assert drain(modem, modem.link_up(0)) == [(1, 5), (2, 1), (4, 3), (5, 4)]


def test_what_was_overtaken_is_counted_when_it_is_taken() -> None:
    """Its number is lower than that of the call, which was taken before it."""
    modem = fresh("status")
    modem.link_up(0)
    modem.link_down()
    modem.put_ahead(call(modem.next_seq()))
    drain(modem, modem.link_up(0))
    assert (modem.created, modem.acknowledged, modem.in_outbox) == (2, 2, 0)
