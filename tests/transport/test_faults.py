"""The faults, their names and checks, and their chance."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import UnknownName, UsageError
from fleet.transport.faults import (
    FAULTS,
    DropPackets,
    Duplicate,
    FaultsInForce,
    Latency,
    PacketFault,
    Reorder,
    ResetConnections,
    Stall,
    describe_fault,
    fits,
    is_filter,
    make_fault,
    parse_bytes,
    parse_bytes_per_s,
    parse_rule,
)
from fleet.transport.simulated_topics import SubscriptionIndex, is_topic_filter

LEVELS = st.sampled_from(["a", "b", "", "fleet"])
FILTERS = st.lists(st.one_of(LEVELS, st.sampled_from(["+", "#", "a+"])), min_size=1, max_size=4).map("/".join)
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)


class TestNames:
    def test_each_fault_is_made_by_its_name(self) -> None:
        """The names are those of scenarios, of the command line and of tests."""
        needed: dict[str, dict[str, Any]] = {
            "latency": {"latency_ms": 200}, "bandwidth": {"bytes_per_s": 1000}, "slicing": {"piece_bytes": 1},
            "truncate": {"after_bytes": 5}, "drop": {"packet": "PUBACK"}, "duplicate": {"packet": "PUBLISH"},
            "reorder": {"packet": "PUBLISH"},
        }  # fmt: skip
        assert {kind: type(make_fault(kind, **needed.get(kind, {}))) for kind in FAULTS} == FAULTS

    @pytest.mark.parametrize(
        ("kind", "parameters", "told", "next_step"),
        [
            ("latncy", {}, "unknown fault 'latncy'", "'latency'"),
            ("halfopen", {}, "unknown fault", "'half_open'"),
            ("latency", {"latency": 5}, "unknown parameter of latency 'latency'", "'latency_ms'"),
            ("latency", {}, "latency lacks 'latency_ms'", "latency_ms, jitter_ms, way"),
            ("latency", {"latency_ms": -1}, "latency_ms -1 is out of range: 0 to 600000", ""),
            ("latency", {"latency_ms": 5, "jitter_ms": 6}, "jitter_ms 6 is out of range: 0 to 5", "no byte comes early"),
            ("latency", {"latency_ms": "5"}, "latency_ms is a number, not '5'", ""),
            ("latency", {"latency_ms": 5, "way": "up"}, "unknown way of latency 'up'", "to_broker"),
            ("bandwidth", {"bytes_per_s": 0}, "bytes_per_s 0 is out of range", ""),
            ("slicing", {"piece_bytes": 1.5}, "piece_bytes is a whole number, not 1.5", ""),
            ("truncate", {"after_bytes": -1}, "after_bytes -1 is out of range", ""),
            ("drop", {"packet": "PUBAK"}, "unknown MQTT packet 'PUBAK'", "'PUBACK'"),
            ("drop", {"packet": "PUBACK", "topic": "a"}, "a PUBACK has no topic", "leave out the topic"),
            ("drop", {"packet": "PUBLISH", "topic": "a/#/b"}, "'a/#/b' is no topic filter", "fleet/#"),
            ("drop", {"packet": "PUBLISH", "every": 0}, "every 0 is out of range", ""),
            ("drop", {"packet": "PUBLISH", "share": 0}, "share 0 is out of range", ""),
            ("drop", {"packet": "PUBLISH", "share": 1.5}, "share 1.5 is out of range", ""),
            ("drop", {"packet": "PUBLISH", "first": 0}, "first 0 is out of range", ""),
            ("reorder", {"packet": "PUBLISH", "within_ms": 0}, "within_ms 0 is out of range", ""),
        ],
    )
    def test_what_cannot_be_is_told(self, kind: str, parameters: dict[str, Any], told: str, next_step: str) -> None:
        """The nearest right name, or what is expected."""
        with pytest.raises(UsageError) as caught:
            make_fault(kind, **parameters)
        assert told in str(caught.value)
        assert next_step in caught.value.hint

    def test_they_say_what_they_are(self) -> None:
        """Only what differs from the default."""
        assert describe_fault(Latency(200, 50)) == "latency latency_ms=200, jitter_ms=50"
        assert describe_fault(Stall()) == "stall"
        assert describe_fault(DropPackets("PUBACK", "to_client", first=3)) == "drop packet=PUBACK, way=to_client, first=3"

    def test_the_page_tells_of_each(self) -> None:
        """With all its parameters."""
        page = (Path(__file__).parents[2] / "docs" / "network-faults.md").read_text(encoding="utf-8")
        rows = dict(re.findall(r"^\| `(\w+)` \|(.*)$", page, re.MULTILINE))
        assert list(rows) == list(FAULTS)
        for kind, wanted in FAULTS.items():
            told = rows[kind] + (rows["drop"] if "the same" in rows[kind] else "")
            assert [field.name for field in dataclasses.fields(wanted) if f"`{field.name}`" not in told] == []


class TestTexts:
    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("drop PUBACK", DropPackets("PUBACK")),
            ("drop puback first 3", DropPackets("PUBACK", first=3)),
            ("duplicate PUBLISH to_broker topic fleet/# every 10", Duplicate("PUBLISH", "to_broker", "fleet/#", every=10)),
            ("reorder PUBLISH share 5% within 500ms", Reorder("PUBLISH", share=0.05, within_ms=500)),
        ],
    )
    def test_a_rule(self, text: str, rule: PacketFault) -> None:
        assert parse_rule(text) == rule

    @pytest.mark.parametrize(
        ("text", "told", "next_step"),
        [
            ("drop", "is no rule", "drop PUBACK first 3"),
            ("dorp PUBACK", "unknown action of a rule 'dorp'", "'drop'"),
            ("drop PUBAK", "unknown MQTT packet", "'PUBACK'"),
            ("drop PUBACK frist 3", "unknown word of a rule 'frist'", "'first'"),
            ("drop PUBACK first", "ends after 'first'", "'first 3'"),
            ("drop PUBACK first x", "first 'x' cannot be read", "first 3"),
            ("drop PUBACK within 5s", "unknown parameter of drop", "way"),
            ("drop PUBACK share 500%", "share 5 is out of range", ""),
        ],
    )
    def test_a_wrong_rule(self, text: str, told: str, next_step: str) -> None:
        with pytest.raises(UsageError) as caught:
            parse_rule(text)
        assert told in str(caught.value)
        assert next_step in caught.value.hint

    def test_bytes(self) -> None:
        assert [parse_bytes(text) for text in ("16 B", "1.5kB", "2 MB")] == [16, 1500, 2_000_000]
        assert [parse_bytes_per_s(text) for text in ("20 kB/s", "20 kB per s", "7B/s")] == [20_000, 20_000, 7]
        for text in ("16", "16 KB", "fast"):
            with pytest.raises(ValueError, match="no number of bytes"):
                parse_bytes(text)
        with pytest.raises(ValueError, match="20 kB/s"):
            parse_bytes_per_s("20 kB")

    @given(FILTERS, TOPICS)
    def test_filters_are_those_of_the_simulated_broker(self, topic_filter: str, topic: str) -> None:
        """A filter, and its matches, are the same to both."""
        assert is_filter(topic_filter) == is_topic_filter(topic_filter)
        if is_filter(topic_filter):
            index: SubscriptionIndex[str] = SubscriptionIndex()
            index.add(topic_filter, "one", 1)
            assert fits(topic_filter, topic) == bool(index.matching(topic))


class TestInForce:
    def test_whom_it_concerns(self) -> None:
        """Some clients, or all, those included that have not said who they are."""
        faults = FaultsInForce()
        faults.set("some", Stall(), ["one"])
        faults.set("all", ResetConnections())
        assert [[one.name for one in faults.concerning(who)] for who in ("one", "two", None)] == [
            ["some", "all"],
            ["all"],
            ["all"],
        ]
        before = faults.ask_who
        faults.clear("some")
        assert (before, faults.ask_who) == (True, False)
        with pytest.raises(UnknownName, match="'some'"):
            faults.clear("some")

    def test_a_rule_counts_for_each_client_and_way(self) -> None:
        """Every second one, at most two of them, wherever other clients are."""
        rule = FaultsInForce().set("rule", DropPackets("PUBLISH", topic="a/+", every=2, first=2))

        def strikes(client: str, packet: str = "PUBLISH", topic: str = "a/b") -> bool:
            return rule.strikes(client, "to_broker", packet, topic)

        assert not strikes("one", "PUBACK")
        assert not strikes("one", topic="b")
        assert [strikes("one") for _ in range(7)] == [False, True, False, True, False, False, False]
        assert [strikes("two") for _ in range(2)] == [False, True]
        assert rule.strikes("one", "to_client", "PUBLISH", "a/b") is False
        assert rule.counts == {"packets": 3}

    def test_a_share_is_a_matter_of_seed_name_and_client(self) -> None:
        """The same ones each time; another client, name or seed gives others; as many as it says."""

        def struck(seed: int, name: str, client: str, *, beside: bool = False) -> list[int]:
            rule = FaultsInForce(seed).set(name, DropPackets("PUBLISH", share=0.2))
            found = []
            for number in range(5000):
                if beside:
                    rule.strikes("another", "to_broker", "PUBLISH", None)
                if rule.strikes(client, "to_broker", "PUBLISH", None):
                    found.append(number)
            return found

        one = struck(7, "rule", "one")
        assert 900 <= len(one) <= 1100
        assert struck(7, "rule", "one", beside=True) == one
        others = [struck(7, "rule", "two"), struck(7, "other", "one"), struck(8, "rule", "one")]
        assert all(len(set(other) & set(one)) < 300 for other in others)

    def test_jitter_is_even_around_the_latency(self) -> None:
        """Within its bounds, with its mean."""
        latency = FaultsInForce(7).set("slow", Latency(200, 50))
        drawn = [latency.delay("one", "to_broker") for _ in range(2000)]
        assert 150_000 <= min(drawn) < 152_000
        assert 248_000 < max(drawn) <= 250_000
        assert abs(sum(drawn) / len(drawn) - 200_000) < 2_000
        assert latency.counts == {"delayed": 2000}

    def test_counts_stay_when_it_is_over(self) -> None:
        """By name, over all the times it was set."""
        faults = FaultsInForce()
        for _ in range(2):
            faults.set("rule", DropPackets("PUBACK")).strikes("one", "to_client", "PUBACK", None)
            faults.clear("rule")
        assert faults.counts() == {"rule": {"packets": 2}}
