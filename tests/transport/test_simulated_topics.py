"""Topics, filters and subscriptions of the simulated broker."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.transport.simulated_access import AccessControl
from fleet.transport.simulated_topics import SubscriptionIndex, TopicTree, is_topic_filter, is_topic_name
from tests.lab import TOPICS, VINS

CAR, OTHER = "VSSZZZKMZTP000001", "VSSZZZKMZTP000002"


class TestTopics:
    """Names, filters, and who matches whom."""

    @pytest.mark.parametrize(
        ("topic_filter", "valid"),
        [
            ("a", True),
            ("/", True),
            ("#", True),
            ("+", True),
            ("a/#", True),
            ("+/a/+", True),
            ("", False),
            ("a#", False),
            ("a/#/b", False),
            ("a+/b", False),
            ("a\0", False),
            ("a" * 65_536, False),
        ],
    )
    def test_filters(self, topic_filter: str, valid: bool) -> None:
        """Wildcards fill whole levels, `#` is the last."""
        assert is_topic_filter(topic_filter) is valid
        assert is_topic_name(topic_filter) is (valid and not set("+#") & set(topic_filter))

    @pytest.mark.parametrize(
        ("topic_filter", "topic", "matches"),
        [
            ("a/b", "a/b", True),
            ("a/b", "a/b/c", False),
            ("a/+", "a/b", True),
            ("a/+", "a/", True),
            ("a/+", "a", False),
            ("a/#", "a", True),
            ("a/#", "a/b/c", True),
            ("a/+/#", "a/b", True),
            ("a/+/#", "a", False),
            ("+", "a", True),
            ("+", "/a", False),
            ("+/+", "/a", True),
            ("#", "a/b", True),
            ("#", "$SYS/a", False),
            ("+/a", "$SYS/a", False),
            ("$SYS/#", "$SYS/a", True),
            ("$SYS/+", "$SYS/a", True),
            ("+/#", "$SYS", False),
        ],
    )
    def test_matching(self, topic_filter: str, topic: str, matches: bool) -> None:
        """Subscriptions, the tree of what is retained and access control agree with the specification."""
        index: SubscriptionIndex[str] = SubscriptionIndex()
        index.add(topic_filter, "somebody", 1)
        assert index.matching(topic) == [{"somebody": 1}] * matches
        tree: TopicTree[str] = TopicTree()
        tree.set(topic, "kept")
        assert list(tree.matching(topic_filter)) == (["kept"] if matches else [])
        access = AccessControl.parse(f"user u\ntopic read {topic_filter}")
        assert access.allows("read", topic, "u", "c") is matches

    @settings(deadline=None, max_examples=200)
    @given(st.data())
    def test_indexes_agree_with_looking_at_all(self, data: st.DataObject) -> None:
        """Whatever was subscribed, kept and taken back, both indexes find what a look at every single one finds."""
        level = st.sampled_from(["a", "b", "", "$x"])
        topics = st.lists(level, min_size=1, max_size=4).map("/".join).filter(bool)
        filters = st.lists(st.sampled_from(["a", "b", "", "$x", "+", "#"]), min_size=1, max_size=4).map("/".join)
        index: SubscriptionIndex[int] = SubscriptionIndex()
        tree: TopicTree[str] = TopicTree()
        subscribed: dict[tuple[str, int], int] = {}
        kept: set[str] = set()
        steps = st.tuples(st.booleans(), filters.filter(is_topic_filter), st.integers(0, 2), st.integers(0, 1), topics)
        for add, topic_filter, who, qos, topic in data.draw(st.lists(steps, max_size=30)):
            if add:
                index.add(topic_filter, who, qos)
                subscribed[topic_filter, who] = qos
                tree.set(topic, topic)
                kept.add(topic)
            else:
                if subscribed.pop((topic_filter, who), None) is not None:
                    index.remove(topic_filter, who)
                tree.remove(topic)
                kept.discard(topic)
            assert_found(index, subscribed, topic)  # in the midst, too: what is remembered of a topic has to stay right
        topic, topic_filter = data.draw(topics), data.draw(filters.filter(is_topic_filter))
        assert_found(index, subscribed, topic)
        assert sorted(tree.matching(topic_filter)) == sorted(topic for topic in kept if plainly_matches(topic_filter, topic))
        assert (len(tree), sorted(tree)) == (len(kept), sorted(kept))

    def test_a_publish_does_not_look_at_other_cars(self) -> None:
        """However many cars there are, a topic is looked up once for each shape their filters and the back end's have."""
        index: SubscriptionIndex[str] = SubscriptionIndex()
        for vin in VINS:
            for topic_filter, qos in TOPICS.car_subscriptions(vin):
                index.add(topic_filter, vin, qos)
        for topic_filter, qos in TOPICS.backend_subscriptions():
            index.add(topic_filter, "backend", qos)
        assert len(index._shapes) == 4
        assert index.matching(TOPICS.stored(VINS[7])) == [{VINS[7]: 0}]
        assert index.matching(TOPICS.status(VINS[7])) == [{"backend": 1}]

    def test_what_is_remembered_of_topics_is_bounded(self) -> None:
        """However many topics there are, and however long: it begins anew, or does not begin."""
        index: SubscriptionIndex[int] = SubscriptionIndex()
        index.add("+", 1, 1)
        for number in range(70_000):
            assert index.matching(str(number)) == [{1: 1}]
        assert len(index._ways) < 66_000
        assert index.matching("x" * 201) == [{1: 1}]
        assert "x" * 201 not in index._ways

    def test_what_is_taken_back_leaves_nothing(self) -> None:
        """The last subscription and the last topic take their branches with them."""
        index: SubscriptionIndex[int] = SubscriptionIndex()
        tree: TopicTree[int] = TopicTree()
        for topic in ("a/b/c", "a/b", "a/+/#"):
            index.add(topic, 1, 1)
            index.remove(topic, 1)
            tree.set(topic, 1)
            tree.remove(topic)
        assert (index.by_filter, index._shapes) == ({}, {})
        assert not tree._root.children


def assert_found(index: SubscriptionIndex[int], subscribed: dict[tuple[str, int], int], topic: str) -> None:
    """The index finds just those who subscribe to the topic."""
    expected = sorted((who, qos) for (held, who), qos in subscribed.items() if plainly_matches(held, topic))
    assert sorted(pair for found in index.matching(topic) for pair in found.items()) == expected


def plainly_matches(topic_filter: str, topic: str) -> bool:
    """Say level by level whether the filter matches."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(levels) or level not in {"+", levels[place]}:
            return False
    return len(wanted) == len(levels)
