"""The promises of every implementation of `Link`, against a broker and a scripted peer.

To put an implementation with sockets to it: subclass `LinkConformance` in a test module, mark it live, and give it a
fixture `make_links` that returns a function from an Endpoint to a LinkFactory. One without sockets has a broker and
scripted peers of its own: it subclasses `LinkBehaviour`, and brings the fixtures `lab` and `own_lab` itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from fleet.errors import ConnectionLost, PublishRefused, SubscribeRefused, Unreachable
from fleet.transport.link import Will
from fleet.wire.frame import Frame
from tests.lab import ANYONE, TOPICS, Lab, LiveBroker, MakeLinks
from tests.transport.link_connecting import Connecting, ConnectingOnTheWire, self_signed
from tests.transport.scripted_broker import Script

__all__ = ["LinkBehaviour", "LinkConformance", "lab", "own_lab", "self_signed"]


@pytest.fixture
async def lab(live_broker: LiveBroker, make_links: MakeLinks) -> AsyncIterator[Lab]:
    """Links to the broker of the module."""
    made = Lab(live_broker, make_links)
    yield made
    await made.close()


@pytest.fixture
async def own_lab(own_broker: LiveBroker, make_links: MakeLinks) -> AsyncIterator[Lab]:
    """Links to a broker that may be killed."""
    made = Lab(own_broker, make_links)
    yield made
    await made.close()


class Publishing:
    """The outcome of a publish."""

    async def test_acknowledged(self, lab: Lab) -> None:
        """A frame nobody subscribed to (0x10) and one somebody did are both successes under their tokens."""
        vin = lab.broker.new_vin()
        link, owner = await lab.car_up(vin)
        link.publish(Frame(topic=TOPICS.status(vin), payload=b"1"), 41)
        assert await owner.wait_for_outcome(41) is None
        _, watcher = await lab.user_up("tool", f"watch-{vin}", subscriptions=((TOPICS.status(vin), 1),))
        link.publish(Frame(topic=TOPICS.status(vin), payload=b"2"), 42)
        assert await owner.wait_for_outcome(42) is None
        await watcher.wait_for_payload(b"2")

    async def test_qos_0_is_acknowledged_when_written(self, lab: Lab) -> None:
        """At QoS 0 the outcome says that the frame was written."""
        vin = lab.broker.new_vin()
        _, watcher = await lab.user_up("tool", f"watch-{vin}", subscriptions=((TOPICS.status(vin), 1),))
        link, owner = await lab.car_up(vin)
        link.publish(Frame(topic=TOPICS.status(vin), payload=b"0", qos=0), 9)
        assert await owner.wait_for_outcome(9) is None
        assert (await watcher.wait_for_payload(b"0")).frame.qos == 0

    async def test_refused_by_access_control(self, lab: Lab) -> None:
        """A forbidden publish is PublishRefused under its token, and the link stays up."""
        vin, other = lab.broker.new_vin(), lab.broker.new_vin()
        link, owner = await lab.car_up(vin)
        link.publish(Frame(topic=TOPICS.status(other), payload=b"forged"), 1)
        link.publish(Frame(topic=TOPICS.status(vin), payload=b"own"), 2)
        error = await owner.wait_for_outcome(1)
        assert isinstance(error, PublishRefused)
        assert (error.code, error.topic) == (0x87, TOPICS.status(other))
        assert await owner.wait_for_outcome(2) is None
        assert link.is_up
        assert owner.downs == []

    async def test_down_raises_connection_lost(self, lab: Lab) -> None:
        """Before open, after drop and after close a publish raises ConnectionLost."""
        vin = lab.broker.new_vin()
        frame = Frame(topic=TOPICS.status(vin), payload=b"")
        link, owner = lab.car(vin)
        with pytest.raises(ConnectionLost):
            link.publish(frame, 1)
        link.open()
        await owner.wait_for_up()
        link.drop()
        with pytest.raises(ConnectionLost):
            link.publish(frame, 2)
        await link.close()
        with pytest.raises(ConnectionLost):
            link.publish(frame, 3)
        assert owner.outcomes == []

    async def test_publish_then_drop_in_one_breath(self, lab: Lab) -> None:
        """A drop right after a publish gives link_down(None) and no outcome for it."""
        vin = lab.broker.new_vin()
        link, owner = await lab.car_up(vin)
        for token in range(50):
            link.publish(Frame(topic=TOPICS.status(vin), payload=b"?"), token)
        link.drop()
        await owner.wait_for_down()
        assert owner.calls == ["up", "down"]

    async def test_receive_maximum_of_the_broker_is_kept(self, lab: Lab) -> None:
        """No more QoS 1 frames are under way than the broker wants; the rest waits its turn in order."""
        async with lab.scripted(Script(receive_maximum=3, puback=None)) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            await owner.wait_for_up()
            for token in range(5):
                link.publish(Frame(topic="a/b", payload=b"%d" % token), token)
            link.publish(Frame(topic="a/b", payload=b"mark", qos=0), 5)
            await owner.wait_for_outcome(5)
            await broker.wait_for(lambda: len(broker.published) == 4)
            assert [payload for _, payload, _ in broker.published] == [b"0", b"1", b"2", b"mark"]
            broker.acknowledge(broker.published[0][2])
            await broker.wait_for(lambda: len(broker.published) == 5)
            assert broker.published[-1][1] == b"3"
            assert await owner.wait_for_outcome(0) is None
            await link.close()

    async def test_without_outcome_the_connection_is_made_anew(self, lab: Lab) -> None:
        """A PUBACK that never comes ends the connection after the time-out, also while nothing else is wrong."""
        async with lab.scripted(Script(puback=None)) as broker:
            link, owner = lab.link(broker.endpoint(), replace(ANYONE, acknowledge_timeout_s=0.9))
            link.open()
            await owner.wait_for_up()
            link.publish(Frame(topic="a/b", payload=b"1"), 1)
            link.publish(Frame(topic="a/b", payload=b"2"), 2)
            await broker.wait_for(lambda: len(broker.published) == 2)
            broker.acknowledge(broker.published[0][2])
            assert await owner.wait_for_outcome(1) is None
            error = await owner.wait_for_down()
            assert isinstance(error, ConnectionLost)
            assert "acknowledged no PUBLISH for 0.9 s" in str(error)
            broker.script = Script()
            await owner.wait_for_up(2)
            link.publish(Frame(topic="a/b", payload=b"2"), 2)
            assert await owner.wait_for_outcome(2) is None
            assert owner.outcomes == [(1, None), (2, None)]
            await link.close()

    async def test_two_thousand_in_order(self, lab: Lab) -> None:
        """Frames of one link arrive in their order, none lost, and their outcomes come in order too."""
        vin = lab.broker.new_vin()
        _, watcher = await lab.user_up("tool", f"watch-{vin}", subscriptions=((TOPICS.status(vin), 1),))
        link, owner = await lab.car_up(vin)
        for number in range(2000):
            link.publish(Frame(topic=TOPICS.status(vin), payload=b"%d" % number), number)
        await watcher.wait_for_deliveries(2000)
        await owner.wait_for_outcome(1999)
        assert watcher.payloads == [b"%d" % number for number in range(2000)]
        assert owner.outcomes == [(number, None) for number in range(2000)]


class Receiving:
    """Deliveries, and manual acknowledgement."""

    async def test_properties_round_trip(self, lab: Lab) -> None:
        """All MQTT 5 properties arrive as sent; the expiry may have run down by a second."""
        vin = lab.broker.new_vin()
        _, car = await lab.car_up(vin)
        backend, _ = await lab.user_up("backend", f"backend-{vin}")
        sent = Frame(
            topic=TOPICS.command(vin, "honk"),
            payload=bytes(range(256)),
            expiry_s=60,
            response_topic=TOPICS.desk_answer("someone"),
            correlation=b"\x00\xff\x01",
            content_type="application/msgpack",
            user_properties=(("name", "first"), ("name", "second"), ("größe", "Ü")),
        )
        backend.publish(sent, 1)
        [delivery] = await car.wait_for_deliveries(1)
        got = delivery.frame
        assert got.expiry_s in {59, 60}
        assert got == Frame(**{name: getattr(sent, name) for name in sent.__struct_fields__} | {"expiry_s": got.expiry_s})

    async def test_retain_flag_as_received(self, lab: Lab) -> None:
        """The retain flag is set on what was kept for a new subscriber and clear on what comes live."""
        vin = lab.broker.new_vin()
        topic = TOPICS.presence(vin)
        link, owner = await lab.car_up(vin)
        link.publish(Frame(topic=topic, payload=b"kept", retain=True), 1)
        await owner.wait_for_outcome(1)
        _, watcher = await lab.user_up("tool", f"watch-{vin}", subscriptions=((topic, 1),))
        assert (await watcher.wait_for_payload(b"kept")).frame.retain
        link.publish(Frame(topic=topic, payload=b"", retain=True), 2)
        assert not (await watcher.wait_for_payload(b"")).frame.retain

    async def test_unacknowledged_comes_again(self, lab: Lab) -> None:
        """After a reconnect the broker repeats, marked as duplicate, exactly what was not acknowledged."""
        vin = lab.broker.new_vin()
        link, car = await lab.car_up(vin, acknowledges=False)
        backend, _ = await lab.user_up("backend", f"backend-{vin}")
        for number in range(6):
            backend.publish(Frame(topic=TOPICS.command(vin, "x"), payload=b"%d" % number), number)
        first = await car.wait_for_deliveries(6)
        for delivery in first[:2]:
            link.acknowledge(delivery)
        link.publish(Frame(topic=TOPICS.status(vin), payload=b"behind the acknowledgements"), 1)
        await car.wait_for_outcome(1)
        link.drop()
        link.open()
        assert await car.wait_for_up(2) is True
        await car.wait_for_deliveries(10)
        again = car.deliveries[6:]
        assert [delivery.frame.payload for delivery in again] == [b"2", b"3", b"4", b"5"]
        assert all(delivery.frame.duplicate for delivery in again)
        assert not any(delivery.frame.duplicate for delivery in first)
        assert {delivery.connection for delivery in again} != {delivery.connection for delivery in first}

    async def test_acknowledging_a_delivery_of_an_earlier_connection_does_nothing(self, lab: Lab) -> None:
        """A late acknowledgement must not hit another message that has the same packet id now."""
        async with lab.scripted(Script(session_present=True)) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE, acknowledges=False)
            link.open()
            await owner.wait_for_up()
            broker.deliver(("a/b", b"old", 5))
            [old] = await owner.wait_for_deliveries(1)
            link.drop()
            link.open()
            await owner.wait_for_up(2)
            link.acknowledge(old)
            link.publish(Frame(topic="a/b", payload=b"mark"), 1)
            await owner.wait_for_outcome(1)
            assert broker.acknowledged == []
            await link.close()

    async def test_acknowledgements_keep_their_order(self, lab: Lab) -> None:
        """PUBACKs go out in the order in which the owner acknowledged, and none for QoS 0."""
        async with lab.scripted(Script()) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            await owner.wait_for_up()
            broker.deliver(*(("a/b", b"m", packet_id) for packet_id in (5, 3, 0, 9)))
            await broker.wait_for(lambda: len(broker.acknowledged) == 3)
            assert broker.acknowledged == [5, 3, 9]
            assert [delivery.frame.qos for delivery in owner.deliveries] == [1, 1, 0, 1]
            await link.close()

    async def test_link_up_comes_before_what_is_received(self, lab: Lab) -> None:
        """A message that overtakes the SUBACK is received after link_up."""
        script = Script(before_suback=(("a/b", b"early", 1),))
        async with lab.scripted(script) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            await owner.wait_for_payload(b"early")
            assert owner.calls == ["up", "received"]
            await link.close()

    async def test_receive_maximum_bounds_what_is_unacknowledged(self, lab: Lab) -> None:
        """The broker sends no more than receive_maximum messages ahead of the acknowledgements."""
        vin = lab.broker.new_vin()
        link, car = await lab.car_up(vin, acknowledges=False, receive_maximum=2)
        backend, sent = await lab.user_up("backend", f"backend-{vin}")
        for number in range(4):
            backend.publish(Frame(topic=TOPICS.command(vin, "x"), payload=b"%d" % number), number)
        await sent.wait_for_outcome(3)
        backend.publish(Frame(topic=TOPICS.stored(vin), payload=b"mark", qos=0), 4)
        await car.wait_for_payload(b"mark")
        assert car.payloads == [b"0", b"1", b"mark"]
        link.acknowledge(car.deliveries[0])
        await car.wait_for_payload(b"2")

    async def test_two_links_do_not_mix(self, lab: Lab) -> None:
        """Each owner hears only of its own link, though tokens and packet ids are equal."""
        vins = [lab.broker.new_vin(), lab.broker.new_vin()]
        cars = [await lab.car_up(vin) for vin in vins]
        backend, _ = await lab.user_up("backend", f"backend-{vins[0]}")
        for vin, (link, _) in zip(vins, cars, strict=True):
            link.publish(Frame(topic=TOPICS.status(vin), payload=b""), 1)
            backend.publish(Frame(topic=TOPICS.command(vin, "x"), payload=vin.encode()), 1)
        for vin, (_, owner) in zip(vins, cars, strict=True):
            await owner.wait_for_payload(vin.encode())
            await owner.wait_for_outcome(1)
            assert owner.payloads == [vin.encode()]
            assert owner.outcomes == [(1, None)]


class Sessions:
    """Sessions between connections."""

    async def test_resumed_without_subscribing_again(self, lab: Lab) -> None:
        """A link subscribes in whatever session it finds first; in one that it has subscribed in, it does not again."""
        for present, expected in ((True, 1), (False, 2)):
            async with lab.scripted(Script(session_present=True)) as broker:
                link, owner = lab.link(broker.endpoint(), ANYONE)
                link.open()
                assert await owner.wait_for_up() is True
                assert broker.subscribes == 1
                broker.script = Script(session_present=present)
                link.drop()
                link.open()
                assert await owner.wait_for_up(2) is present
                link.publish(Frame(topic="a/b", payload=b"mark"), 1)
                await owner.wait_for_outcome(1)
                assert broker.subscribes == expected
                await link.close()

    async def test_session_that_was_taken_over_is_subscribed_again(self, lab: Lab) -> None:
        """Whoever took the session over may have left it otherwise than it was."""
        async with lab.scripted(Script(session_present=True)) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            await owner.wait_for_up()
            broker.end(0x8E)
            error = await owner.wait_for_down()
            assert isinstance(error, ConnectionLost)
            assert error.taken_over
            assert "--topic-prefix" in error.hint
            await owner.wait_for_up(2)
            assert broker.subscribes == 2
            await link.close()

    async def test_subscriptions_of_somebody_else_are_let_go(self, lab: Lab) -> None:
        """In a session that another client left, the own filters are in force, what waits comes, and others' filters end."""
        vin = lab.broker.new_vin()
        session: dict[str, Any] = {"clean_start": False, "session_expiry_s": 60}
        others = (("fleet/v1/+/status", 1), (f"fleet/+/{vin}/event/#", 1))
        before, _ = await lab.user_up("tool", f"session-{vin}", subscriptions=others, **session)
        await before.close()
        car, sent = await lab.car_up(vin)
        car.publish(Frame(topic=TOPICS.status(vin), payload=b"waits"), 1)
        assert await sent.wait_for_outcome(1) is None
        link, owner = await lab.user_up("tool", f"session-{vin}", subscriptions=((TOPICS.presence(vin), 1),), **session)
        assert owner.ups == [True]
        await owner.wait_for_payload(b"waits")
        link.publish(Frame(topic=TOPICS.desk_request(), payload=b"behind the UNSUBSCRIBE"), 0)
        await owner.wait_for_outcome(0)
        car.publish(Frame(topic=TOPICS.event(vin, "moved"), payload=b"the last of its kind"), 2)
        await owner.wait_for_payload(b"the last of its kind")
        link.publish(Frame(topic=TOPICS.desk_request(), payload=b"behind the other"), 1)
        await owner.wait_for_outcome(1)
        for token, (topic, payload) in enumerate(
            (
                (TOPICS.status(vin), b"unheard"),
                (TOPICS.event(vin, "locked"), b"unheard"),
                (TOPICS.presence(vin), b"heard"),
            ), 3,
        ):  # fmt: skip
            car.publish(Frame(topic=topic, payload=payload), token)
        await owner.wait_for_payload(b"heard")
        assert owner.payloads == [b"waits", b"the last of its kind", b"heard"]

    async def test_refused_subscription_takes_the_link_down(self, lab: Lab) -> None:
        """A SUBACK of 0x80 or above names the filter; the link tries again and subscribes again, session or not."""
        async with lab.scripted(Script(suback=(0x87,))) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            error = await owner.wait_for_down()
            assert isinstance(error, SubscribeRefused)
            assert (error.code, error.topic_filter) == (0x87, "a/+")
            assert owner.ups == []
            broker.script = Script(session_present=True)
            await owner.wait_for_up()
            assert broker.subscribes >= 2
            await link.close()

    async def test_messages_queued_while_away_arrive(self, lab: Lab) -> None:
        """Messages published at QoS 1 while the car was away arrive in order, after link_up."""
        vin = lab.broker.new_vin()
        link, car = await lab.car_up(vin)
        link.drop()
        await car.wait_for_down()
        backend, sent = await lab.user_up("backend", f"backend-{vin}")
        for number in range(100):
            backend.publish(Frame(topic=TOPICS.command(vin, "x"), payload=b"%d" % number), number)
        await sent.wait_for_outcome(99)
        link.open()
        assert await car.wait_for_up(2) is True
        await car.wait_for_deliveries(100)
        assert car.payloads == [b"%d" % number for number in range(100)]
        assert car.calls[:3] == ["up", "down", "up"]

    async def test_expired_message_is_not_delivered(self, lab: Lab) -> None:
        """A message whose expiry passed while the car was away is gone; a later one still comes."""
        vin = lab.broker.new_vin()
        link, car = await lab.car_up(vin)
        link.drop()
        await car.wait_for_down()
        backend, sent = await lab.user_up("backend", f"backend-{vin}")
        backend.publish(Frame(topic=TOPICS.command(vin, "x"), payload=b"short", expiry_s=1), 1)
        backend.publish(Frame(topic=TOPICS.command(vin, "x"), payload=b"long", expiry_s=60), 2)
        await sent.wait_for_outcome(2)
        await lab.hourglass(3)
        link.open()
        await car.wait_for_payload(b"long")
        assert car.payloads == [b"long"]

    async def test_close_keeps_the_session_and_end_session_forgets_it(self, lab: Lab) -> None:
        """After close the session is there; after close(end_session=True) it is not."""
        vin = lab.broker.new_vin()
        link, car = await lab.car_up(vin)
        await link.close()
        link.open()
        assert await car.wait_for_up(2) is True
        await link.close(end_session=True)
        link.open()
        assert await car.wait_for_up(3) is False
        assert car.downs == [None, None]

    async def test_clean_start_forgets_the_session(self, lab: Lab) -> None:
        """With clean_start nothing is resumed."""
        vin = lab.broker.new_vin()
        first, _ = await lab.car_up(vin)
        await first.close()
        _, second = await lab.car_up(vin, clean_start=True)
        assert second.ups == [False]

    async def test_session_expires(self, lab: Lab) -> None:
        """With session_expiry_s 0 the session ends with the connection."""
        vin = lab.broker.new_vin()
        link, car = await lab.car_up(vin, session_expiry_s=0)
        link.drop()
        link.open()
        assert await car.wait_for_up(2) is False


class Ending:
    """Drop, close, will, and a broker that goes away."""

    async def test_drop_then_open(self, lab: Lab) -> None:
        """Drop gives one link_down(None) before the next link_up, however soon open follows."""
        vin = lab.broker.new_vin()
        link, car = await lab.car_up(vin)
        link.drop()
        assert not link.is_up
        link.open()
        assert await car.wait_for_up(2) is True
        assert car.calls == ["up", "down", "up"]
        assert car.downs == [None]

    async def test_dropped_link_stays_down(self, lab: Lab) -> None:
        """Without open a dropped link does not come back."""
        async with lab.scripted(Script()) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            await owner.wait_for_up()
            link.drop()
            await broker.wait_for(lambda: broker.ends == 1)
            assert broker.disconnects == 0
            await link.close()
            assert owner.calls == ["up", "down"]
            assert broker.connects == 1

    @pytest.mark.parametrize("moment", ["up", "received", "acknowledged", "down"])
    async def test_owner_may_drop_from_any_call(self, lab: Lab, moment: str) -> None:
        """A drop in the middle of a call of the link is a drop like any other, and open after it works."""
        async with lab.scripted(Script()) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)

            def react(call: str) -> None:
                if call == "up" and moment != "up":
                    link.publish(Frame(topic="a/b", payload=b"from link_up"), 1)
                    broker.deliver(("a/b", b"1", 1), ("a/b", b"2", 2))
                if moment == "down" and call == "acknowledged":
                    broker.end(0x8B)
                if call == "acknowledged" and link.is_up:
                    link.publish(Frame(topic="a/b", payload=b"from link_acknowledged"), 2)
                if call == moment:
                    owner.react = lambda call: None
                    link.drop()
                    link.open()

            owner.react = react
            link.open()
            await owner.wait_for_up(2)
            assert owner.calls.count("down") == 1
            assert owner.calls[-2:] == ["down", "up"]
            await link.close()

    async def test_will_comes_after_drop_with_its_delay(self, lab: Lab) -> None:
        """A drop makes the broker send the will after its delay; a reconnect within the delay takes it back."""
        lost, returned = lab.broker.new_vin(), lab.broker.new_vin()
        topics = tuple((TOPICS.presence(vin), 1) for vin in (lost, returned))
        _, watcher = await lab.user_up("tool", f"watch-{lost}", subscriptions=topics)
        links = {}
        for vin in (returned, lost):
            will = Will(Frame(topic=TOPICS.presence(vin), payload=b"lost " + vin.encode(), content_type="t"), 1)
            links[vin], _ = await lab.car_up(vin, will=will)
        links[returned].drop()
        links[returned].open()
        links[lost].drop()
        dropped_at = asyncio.get_running_loop().time()
        delivery = await watcher.wait_for_payload(b"lost " + lost.encode())
        assert asyncio.get_running_loop().time() - dropped_at > 0.5
        assert delivery.frame.content_type == "t"
        assert watcher.payloads == [b"lost " + lost.encode()]

    async def test_will_is_not_sent_on_close(self, lab: Lab) -> None:
        """Close says goodbye, so the will is not sent, but `last` is, before the end."""
        vin = lab.broker.new_vin()
        topic = TOPICS.presence(vin)
        _, watcher = await lab.user_up("tool", f"watch-{vin}", subscriptions=((topic, 1),))
        link, car = await lab.car_up(vin, will=Will(Frame(topic=topic, payload=b"will"), 0))
        await link.close(last=Frame(topic=topic, payload=b"goodbye"))
        assert car.calls == ["up", "down"]
        link.open()
        await car.wait_for_up(2)
        link.publish(Frame(topic=topic, payload=b"back"), 1)
        await watcher.wait_for_payload(b"back")
        assert watcher.payloads == [b"goodbye", b"back"]

    async def test_end_session_is_heard_in_the_middle_of_a_flood(self, lab: Lab) -> None:
        """Close says goodbye properly even while more comes in than was read: no will, no session left."""
        for _ in range(5):
            vin = lab.broker.new_vin()
            topic = TOPICS.presence(vin)
            _, watcher = await lab.user_up("tool", f"watch-{vin}", subscriptions=((topic, 1),))
            link, car = await lab.car_up(vin, receive_maximum=1000, will=Will(Frame(topic=topic, payload=b"will"), 0))
            backend, _ = await lab.user_up("backend", f"backend-{vin}")
            for number in range(1500):
                backend.publish(Frame(topic=TOPICS.command(vin, "x"), payload=bytes(2000), qos=number % 2), number)
            await car.wait_for_deliveries(20)
            await link.close(end_session=True)
            link.open()
            assert await car.wait_for_up(2) is False
            link.publish(Frame(topic=topic, payload=b"mark"), 1)
            await watcher.wait_for_payload(b"mark")
            assert watcher.payloads == [b"mark"]

    async def test_close_twice_and_unopened(self, lab: Lab) -> None:
        """Close is safe at any time and as often as one likes."""
        vin = lab.broker.new_vin()
        link, car = lab.car(vin)
        await link.close()
        await link.close(end_session=True, last=Frame(topic=TOPICS.status(vin), payload=b""))
        assert car.calls == []
        link.open()
        await car.wait_for_up()
        await asyncio.gather(link.close(), link.close())
        assert car.calls == ["up", "down"]

    async def test_close_is_bounded_when_the_broker_hangs(self, own_lab: Lab) -> None:
        """A paused broker cannot hold up close beyond its bound."""
        link, car = await own_lab.car_up(own_lab.broker.new_vin())
        own_lab.broker.mosquitto.pause()
        await asyncio.wait_for(link.close(), 8)
        own_lab.broker.mosquitto.resume()
        assert car.downs == [None]

    async def test_reason_of_the_broker_is_told(self, lab: Lab) -> None:
        """A DISCONNECT of the broker is ConnectionLost with its reason in words."""
        async with lab.scripted(Script()) as broker:
            link, owner = lab.link(broker.endpoint(), ANYONE)
            link.open()
            await owner.wait_for_up()
            broker.end(0x8E)
            error = await owner.wait_for_down()
            assert isinstance(error, ConnectionLost)
            assert "taken over" in str(error)
            await link.close()

    async def test_second_client_of_the_same_id_ends_the_first(self, lab: Lab) -> None:
        """The first of two clients with one id hears ConnectionLost, once."""
        first, owner = await lab.user_up("tool", "twin")
        await lab.user_up("tool", "twin")
        error = await owner.wait_for_down()
        first.drop()
        assert isinstance(error, ConnectionLost)
        assert owner.calls == ["up", "down"]

    async def test_broker_killed_and_restarted(self, own_lab: Lab) -> None:
        """One link_down for the loss, more while it is away, then link_up by back-off; what is lost is subscribed again."""
        vin = own_lab.broker.new_vin()
        link, car = await own_lab.car_up(vin)
        own_lab.broker.mosquitto.kill()
        assert isinstance(await car.wait_for_down(), ConnectionLost)
        assert isinstance(await car.wait_for_down(2), Unreachable)
        assert not link.is_up
        await own_lab.broker.mosquitto.start()
        assert await car.wait_for_up(2) is False
        backend, _ = await own_lab.user_up("backend", "backend")
        backend.publish(Frame(topic=TOPICS.command(vin, "x"), payload=b"after"), 1)
        await car.wait_for_payload(b"after")

    async def test_broker_stopped_and_restarted_keeps_sessions(self, own_lab: Lab) -> None:
        """A broker that ended in good order resumes the session and delivers what it held."""
        vin = own_lab.broker.new_vin()
        link, car = await own_lab.car_up(vin)
        link.drop()
        await car.wait_for_down()
        backend, sent = await own_lab.user_up("backend", "backend")
        backend.publish(Frame(topic=TOPICS.command(vin, "x"), payload=b"held"), 1)
        await sent.wait_for_outcome(1)
        await backend.close()
        await own_lab.broker.mosquitto.stop()
        await own_lab.broker.mosquitto.start()
        link.open()
        assert await car.wait_for_up(2) is True
        await car.wait_for_payload(b"held")

    async def test_hung_broker_is_noticed_by_keep_alive(self, own_lab: Lab) -> None:
        """A broker that keeps the connection and answers nothing is lost after the keep-alive."""
        _, car = await own_lab.car_up(own_lab.broker.new_vin(), keep_alive_s=1, connect_timeout_s=1.0)
        own_lab.broker.mosquitto.pause()
        error = await car.wait_for_down()
        own_lab.broker.mosquitto.resume()
        assert isinstance(error, ConnectionLost)
        assert "keep-alive" in str(error)
        await car.wait_for_up(2)


class LinkBehaviour(Connecting, Publishing, Receiving, Sessions, Ending):
    """The promises of all links, whatever carries their frames."""


class LinkConformance(LinkBehaviour, ConnectingOnTheWire):
    """The whole suite, for links with sockets."""
