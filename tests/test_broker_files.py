"""`broker/`: what the shipped configuration and access control really let through, seen at delivery.

Mosquitto grants every SUBSCRIBE and filters when it delivers, so a granted subscription proves nothing.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import AsyncIterator

import pytest

from fleet.errors import ConnectRefused, PublishRefused
from fleet.runtime.resources import resource_dir
from fleet.transport.aiomqtt_link import aiomqtt_links
from fleet.transport.link import Link, LinkSettings, Will
from fleet.wire.frame import Frame
from tests.lab import TOPICS, Lab, LiveBroker
from tests.recording_owner import RecordingOwner

pytestmark = pytest.mark.live

WRITES = {"status", "event/trip", "presence", "response/honk", "request/weather"}


@pytest.fixture
async def lab(live_broker: LiveBroker) -> AsyncIterator[Lab]:
    """Links to the broker of the module."""
    made = Lab(live_broker, aiomqtt_links)
    yield made
    await made.close()


async def outcome(link: Link, owner: RecordingOwner, topic: str, *, payload: bytes = b"x", retain: bool = False) -> bool:
    """Publish and return whether the broker took it."""
    token = len(owner.outcomes) + 1000
    link.publish(Frame(topic=topic, payload=payload, retain=retain), token)
    error = await owner.wait_for_outcome(token)
    assert error is None or isinstance(error, PublishRefused)
    return error is None


def car_topics(vin: str) -> dict[str, str]:
    """All topics of a car; those it writes and those it reads."""
    head = f"fleet/v1/{vin}"
    return {name: f"{head}/{name}" for name in (*sorted(WRITES), "command/honk", "reply/weather", "stored")}


class TestCars:
    """A car reaches its own topics and nothing else."""

    async def test_writes_exactly_its_own(self, lab: Lab) -> None:
        """A car may publish its five kinds of message and neither its own commands nor anything of another car."""
        own, other = lab.broker.new_vin(), lab.broker.new_vin()
        link, owner = await lab.car_up(own)
        taken = {name for name, topic in car_topics(own).items() if await outcome(link, owner, topic)}
        assert taken == WRITES
        for topic in [
            *car_topics(other).values(),
            "fleet/v1/desk/request",
            f"fleet/v1/desk/answer/{other}",
            f"fleet/v1/{own}/event",
            f"fleet/v1/{own}/event/a/b",
            f"other/{own}/status",
            "$SYS/broker/version",
        ]:
            assert not await outcome(link, owner, topic), topic
        assert link.is_up

    async def test_receives_nothing_of_another_car(self, lab: Lab) -> None:
        """Subscribed to another car's topics and to everything, a car is delivered only its own."""
        spy_vin, victim_vin = lab.broker.new_vin(), lab.broker.new_vin()
        filters = (*((topic, 1) for topic in car_topics(victim_vin).values()), ("#", 1), ("fleet/v1/+/command/+", 1))
        _, spy = await lab.car_up(spy_vin, subscriptions=filters)
        victim, victim_owner = await lab.car_up(victim_vin)
        backend, backend_owner = await lab.user_up("backend", f"b-{spy_vin}")
        for name, topic in car_topics(victim_vin).items():
            link, owner = (victim, victim_owner) if name in WRITES else (backend, backend_owner)
            assert await outcome(link, owner, topic, payload=b"private"), topic
        assert await outcome(backend, backend_owner, TOPICS.command(spy_vin, "mark"), payload=b"mark")
        await spy.wait_for_payload(b"mark")
        assert set(spy.payloads) == {b"mark"}

    async def test_retained_messages_are_no_way_around(self, lab: Lab) -> None:
        """A retained command reaches its car alone, and another car can neither read it, plant one nor clear it."""
        spy_vin, victim_vin = lab.broker.new_vin(), lab.broker.new_vin()
        topic = TOPICS.command(victim_vin, "honk")
        backend, owner = await lab.user_up("backend", f"b-{spy_vin}")
        assert await outcome(backend, owner, topic, payload=b"kept", retain=True)
        spy_link, spy = await lab.car_up(spy_vin, subscriptions=((topic, 1), (TOPICS.command(spy_vin, "+"), 1)))
        assert not await outcome(spy_link, spy, topic, payload=b"planted", retain=True)
        assert not await outcome(spy_link, spy, topic, payload=b"", retain=True)
        assert await outcome(backend, owner, TOPICS.command(spy_vin, "mark"), payload=b"mark")
        await spy.wait_for_payload(b"mark")
        assert spy.payloads == [b"mark"]
        _, victim = await lab.car_up(victim_vin)
        assert (await victim.wait_for_payload(b"kept")).frame.retain

    async def test_client_id_cannot_be_stolen(self, lab: Lab) -> None:
        """A car that connects with another's client id gets its own, and the other keeps connection, session and commands."""
        thief_vin, victim_vin = lab.broker.new_vin(), lab.broker.new_vin()
        victim, victim_owner = await lab.car_up(victim_vin)
        thief_filters = TOPICS.car_subscriptions(victim_vin)
        _, thief = await lab.car_up(thief_vin, client_id=victim_vin, clean_start=True, subscriptions=thief_filters)
        backend, owner = await lab.user_up("backend", f"b-{thief_vin}")
        assert await outcome(backend, owner, TOPICS.command(victim_vin, "honk"), payload=b"live")
        await victim_owner.wait_for_payload(b"live")
        assert victim_owner.downs == []
        victim.drop()
        await victim_owner.wait_for_down()
        assert await outcome(backend, owner, TOPICS.command(victim_vin, "honk"), payload=b"queued")
        again, _ = await lab.car_up(thief_vin, client_id=victim_vin, clean_start=True, subscriptions=thief_filters)
        again.drop()
        victim.open()
        assert await victim_owner.wait_for_up(2) is True
        await victim_owner.wait_for_payload(b"queued")
        assert thief.payloads == []

    async def test_free_client_ids_of_the_tools_listener_give_no_messages(self, lab: Lab) -> None:
        """A car that gets at the tools' listener can take another's client id, but is delivered nothing of it."""
        thief_vin, victim_vin = lab.broker.new_vin(), lab.broker.new_vin()
        victim, victim_owner = await lab.car_up(victim_vin)
        victim.drop()
        await victim_owner.wait_for_down()
        backend, owner = await lab.user_up("backend", f"b-{thief_vin}")
        assert await outcome(backend, owner, TOPICS.command(victim_vin, "honk"), payload=b"queued")
        link, thief = await lab.user_up(thief_vin, victim_vin, clean_start=False, session_expiry_s=60)
        assert thief.ups == [True]
        assert await outcome(link, thief, TOPICS.status(thief_vin))  # behind what the session held
        assert await outcome(backend, owner, TOPICS.command(victim_vin, "honk"), payload=b"live")
        assert await outcome(link, thief, TOPICS.status(thief_vin))  # behind what came live
        assert thief.payloads == []

    async def test_will_on_a_topic_of_another_car_is_not_sent(self, lab: Lab) -> None:
        """The will is under the same access control as a publish."""
        forger_vin, victim_vin = lab.broker.new_vin(), lab.broker.new_vin()
        topics = ((TOPICS.presence(forger_vin), 1), (TOPICS.presence(victim_vin), 1))
        _, watcher = await lab.user_up("tool", f"w-{forger_vin}", subscriptions=topics)
        forged = Will(Frame(topic=TOPICS.presence(victim_vin), payload=b"forged"), 0)
        link, owner = lab.car(forger_vin, will=forged)
        link.open()
        await owner.wait_for("answer", lambda: bool(owner.calls))
        link.drop()
        other, other_owner = await lab.car_up(forger_vin, clean_start=True)
        assert await outcome(other, other_owner, TOPICS.presence(forger_vin), payload=b"mark")
        await watcher.wait_for_payload(b"mark")
        assert watcher.payloads == [b"mark"]


class TestTools:
    """Back end, desk and tool, each with its rights."""

    async def test_back_end_hears_all_cars_and_answers_them(self, lab: Lab) -> None:
        """The back end is delivered what a car sends, and the car what the back end sends."""
        vin = lab.broker.new_vin()
        _, backend = await lab.user_up("backend", f"b-{vin}", subscriptions=TOPICS.backend_subscriptions())
        writer, writer_owner = await lab.user_up("backend", f"w-{vin}")
        car, owner = await lab.car_up(vin)
        for name, topic in car_topics(vin).items():
            link, of = (car, owner) if name in WRITES else (writer, writer_owner)
            assert await outcome(link, of, topic, payload=name.encode()), name
        await owner.wait_for_deliveries(3)
        for name in WRITES:
            await backend.wait_for_payload(name.encode())

    async def test_tool_asks_the_desk_but_commands_no_car(self, lab: Lab) -> None:
        """A tool may watch cars and write the desk's request, and cannot go around the desk."""
        vin = lab.broker.new_vin()
        _, desk = await lab.user_up("desk", f"d-{vin}", subscriptions=((TOPICS.desk_request(), 1),))
        tool, owner = await lab.user_up("tool", f"t-{vin}")
        assert await outcome(tool, owner, TOPICS.desk_request(), payload=b"please")
        await desk.wait_for_payload(b"please")
        for name, topic in car_topics(vin).items():
            assert not await outcome(tool, owner, topic), name
        assert not await outcome(tool, owner, TOPICS.desk_answer(f"t-{vin}"))

    async def test_answer_reaches_only_the_client_that_asked(self, lab: Lab) -> None:
        """Two tools of one user are connected at once; each is delivered its own answers only."""
        both = ((TOPICS.desk_answer("+"), 1),)
        _, asker = await lab.user_up("tool", "asker", subscriptions=both)
        _, other = await lab.user_up("tool", "other", subscriptions=both)
        backend, owner = await lab.user_up("backend", "answers")
        assert await outcome(backend, owner, TOPICS.desk_answer("asker"), payload=b"for the asker")
        assert await outcome(backend, owner, TOPICS.desk_answer("other"), payload=b"for the other")
        await asker.wait_for_payload(b"for the asker")
        await other.wait_for_payload(b"for the other")
        assert (asker.payloads, other.payloads) == ([b"for the asker"], [b"for the other"])

    async def test_nobody_connects_without_a_name(self, lab: Lab) -> None:
        """Both listeners refuse a client without user name."""
        for endpoint in (lab.broker.mosquitto.cars, lab.broker.mosquitto.tools):
            link, owner = lab.link(endpoint, LinkSettings(client_id="nobody"))
            link.open()
            assert isinstance(await owner.wait_for_down(), ConnectRefused)


class TestFiles:
    """What the files say."""

    def test_cars_have_no_multi_level_wildcard(self) -> None:
        """No right in the access control covers topics that do not exist yet."""
        lines = (resource_dir("broker") / "acl").read_text().splitlines()
        assert not [line for line in lines if line and not line.startswith("#") and "#" in line]

    def test_every_line_has_its_reason(self) -> None:
        """Each directive of the configuration is named in the README."""
        folder = resource_dir("broker")
        readme = (folder / "README.md").read_text()
        lines = (folder / "mosquitto.conf").read_text().splitlines()
        directives = {line.split()[0] for line in lines if line and not line.startswith("#")}
        assert {name for name in directives if f"`{name}" not in readme} == set()

    def test_example_of_a_password_is_right(self) -> None:
        """The README's command for a password gives what the project derives."""
        from fleet.runtime.credentials import FleetSecret

        readme = (resource_dir("broker") / "README.md").read_text()
        [command] = re.findall(r"^password_for\(\) \{.*\}$", readme, flags=re.MULTILINE)
        script = f"FLEET_SECRET='a secret of some length'\n{command}\npassword_for backend"
        shown = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout.strip()
        assert shown == FleetSecret("a secret of some length").password_for("backend")
