"""What a timeline does to the network: when it begins and ends, for which cars, and what comes of it in a run."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from fleet.kernel.instants import MINUTE
from fleet.observe.packing import packed
from fleet.runtime.assembly import vins, vocabulary
from fleet.runtime.fault_injector import FaultInjector, harms_network
from fleet.runtime.run import RunConfig
from fleet.runtime.virtual_stage import virtual_run
from fleet.scenario.loader import parse
from fleet.scenario.summary import summary
from fleet.transport.faults import Fault, Latency, ResetConnections, Stall
from tests.cli.lab import fleet
from tests.runtime.stage_lab import StageLab, staged

STORY = """\
scenario: bad-network
purpose: Cars behind a network that is slow, cut, silent and loses what it carries.
seed: 5
start: 2026-03-02T08:00Z
clock: {clock}
region: munich
reconnect: {{jitter: false, first: 500 ms, longest: 1 s}}
fleets:
  - {{name: street, count: 10, models: {{Leon: 1}}, profile: parked}}
stages:
  - name: slow
    duration: 2 min
    load: [{{do: ask_status, rate: 60 per min}}]
    timeline:
      - {{at: 0 s, network: {{latency: 300 ms, jitter: 50 ms}}, cars: {{index: [0, 1, 2, 3, 4]}}}}
    expectations:
      - latency_ms.publish_to_ack.p90 >= 500 ms
  - name: cut
    duration: 3 min
    load: [{{do: ask_status, rate: 60 per min}}]
    timeline:
      - {{at: 10 s, network: {{reset: true, refuse: true}}, cars: {{count: 4}}, for: 1 min}}
    expectations:
      - eventually connected <= 6
      - eventually connected == 10
  - name: lossy
    duration: 2 min
    load: [{{do: ask_status, rate: 60 per min}}]
    timeline:
      - {{at: 0 s, network: {{drop: PUBLISH, first: 1, topic: fleet/v1/+/status}}, cars: {{index: 7}}}}
      - {{at: 0 s, network: {{duplicate: PUBLISH, every: 2, topic: fleet/v1/+/status}}, cars: {{index: 8}}}}
      - {{at: 60 s, network: {{reset: true}}, cars: {{index: 7}}}}
expectations:
  - lost == 0
  - in_outbox == 0
  - duplicates >= 1
"""


class Network:
    """Notes what is set."""

    def __init__(self) -> None:
        self.set_now: dict[str, tuple[Fault, frozenset[str]]] = {}
        self.ever: list[tuple[str, Fault]] = []
        self.did: dict[str, dict[str, int]] = {"one": {"connections": 2, "too_large": 1}, "two": {}}

    def set(self, name: str, fault: Fault, clients: Collection[str] | None = None) -> None:
        assert clients is not None
        self.set_now[name] = fault, frozenset(clients)
        self.ever.append((name, fault))

    def clear(self, name: str) -> None:
        del self.set_now[name]

    def counts(self) -> dict[str, dict[str, int]]:
        return self.did


class Quiet:
    """A view that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def say(self, text: str) -> None:
        self.said.append(text)

    def update(self, simulator: dict[str, Any], backend: dict[str, Any]) -> None: ...
    def waits(self, what: str, detail: str = "") -> None: ...


class TestWhen:
    def test_for_so_long_or_to_the_end_of_its_stage(self) -> None:
        """What has no end of its own ends with the stage, and nothing lasts longer."""
        lab = StageLab(
            staged(
                "stages:\n"
                "  - name: one\n    duration: 20 min\n    timeline:\n"
                "      - {at: 1 min, network: {stall: true}, for: 5 min}\n"
                "      - {at: 2 min, network: {latency: 5 ms}}\n"
                "      - {at: 18 min, network: {stall: true}, for: 5 min}\n"
                "  - name: two\n    duration: 20 min\n"
            )
        )
        lab.pass_for(40 * MINUTE)
        assert [(at / MINUTE, step, begins) for at, step, begins in lab.network_heard] == [
            (1, "one/network stall/0", True), (2, "one/network latency/0", True), (6, "one/network stall/0", False),
            (18, "one/network stall/1", True), (20, "one/network latency/0", False), (20, "one/network stall/1", False),
        ]  # fmt: skip

    def test_again_and_again(self) -> None:
        """Each time for as long; what lasts to the end of the run begins once more without an end in between."""
        lab = StageLab(staged("timeline:\n  - {every: 20 min, network: {stall: true}, for: 1 min}\n"))
        lab.pass_for(60 * MINUTE)
        assert [(at / MINUTE, begins) for at, _, begins in lab.network_heard] == [
            (20, True),
            (21, False),
            (40, True),
            (41, False),
        ]

    def test_when_a_count_comes_true(self) -> None:
        """Once."""
        lab = StageLab(
            staged(
                "timeline:\n  - {at: 5 min, do: lose_coverage}\n  - {when: connected == 0, network: {reset: true}, for: 1 min}\n"
            )
        )
        lab.pass_for(60 * MINUTE)
        heard = [begins for _, _, begins in lab.network_heard]
        assert heard == [True, False]
        assert 5 * MINUTE <= lab.network_heard[0][0] < 7 * MINUTE


class TestWhat:
    def test_faults_of_a_step(self) -> None:
        """For its cars; what does not last strikes and is over."""
        made = staged(
            "timeline:\n"
            "  - {at: 1 min, network: {latency: 200 ms, jitter: 50 ms, reset: true}, cars: {fleet: borns, index: [1]}}\n"
            "  - {at: 2 min, network: {reset: true}, for: 1 min}\n"
        )
        assert harms_network(made)
        network, said = Network(), list[str]()
        injector = FaultInjector(made, network, said.append)
        injector.do("/network latency and reset/0", begins=True)
        latency = "network latency and reset/0/latency"
        assert network.set_now == {latency: (Latency(200, 50), frozenset({vins(made)[7]}))}
        assert [fault for _, fault in network.ever] == [Latency(200, 50), ResetConnections()]
        injector.do("/network reset/0", begins=True)
        assert network.set_now["network reset/0/reset"] == (ResetConnections(), frozenset(vins(made)))
        injector.do("/network latency and reset/0", begins=False)
        injector.do("/network reset/0", begins=False)
        assert network.set_now == {}
        injector.tell()
        assert said == [
            "network: latency latency_ms=200, jitter_ms=50 for 1 car, as the scenario says",
            "network: reset for 1 car, as the scenario says",
            "network: reset for 10 cars, as the scenario says",
            "network: latency is over",
            "network: reset is over",
            "network: one: 2 connections, 1 too large",
            "network: two: nothing",
        ]
        network.did = {latency: {"delayed": 4}, "network reset/0/reset": {"connections": 2}}
        network.did["network latency and reset/0/reset"] = {"connections": 1, "bytes": 7}
        assert injector.counts() == {"latency": {"delayed": 4}, "reset": {"bytes": 7, "connections": 3}}
        with pytest.raises(ValueError, match="nothing to the network"):
            injector.do("/network stall/0", begins=True)

    def test_nothing_without_faults(self) -> None:
        assert not harms_network(staged("timeline: [{at: 1 min, broker: kill}]\n"))

    def test_it_is_told_before_it_is_done(self) -> None:
        """`fleet check` names faults, their cars and their time."""
        made = staged("timeline:\n  - {at: 1 min, network: {stall: true, refuse: true}, for: 5 min, cars: {share: 20 %}}\n")
        assert "  at 1 min: network stall and refuse for 5 min, 2 cars" in summary(made, vocabulary())
        (step,) = made.steps()
        assert step.network is not None
        assert step.network.fault("stall") == Stall()


def check(report: dict[str, Any], said: str) -> None:
    """What must hold of the story, live and virtually."""
    unmet = [expectation for expectation in report["expectations"] if not expectation["passed"]]
    assert (report["verdict"], unmet) == ("passed", [])
    for name, least, what in (
        ("slow/network latency/0/latency", 15, "delayed"), ("cut/network refuse and reset/0/reset", 4, "connections"),
        ("cut/network refuse and reset/0/refuse", 4, "connections"), ("lossy/network drop/0/drop", 1, "packets"),
        ("lossy/network duplicate/0/duplicate", 1, "packets"), ("lossy/network reset/0/reset", 1, "connections"),
    ):  # fmt: skip
        counted = re.search(rf"network: {re.escape(name)}: (\d+) {what}", said)
        assert counted is not None, name
        assert int(counted[1]) >= least, name
        assert report["faults"][name.rpartition("/")[2]][what] >= int(counted[1]), name


def test_in_virtual_time(tmp_path: Path) -> None:
    """The story passes, byte for byte the same each time."""
    journals = []
    for name in ("one", "two"):
        view = Quiet()
        made = parse(STORY.format(clock="virtual"), "story.yaml", vocabulary())
        report = virtual_run(RunConfig(scenario=made, out=tmp_path / name), view).execute()
        check(report, "\n".join(view.said))
        journals.append(packed(tmp_path / name / "journal.jsonl").read_bytes())
    assert journals[0] == journals[1]


@pytest.mark.live
async def test_live(tmp_path: Path) -> None:
    """The same story through a proxy in front of the private broker."""
    (tmp_path / "story.yaml").write_text(STORY.format(clock="x60"), encoding="utf-8")
    done = await fleet("run", "story.yaml", "--out", "out", cwd=tmp_path)
    assert done.code == 0, done.text
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    check(report, done.text)
    assert {kind: set(counts) for kind, counts in report["faults"].items()} == {
        "latency": {"delayed"}, "reset": {"connections"}, "refuse": {"connections"},
        "drop": {"packets"}, "duplicate": {"packets"},
    }  # fmt: skip
    assert report["faults"]["drop"] == {"packets": 1}
    assert report["faults"]["reset"]["connections"] >= 5
    assert "a proxy in front of the broker" in done.text
