"""A session that another client left: the filters that a link ends, and those it never touches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleet.transport.leftovers import TOPICS_TRIED_MAX, Leftovers, filters_matching, matches
from fleet.transport.simulated_topics import SubscriptionIndex

LEVEL = st.sampled_from(("a", "b", "fleet", "$x", ""))
TOPIC = st.lists(LEVEL, min_size=1, max_size=5).map("/".join).filter(bool)
WORD = st.one_of(LEVEL, st.just("+"))


@st.composite
def topic_filters(draw: st.DrawFn) -> str:
    levels = draw(st.lists(WORD, min_size=1, max_size=5))
    return "/".join([*levels, "#"] if draw(st.booleans()) else levels) or "+"


@given(topic_filters(), TOPIC)
def test_matching_is_that_of_the_broker(topic_filter: str, topic: str) -> None:
    """A link and the simulated broker agree on which topics a filter lets in."""
    index: SubscriptionIndex[str] = SubscriptionIndex()
    index.add(topic_filter, "somebody", 1)
    assert matches(topic_filter, topic) == bool(index.matching(topic))


@given(topic_filters(), TOPIC)
def test_every_filter_that_lets_a_topic_in_is_found(topic_filter: str, topic: str) -> None:
    """Whatever filter a message came by is among those that are ended."""
    if matches(topic_filter, topic):
        assert topic_filter in filters_matching(topic)


def test_long_topics_are_bounded() -> None:
    """A topic of many levels does not make filters without number, and its likely ones are among them."""
    topic = "/".join("abcdefghijklmnopqrst") + "/VIN/command/honk"
    found = filters_matching(topic)
    assert len(found) < 300
    assert {topic, topic.replace("honk", "+"), topic.replace("VIN", "+"), "a/b/#", "#"} <= set(found)


def test_own_topics_end_nothing() -> None:
    """A message that an own filter lets in is no reason to end anything, whatever else lets it in, too."""
    leftovers = Leftovers(("team-b/+/status",))
    assert leftovers.to_end("team-b/VIN/status") == []
    asked = leftovers.to_end("team-a/VIN/status")
    assert "team-a/+/status" in asked
    assert "team-b/+/status" not in asked


def test_one_try_at_a_time_and_none_twice() -> None:
    """While an answer is awaited nothing is asked; a topic is tried once, and a filter that is ended lets in no other."""
    leftovers = Leftovers(())
    asked = leftovers.to_end("a/1")
    assert leftovers.to_end("b/1") == []
    assert leftovers.answered([0 if each == "a/+" else 0x11 for each in asked]) == ["a/+"]
    assert leftovers.to_end("a/2") == []
    assert leftovers.to_end("b/1")
    assert leftovers.answered([]) is None


def test_tries_are_bounded() -> None:
    """Topics whose filter cannot be named are not tried without end."""
    leftovers = Leftovers(())
    tried = 0
    for number in range(3 * TOPICS_TRIED_MAX):
        asked = leftovers.to_end(f"a/{number}")
        tried += bool(asked)
        if asked:
            assert leftovers.answered([0x11] * len(asked)) == []
    assert tried == TOPICS_TRIED_MAX


def test_what_a_lost_connection_cut_off_is_asked_again() -> None:
    """An UNSUBSCRIBE without its answer was perhaps never read."""
    leftovers = Leftovers(())
    asked = leftovers.to_end("a/1")
    leftovers.cut_off()
    assert leftovers.to_end("a/1") == asked
