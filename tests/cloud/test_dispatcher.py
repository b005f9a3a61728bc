"""Which mails are tried, when, and how it ends: without a clock and without a server."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fleet.cloud.dispatcher import (
    HELD,
    BeginTry,
    Dispatcher,
    DispatcherOutput,
    FetchMore,
    MailForgotten,
    MailNoted,
    MailWaits,
    Outcome,
    Patience,
    TryEnded,
)
from fleet.kernel.instants import DAY, HOUR, MINUTE, SECOND

NOW = 1_780_000_000_000_000


def waits(mail_id: int, channel: str = "mail", due: int = NOW, tries: int = 0) -> MailWaits:
    return MailWaits(mail_id, channel, NOW, due, tries)


def begun(outputs: Sequence[DispatcherOutput]) -> list[int]:
    return [output.id for output in outputs if isinstance(output, BeginTry)]


def fail(dispatcher: Dispatcher, mail_id: int, outcome: Outcome, now: int) -> MailNoted:
    """End a try, and return how the mail stands then."""
    first = dispatcher.receive(TryEnded(mail_id, outcome, "why"), now)[0]
    assert isinstance(first, MailNoted)
    return first


def test_a_mail_that_is_taken_is_tried_once() -> None:
    dispatcher = Dispatcher()
    assert dispatcher.receive(waits(1), NOW) == [BeginTry(1, 1)]
    assert dispatcher.receive(TryEnded(1, "sent"), NOW + 5) == [MailNoted(1, "sent", 1)]
    assert dispatcher.deadline() is None
    assert dispatcher.receive(TryEnded(1, "sent"), NOW + 6) == []
    assert dispatcher.wake(NOW + DAY) == []


def test_a_mail_that_waits_already_is_not_tried_twice() -> None:
    """The store may tell again of a mail that is being tried, or waits here."""
    dispatcher = Dispatcher(Patience(at_once=1))
    assert begun(dispatcher.receive(waits(1), NOW)) == [1]
    assert begun(dispatcher.receive(waits(1), NOW)) == []
    dispatcher.receive(waits(2), NOW)
    dispatcher.receive(waits(2), NOW)
    assert begun(dispatcher.receive(TryEnded(1, "sent"), NOW)) == [2]
    assert begun(dispatcher.receive(TryEnded(2, "sent"), NOW)) == []


def test_pauses_grow_and_the_tries_are_bounded() -> None:
    """10 s, 20 s, 40 s …, no longer than half an hour; after 20 tries it has failed, and that is said with the last reason."""
    dispatcher = Dispatcher()
    now = NOW
    assert begun(dispatcher.receive(waits(1), now)) == [1]
    pauses = []
    for number in range(1, 20):
        noted = fail(dispatcher, 1, "deferred", now)
        assert (noted.state, noted.tries, noted.error) == ("waiting", number, "why")
        assert dispatcher.deadline() == noted.due
        assert dispatcher.wake(noted.due - 1) == []
        pauses.append((noted.due - now) // SECOND)
        now = noted.due
        assert dispatcher.wake(now) == [BeginTry(1, number + 1)]
    assert pauses[:9] == [10, 20, 40, 80, 160, 320, 640, 1280, 1800]
    assert set(pauses[9:]) == {1800}
    noted = fail(dispatcher, 1, "deferred", now)
    assert (noted.state, noted.tries) == ("failed", 20)
    assert noted.error == "given up after 20 tries; the last: why"
    assert dispatcher.deadline() is None


@pytest.mark.parametrize(("outcome", "state"), [("refused", "failed"), ("unknown", "unknown")])
def test_what_is_refused_or_unknown_is_never_tried_again(outcome: Outcome, state: str) -> None:
    dispatcher = Dispatcher()
    dispatcher.receive(waits(1), NOW)
    assert fail(dispatcher, 1, outcome, NOW).state == state
    assert dispatcher.wake(NOW + DAY) == []
    assert dispatcher.deadline() is None


def test_few_are_tried_at_once_and_each_channel_has_its_own_room() -> None:
    dispatcher = Dispatcher(Patience(at_once=2))
    for mail_id in range(1, 6):
        dispatcher.receive(waits(mail_id), NOW)
    assert begun(dispatcher.receive(waits(6, "push"), NOW)) == [6]
    assert begun(dispatcher.receive(TryEnded(2, "sent"), NOW)) == [3]
    assert dispatcher.deadline() is None  # nothing to wake for while there is no room


def test_a_server_that_is_gone_is_looked_for_by_one_mail_at_a_time() -> None:
    """The channel pauses, whatever waits; another mail than the first looks next, and when one gets through all follow."""
    dispatcher = Dispatcher(Patience(at_once=2))
    for mail_id in range(1, 5):
        dispatcher.receive(waits(mail_id), NOW)
    assert fail(dispatcher, 1, "unreachable", NOW).due == NOW + 10 * SECOND
    assert fail(dispatcher, 2, "unreachable", NOW).due == NOW + 10 * SECOND
    assert dispatcher.deadline() == NOW + 20 * SECOND  # two failures in a row
    assert begun(dispatcher.wake(NOW + 10 * SECOND)) == []
    assert begun(dispatcher.wake(NOW + 20 * SECOND)) == [3]
    assert begun(dispatcher.receive(waits(9), NOW + 20 * SECOND)) == []
    assert begun(dispatcher.receive(TryEnded(3, "sent"), NOW + 21 * SECOND)) == [4, 9]
    assert begun(dispatcher.receive(TryEnded(4, "sent"), NOW + 22 * SECOND)) == [1]


def test_a_mail_that_is_too_old_has_failed_without_another_try() -> None:
    """A back end that was away for days does not send what nobody expects any more."""
    dispatcher = Dispatcher()
    assert dispatcher.receive(waits(1), NOW + 2 * DAY + 1) == [MailNoted(1, "failed", 0, error="it has waited for too long")]
    assert begun(dispatcher.receive(waits(2), NOW + 2 * DAY)) == [2]


def test_a_mail_of_before_a_restart_keeps_its_tries_and_its_time() -> None:
    dispatcher = Dispatcher()
    assert dispatcher.receive(waits(1, due=NOW + HOUR, tries=18), NOW) == []
    assert dispatcher.deadline() == NOW + HOUR
    assert dispatcher.wake(NOW + HOUR) == [BeginTry(1, 19)]
    assert fail(dispatcher, 1, "deferred", NOW + HOUR).state == "waiting"
    dispatcher.wake(NOW + 2 * HOUR)
    assert fail(dispatcher, 1, "deferred", NOW + 2 * HOUR).state == "failed"


def test_memory_is_bounded_and_what_is_beyond_is_fetched_later() -> None:
    """More than can be held wait in the store alone, until half of those held are gone."""
    dispatcher = Dispatcher(Patience(at_once=1))
    outputs: list[DispatcherOutput] = []
    for mail_id in range(HELD + 200):
        outputs += dispatcher.receive(waits(mail_id), NOW)
    assert begun(outputs) == [0]
    held = [mail_id for mail_id in range(HELD + 200) if dispatcher.holds(mail_id)]
    assert len(held) == HELD + 1  # the one under way, and those that wait
    fetched = []
    for mail_id in held:
        for output in dispatcher.receive(TryEnded(mail_id, "sent"), NOW):
            if isinstance(output, FetchMore):
                fetched.append(mail_id)
                for beyond in range(HELD + 200):
                    if beyond not in held:
                        dispatcher.receive(waits(beyond), NOW)
    assert fetched == [HELD // 2 - 1]
    assert dispatcher.holds(HELD + 199)


def test_an_erased_mail_is_not_sent_any_more() -> None:
    dispatcher = Dispatcher(Patience(at_once=1))
    dispatcher.receive(waits(1), NOW)
    dispatcher.receive(waits(2), NOW)
    dispatcher.receive(waits(3), NOW)
    dispatcher.receive(MailForgotten(2), NOW)
    assert dispatcher.receive(TryEnded(1, "sent"), NOW) == [MailNoted(1, "sent", 1), BeginTry(3, 1)]
    dispatcher.receive(MailForgotten(3), NOW)
    assert dispatcher.receive(TryEnded(3, "deferred", "late"), NOW) == []  # nothing is noted of it, and it is not tried again
    assert dispatcher.deadline() is None


def test_waking_early_does_nothing() -> None:
    dispatcher = Dispatcher()
    dispatcher.receive(waits(1, due=NOW + MINUTE), NOW)
    assert dispatcher.wake(NOW + MINUTE - 1) == []
