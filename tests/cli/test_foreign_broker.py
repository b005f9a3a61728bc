"""`fleet` on a broker that is not ours: what others left there, who else is there, and what it does otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from fleet.runtime.assembly import vins, vocabulary
from fleet.scenario.loader import load
from fleet.wire.clients import client_id_of
from tests.cli.lab import fleet, running
from tests.foreign_mosquitto import ForeignMosquitto, foreign_mosquitto
from tests.transport.link_connecting import answering

pytestmark = pytest.mark.live

SMALL = """\
scenario: small
purpose: Five parked cars, asked for their status.
seed: 3
start: 2026-03-07T10:00Z
duration: 20 min
clock: x600
region: munich
fleets:
  - {name: parked, count: 5, models: {Leon: 1}, profile: parked}
load:
  - {do: ask_status, rate: 2 per min}
"""
COMMANDS = "  - {command: refresh, burst: 1 per car, at: 1 min, time_to_live: 1 h}\n"


@pytest.fixture
async def foreign(tmp_path: Path) -> AsyncIterator[ForeignMosquitto]:
    async with foreign_mosquitto(tmp_path / "broker") as broker:
        yield broker


@contextlib.asynccontextmanager
async def confirming(broker: ForeignMosquitto) -> AsyncIterator[None]:
    """Run a back end of somebody else's that confirms each message of a car."""

    async def confirm() -> None:
        async with aiomqtt.Client(broker.host, broker.port) as client:
            for kind in ("status", "event/+", "response/+", "request/+"):
                await client.subscribe(f"fleet/v1/+/{kind}", qos=1)
            ready.set()
            async for message in client.messages:
                await client.publish(f"acks/{message.topic.value.split('/')[2]}", b"", qos=1)

    ready = asyncio.Event()
    backend = asyncio.create_task(confirm())
    await ready.wait()
    try:
        yield
    finally:
        backend.cancel()


def small(folder: Path, more: str = "") -> Path:
    path = folder / "small.yaml"
    path.write_text(SMALL + more, encoding="utf-8")
    return path


def report_of(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


class TestWhatOthersLeft:
    async def test_another_prefix_on_the_same_sessions(self, foreign: ForeignMosquitto, tmp_path: Path) -> None:
        """Kept sessions of another topic prefix take nothing from the next run: all commands end, all is stored."""
        scenario = small(tmp_path, COMMANDS)
        kept = ("--broker", foreign.url, "--keep-sessions", "--vin-as-client-id")
        for prefix in ("team-a/v1", "team-b/v1"):
            out = tmp_path / prefix.replace("/", "-")
            done = await fleet("run", scenario, *kept, "--topic-prefix", prefix, "--out", out, cwd=tmp_path)
            assert done.code == 0, done
            report = report_of(out)
            assert report["commands"]["succeeded"] == report["commands"]["total"] == 5
            assert report["stored"] == report["created"] >= 40

    async def test_a_back_end_on_the_session_of_another_prefix(self, foreign: ForeignMosquitto, tmp_path: Path) -> None:
        """It stores its own, keeps what waited of the other in quarantine, and ends the other's subscriptions."""
        scenario = small(tmp_path)
        for number, prefix in enumerate(("team-a/v1", "team-b/v1")):
            session = ("--client-id", "shared", "--store", tmp_path / f"{number}.sqlite")
            where = ("--broker", foreign.url, "--topic-prefix", prefix)
            async with running("backend", *where, *session, cwd=tmp_path) as backend:
                await backend.says("connected, storing")
                others = ("--broker", foreign.url, "--topic-prefix", "team-a/v1", "--no-backend")
                if number:
                    assert (await fleet("simulate", scenario, *others, cwd=tmp_path)).code == 0
                assert (await fleet("simulate", scenario, *where, "--no-backend", cwd=tmp_path)).code == 0
                if number:
                    await backend.says("subscriptions that another client had left in a session were ended")
            stored, _, quarantined = (int(part.split()[0]) for part in backend.out.decode().splitlines()[-1].split(", "))
            assert stored >= 40
            assert quarantined < 20


LINES = """
timeline:
  - {at: 10 s, command: honk, distance: 400 m, time_to_live: 10 min, cars: {index: 0}, expect: {outcome: succeeded}}
  - {at: 10 s, command: honk, distance: 900 m, time_to_live: 10 min, cars: {index: 1}, expect: {outcome: rejected(too_far)}}
  - {at: 20 s, do: press_sos, cars: {index: 2}, expect: {event: ecall}}
expectations:
  - commands.succeeded >= 1
  - lost == 0
  - notices.ecall == 1
"""


class TestTheBackEndUnderTest:
    """Another back end, which answers users as ours does."""

    async def test_users_ask_it(self, foreign: ForeignMosquitto, tmp_path: Path) -> None:
        """Lines are judged by its answers; what only ours would see is left out, and said to be."""
        scenario = small(tmp_path, LINES)
        run = ("run", scenario, "--broker", foreign.url, "--no-backend", "--out", tmp_path / "out")
        async with running("backend", "--broker", foreign.url, "--store", tmp_path / "s.sqlite", cwd=tmp_path) as backend:
            await backend.says("connected, storing")
            done = await fleet(*run, "--ask-desk", cwd=tmp_path)
        report = report_of(tmp_path / "out")
        assert (done.code, report["verdict"]) == (0, "passed"), done
        assert len(report["expectations"]) == 4
        assert report["commands"]["rejected"] == {"too_far": 1}
        assert any(finding.endswith("only a back end of ours sees what they are about: 2") for finding in report["findings"])

    async def test_without_one_what_cars_do_is_judged(self, foreign: ForeignMosquitto, tmp_path: Path) -> None:
        """Lines that ask a desk are left out, and said to be."""
        run = ("run", small(tmp_path, LINES), "--broker", foreign.url, "--no-backend", "--out", tmp_path / "out")
        assert (await fleet(*run, cwd=tmp_path)).code == 0
        report = report_of(tmp_path / "out")
        assert [line["text"] for line in report["expectations"]] == ["press_sos: event ecall"]
        assert "2 of 3 lines were not judged: they ask the desk, and there is none" in report["findings"]

    async def test_what_it_confirms_is_counted(self, foreign: ForeignMosquitto, tmp_path: Path) -> None:
        """Each message on its topic is one that it has stored; figures of the store are judged by them."""
        scenario = small(tmp_path, "expectations:\n  - lost == 0\n  - stored >= 40\n  - notices == 0\n")
        out = tmp_path / "out"
        run = ("run", scenario, "--broker", foreign.url, "--no-backend", "--confirm-topic", "acks/+", "--out", out)
        async with confirming(foreign):
            done = await fleet(*run, cwd=tmp_path)
        report = report_of(out)
        assert (done.code, report["verdict"]) == (0, "passed"), done
        assert report["stored"] == report["created"] >= 40
        assert (report["lost"], report["quarantined"]) == (0, None)
        assert report["counted_by"] == "what the back end under test confirmed on 'acks/+': nobody has looked into a store"
        assert [line["text"] for line in report["expectations"]] == ["lost == 0", "stored >= 40"]
        assert any("bear no number" in finding for finding in report["findings"])

    async def test_what_it_does_not_confirm_is_lost(self, foreign: ForeignMosquitto, tmp_path: Path) -> None:
        """A back end that confirms nothing has stored nothing, as far as anybody knows."""
        scenario, out = small(tmp_path, "expectations:\n  - lost == 0\n"), tmp_path / "out"
        run = ("run", scenario, "--broker", foreign.url, "--no-backend", "--confirm-topic", "acks/+", "--out", out)
        done = await fleet(*run, cwd=tmp_path)
        report = report_of(out)
        assert (done.code, report["verdict"]) == (1, "failed"), done
        assert report["stored"] == 0
        assert report["lost"] == report["created"] - report["in_outbox"] > 0

    async def test_its_marks_are_counted(self, foreign: ForeignMosquitto, tmp_path: Path) -> None:
        """Cars that keep their messages until they are stored know how many that are."""
        out = tmp_path / "out"
        run = ("run", small(tmp_path), "--broker", foreign.url, "--no-backend", "--delivery", "stored", "--out", out)
        store = ("--store", tmp_path / "s.sqlite", "--delivery", "stored")
        async with running("backend", "--broker", foreign.url, *store, cwd=tmp_path) as backend:
            await backend.says("connected, storing")
            done = await fleet(*run, cwd=tmp_path)
        report = report_of(out)
        assert (done.code, report["verdict"]) == (0, "passed"), done
        assert report["stored"] == report["created"] - report["in_outbox"] >= 40
        assert report["counted_by"].startswith("what the back end told the cars to be stored")

    async def test_ask_desk_alone_has_no_meaning(self, tmp_path: Path) -> None:
        """Our own desk is asked anyway."""
        done = await fleet("run", "find-my-car", "--ask-desk", cwd=tmp_path)
        assert done.code == 2
        assert "--ask-desk has no effect: users ask our own back end anyway" in str(done)


class TestWhoElseIsThere:
    async def test_two_runs_with_a_prefix_each(self, foreign: ForeignMosquitto, tmp_path: Path) -> None:
        """The same cars of two prefixes are different clients: nobody is pushed off the broker."""
        scenario = small(tmp_path)
        run = ("run", scenario, "--broker", foreign.url)
        done = await asyncio.gather(
            *(fleet(*run, "--topic-prefix", prefix, "--out", tmp_path / prefix, cwd=tmp_path) for prefix in ("one", "two"))
        )
        assert [each.code for each in done] == [0, 0], done
        assert foreign.count("already connected") == 0
        assert not any("client" in finding for prefix in ("one", "two") for finding in report_of(tmp_path / prefix)["findings"])

    async def test_two_runs_of_one_prefix_are_told_what_to_do(self, foreign: ForeignMosquitto, tmp_path: Path) -> None:
        """Where the same client ids come twice, the report says so, and what ends it."""
        scenario = small(tmp_path)
        run = ("run", scenario, "--broker", foreign.url)
        await asyncio.gather(*(fleet(*run, "--out", tmp_path / name, cwd=tmp_path) for name in ("one", "two")))
        findings = " ".join(finding for name in ("one", "two") for finding in report_of(tmp_path / name)["findings"])
        assert "another client" in findings
        assert "a --topic-prefix of its own" in findings

    async def test_clean_finds_the_sessions_of_a_prefix(self, foreign: ForeignMosquitto, tmp_path: Path) -> None:
        """Client ids follow the prefix for `fleet clean`, too: cars' sessions and the back end's are gone after it."""
        scenario = small(tmp_path)
        where = ("--broker", foreign.url, "--topic-prefix", "team-a")
        async with running("backend", *where, "--store", tmp_path / "s.sqlite", cwd=tmp_path) as backend:
            await backend.says("connected, storing")
            await fleet("simulate", scenario, *where, "--no-backend", "--keep-sessions", cwd=tmp_path)
        done = await fleet("clean", scenario, *where, "--backend", cwd=tmp_path)
        assert done.code == 0
        ids = [client_id_of(name, "team-a") for name in (*vins(load(scenario, vocabulary())), "backend")]
        log = foreign.log.read_text(encoding="utf-8")
        assert all(log.count(f"as {each} (") == 2 for each in ids), log


ONLY_EVENTS = "pattern readwrite fleet/v1/+/event/#\npattern readwrite fleet/v1/+/presence\n"


class TestWhatItDoesNotTake:
    async def run(self, folder: Path, scenario: Path, *lines: str, rights: str | None = None) -> tuple[int, dict[str, Any]]:
        if rights is not None:
            acl = folder / "acl"
            acl.write_text(rights, encoding="utf-8")
            lines = (*lines, f"acl_file {acl}")
        async with foreign_mosquitto(folder / "broker", *lines) as broker:
            out = folder / "out"
            done = await fleet("run", scenario, "--broker", broker.url, "--out", out, "--no-backend", cwd=folder)
            return done.code, report_of(out)

    async def test_a_topic_that_is_refused_is_named(self, tmp_path: Path) -> None:
        """Refused statuses are counted by reason and topic, told as a finding, and fail a run of which nothing else comes."""
        code, report = await self.run(tmp_path, small(tmp_path), rights=ONLY_EVENTS)
        assert report["refusals"] == {"Not authorized: fleet/v1/+/status": report["refused"]}
        assert any("fleet/v1/+/status" in finding for finding in report["findings"])
        assert (code, report["verdict"], report["acknowledged"]) == (1, "failed", 0)
        assert f"refused {report['refused']}" in report["reason"]

    async def test_who_expects_refusals_passes(self, tmp_path: Path) -> None:
        """A scenario that is about a broker's access control says so."""
        scenario = small(tmp_path, "expectations: [refused >= 40]\n")
        code, report = await self.run(tmp_path, scenario, rights=ONLY_EVENTS)
        assert (code, report["verdict"]) == (0, "passed")

    async def test_refused_presence_is_counted(self, tmp_path: Path) -> None:
        """Presence is no message of the account, and stands beside it."""
        code, report = await self.run(tmp_path, small(tmp_path), rights="pattern readwrite fleet/v1/+/status\n")
        presences = report["presences"]
        assert presences["published"] == presences["refused"] >= 10
        assert report["refusals"] == {"Not authorized: fleet/v1/+/presence": presences["refused"]}
        assert (code, report["refused"], report["acknowledged"] >= 40) == (0, 0, True)

    async def test_a_broker_that_retains_nothing(self, tmp_path: Path) -> None:
        """Cars live on it, their presence is sent all the same, and the report says what is missing."""
        code, report = await self.run(tmp_path, small(tmp_path), "retain_available false")
        assert (code, report["connected"], report["acknowledged"] >= 40) == (0, 5, True)
        assert report["presences"]["acknowledged"] >= 5  # online; whether offline is acknowledged nobody waits for
        assert any("retains nothing" in finding for finding in report["findings"])


class TestWhyItDoesNotWork:
    @pytest.mark.parametrize(
        ("answer", "hint", "more"),
        [
            (b"\x20\x02\x00\x01", "does not speak MQTT 5", ()),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "usually has port 1883", ()),
            (b"\x15\x03\x01\x00\x02\x02\x46", "write mqtts://", ("--no-backend",)),
        ],
    )
    async def test_with_and_without_a_back_end_the_hint_is_the_same(
        self, tmp_path: Path, answer: bytes, hint: str, more: tuple[str, ...]
    ) -> None:
        """What is no broker of MQTT 5 is named long before the back end would have to be ready, with what to do."""
        async with answering(answer) as endpoint:
            done = await fleet("run", small(tmp_path), "--broker", str(endpoint), "--out", "out", *more, cwd=tmp_path)
        assert done.code == 2
        assert hint in done.err
        assert "not ready" not in done.err


async def test_certificates_of_all_clients(tmp_path: Path) -> None:
    """On a broker that wants a certificate of everybody a run passes with --cert-dir, and a tool finds it beside the store.

    The broker is reached by another name than its certificate has, which --server-name tells.
    """
    scenario = small(tmp_path).read_text(encoding="utf-8").replace("x600", "real").replace("20 min", "40 s")
    (tmp_path / "small.yaml").write_text(scenario, encoding="utf-8")
    certs, out = tmp_path / "certs", tmp_path / "out"
    made = await fleet("certificates", "small.yaml", "--out", certs, "--host", "broker.example", cwd=tmp_path)
    assert made.code == 0, made
    lines = [
        f"certfile {certs}/server.pem",
        f"keyfile {certs}/server.key",
        f"cafile {certs}/ca.pem",
        "require_certificate true",
        "use_identity_as_username true",
    ]
    async with foreign_mosquitto(tmp_path / "broker", *lines) as broker:
        url = broker.url.replace("mqtt:", "mqtts:")
        tls = ("--broker", url, "--cert-dir", certs, "--server-name", "broker.example")
        without = await fleet("run", "small.yaml", *tls[:2], "--ca", certs / "ca.pem", *tls[4:], "--out", out, cwd=tmp_path)
        assert without.code == 2
        assert "--cert-dir" in without.err
        async with running("run", "small.yaml", *tls, "--topic-prefix", "team/x", "--out", out, cwd=tmp_path) as run:
            await run.wait_for("a message that is stored", lambda: re.search(rb"stored [1-9]", run.out) is not None)
            store = ("--store", out / "store.sqlite")
            vin = vins(load(tmp_path / "small.yaml", vocabulary()))[0]
            done = await fleet("user", "set-spin", vin, "--spin", "4711", *store, cwd=tmp_path)
            assert (done.code, done.out) == (0, "set-spin succeeded\n"), done
            run.send(signal.SIGINT)
            assert (await run.done()).code == 130
    assert report_of(out)["connected"] == 5
    assert broker.count(f"u'{vin}'") >= 1
