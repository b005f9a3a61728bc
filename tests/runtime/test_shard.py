"""The shard between cars and links, in fake time on links that a test drives by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
import pytest
import structlog

from fleet.errors import ConnectRefused, Unreachable
from fleet.kernel.instants import HOUR, MINUTE, SECOND, Instant
from fleet.runtime import shard as shard_module
from fleet.runtime.link_plan import LinkPlan
from fleet.vehicle.signals import AskStatus, SetCoverage
from fleet.wire.frame import Frame
from fleet.wire.messages import Command, Presence, Response, Status, Stored
from tests.runtime.pure_lab import DIALECT, ShardLab, scenario


@pytest.fixture(autouse=True)
def short_good_bye(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test wait for outcomes that its hand-driven broker will never give."""
    monkeypatch.setattr(shard_module, "DRAIN_S", 0.02)


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[dict[str, object]]]:
    with structlog.testing.capture_logs() as captured:
        yield captured  # type: ignore[misc]


class Recorder:
    """An actor that wants to be woken at some instants and notes when it was."""

    def __init__(self, name: str, instants: list[Instant], woken: list[tuple[str, Instant]]) -> None:
        self.name, self.instants, self.woken = name, instants, woken

    def deadline(self) -> Instant | None:
        return self.instants[0] if self.instants else None

    def wake(self, at: Instant) -> None:
        self.woken.append((self.name, at))
        self.instants.pop(0)


class TestTime:
    async def test_actors_are_woken_in_the_order_of_their_deadlines(self) -> None:
        """One heap serves all: by time, and at the same time by who asked first; each gets its own instant."""
        lab = ShardLab()
        woken: list[tuple[str, Instant]] = []
        start = lab.clock.now()
        lab.shard.add(Recorder("a", [start + 5, start + 20], woken))
        lab.shard.add(Recorder("b", [start + 5, start + 10], woken))
        lab.pass_until(start + 15)
        assert woken == [("a", start + 5), ("b", start + 5), ("b", start + 10)]
        lab.pass_until(start + 20)
        assert woken[-1] == ("a", start + 20)

    async def test_all_cars_share_one_timer_of_the_loop(self) -> None:
        """However many cars there are, the event loop holds one timer, for the earliest deadline."""
        lab = ShardLab(scenario("  - {name: many, count: 40, models: {Leon: 1, Born: 1}}\n"))
        before = len(asyncio.all_tasks())
        lab.live()
        loop = asyncio.get_running_loop()
        timers = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        assert len(timers) == 1
        assert len(asyncio.all_tasks()) == before
        await lab.shard.stop()

    async def test_time_does_not_run_before_run(self) -> None:
        """Connecting sets no timer: the cars' day has not begun."""
        lab = ShardLab()
        lab.shard.connect()
        assert not asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]

    async def test_a_late_deadline_is_counted(self) -> None:
        """What is met later than a tenth of a second of wall time counts as late; the lag is recorded in any case."""
        lab = ShardLab()
        woken: list[tuple[str, Instant]] = []
        due = lab.clock.now() + MINUTE
        lab.shard.add(Recorder("punctual", [due], woken))
        lab.pass_until(due + SECOND)  # 17 ms of wall time at x60
        assert (lab.shard.counts.late, lab.shard.counts.lag.count) == (0, 1)
        lab.shard.add(Recorder("late", [lab.clock.now()], woken))
        lab.pass_for(10 * SECOND)
        assert (lab.shard.counts.late, lab.shard.counts.lag.count) == (1, 2)

    async def test_one_turn_wakes_a_bounded_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The sockets get their turn between; the rest is woken in the next one."""
        monkeypatch.setattr(shard_module, "DEADLINES_PER_TURN", 3)
        lab = ShardLab()
        woken: list[tuple[str, Instant]] = []
        for number in range(5):
            lab.shard.add(Recorder(str(number), [lab.clock.now()], woken))
        lab.pass_for(0)
        assert len(woken) == 3
        lab.pass_for(0)
        assert len(woken) == 5

    async def test_a_defect_in_one_actor_leaves_the_others_their_time(self) -> None:
        """An actor that raises is lost, and told; all others are woken as before."""
        lab = ShardLab()
        lab.live()
        woken: list[tuple[str, Instant]] = []
        now = lab.clock.now()
        lab.shard.add(Recorder("broken", [now + 1], []))
        lab.shard.add(Recorder("whole", [now + 2], woken))
        broken = lab.shard._timers
        first = next(iter(key for key in broken._current if isinstance(key, Recorder) and key.name == "broken"))
        first.instants = []
        with pytest.raises(IndexError):
            lab.pass_until(now + 5)
        lab.pass_until(now + 5)
        assert woken == [("whole", now + 2)]
        await lab.shard.stop()


class TestLinks:
    async def test_a_car_connects_as_itself(self) -> None:
        """Client id and user name are the VIN; the will tells that it was lost; its own topics are subscribed."""
        lab = ShardLab(session_expiry_s=77, will_delay_s=6)
        lab.shard.connect()
        settings = lab.link.settings
        assert settings.client_id == settings.username == lab.vin
        assert settings.password == f"password of {lab.vin}"
        assert (settings.session_expiry_s, settings.clean_start) == (77, False)
        assert all(lab.vin in topic for topic, _ in settings.subscriptions)
        assert settings.will is not None
        will = DIALECT.read_from_car(settings.will.frame)
        assert isinstance(will, Presence)
        assert (will.connection, will.reason, settings.will.delay_s) == ("offline", "lost", 6)
        assert lab.shard.waiting_to_connect == 3
        lab.links.all_up()
        assert lab.shard.waiting_to_connect == 0

    async def test_messages_go_one_by_one_in_their_order(self) -> None:
        """The next message leaves when the first has its outcome, so a car's messages arrive in their order."""
        lab = ShardLab()
        lab.live()
        lab.refresh()
        lab.pass_for(5 * MINUTE)
        assert [message.seq for message, _ in lab.messages()] == [1]
        while lab.shard.cars[lab.vin].car.outbox.in_outbox:
            lab.link.take(lab.messages()[-1][1])
        sent = [message for message, _ in lab.messages()]
        assert [message.seq for message in sent] == list(range(1, len(sent) + 1))
        assert {type(message) for message in sent} == {Response, Status}
        account = lab.shard.account()
        assert account["created"] == account["published"] == account["acknowledged"] == len(sent)
        assert lab.shard.counts.publish_to_ack.count == len(sent)
        await lab.shard.stop()

    async def test_a_message_carries_when_it_was_due_and_when_it_was_sent(self) -> None:
        """Due is the wall time of its capture; the latency counts from there, however late it goes out."""
        lab = ShardLab()
        lab.live()
        lab.refresh()
        lab.pass_for(5 * MINUTE)
        message, token = lab.messages()[0]
        assert not isinstance(message, Presence)
        assert message.due_wall_us == lab.clock.wall_us_at(message.captured_at)
        assert message.sent_wall_us == lab.clock.wall_us() > (message.due_wall_us or 0)
        lab.clock.move_to(lab.clock.now() + 2 * MINUTE)
        lab.link.take(token)
        assert lab.shard.counts.publish_to_ack.maximum == lab.clock.wall_us() - (message.due_wall_us or 0)
        await lab.shard.stop()

    async def test_what_has_no_outcome_is_repeated_as_the_same_bytes(self) -> None:
        """After a lost connection the message under way goes out again, byte for byte; it was published once."""
        lab = ShardLab()
        lab.live()
        lab.refresh()
        lab.pass_for(5 * MINUTE)
        first = [frame for frame, token in lab.link.published if token][-1]
        lab.link.go_down()
        lab.pass_for(5 * MINUTE)
        lab.link.come_up()
        again = [frame for frame, token in lab.link.published if token][-1]
        assert again.payload == first.payload
        account = lab.shard.account()
        assert (account["published"], account["repeated"]) == (1, 1)
        await lab.shard.stop()

    async def test_a_refused_publish_is_counted_and_told_once(self, logs: list[dict[str, object]]) -> None:
        """The broker's no is definite: the message leaves the outbox as refused, and the reason is told once."""
        lab = ShardLab()
        lab.live()
        lab.refresh()
        lab.pass_for(5 * MINUTE)
        while lab.shard.cars[lab.vin].car.outbox.in_outbox:
            lab.link.refuse(lab.messages()[-1][1])
        account = lab.shard.account()
        assert account["refused"] == account["created"] > 1
        assert account["acknowledged"] == account["in_outbox"] == 0
        assert lab.shard.counts.refusals == {"Not authorized: a/topic": account["refused"]}
        assert len([entry for entry in logs if entry["event"] == "publish refused"]) == 1
        assert lab.shard.counts.publish_to_ack.count == 0
        await lab.shard.stop()

    async def test_an_outcome_for_an_older_message_changes_nothing(self) -> None:
        """A late answer of an earlier connection takes no message out of the outbox."""
        lab = ShardLab()
        lab.live()
        lab.refresh()
        lab.pass_for(5 * MINUTE)
        before = lab.shard.account()
        lab.link.take(99)
        assert lab.shard.account() == before
        await lab.shard.stop()

    @pytest.mark.parametrize("damage", ["bytes", "retained", "foreign"])
    async def test_a_command_that_cannot_be_read_is_counted_and_acknowledged(
        self, damage: str, logs: list[dict[str, object]]
    ) -> None:
        """Nothing that arrives stops a car: unreadable, retained or another car's commands are refused, and not sent again."""
        lab = ShardLab()
        lab.live()
        now = lab.clock.now()
        command = Command(id="c", vin=lab.vin, name="refresh", issued_at=now, expires_at=now + HOUR)
        frame = DIALECT.to_car(lab.vin, command)
        if damage == "bytes":
            frame = Frame(topic=frame.topic, payload=b"\xc1 no message", content_type=frame.content_type)
        elif damage == "retained":
            frame = Frame(topic=frame.topic, payload=frame.payload, content_type=frame.content_type, retain=True)
        else:
            frame = Frame(
                topic=frame.topic,
                payload=DIALECT.to_car(lab.vins[1], msgspec.structs.replace(command, vin=lab.vins[1])).payload,
                content_type=frame.content_type,
            )
        delivery = lab.link.deliver(frame)
        lab.pass_for(10 * MINUTE)
        assert lab.messages() == []
        reason = {"bytes": "encoding", "retained": "retained", "foreign": "foreign_vin"}[damage]
        assert lab.shard.counts.unreadable == {reason: 1}
        assert lab.link.acknowledged == [delivery]
        assert any(entry["event"] == "car refused a message" and entry["reason"] == reason for entry in logs)
        await lab.shard.stop()

    async def test_lost_coverage_cuts_without_a_word_and_its_return_opens_again(self) -> None:
        """The same link is used again, so the session goes on."""
        lab = ShardLab()
        lab.live()
        held = lab.shard.cars[lab.vin]
        held.put(SetCoverage(covered=False))
        assert (lab.link.dropped, lab.link.closed) == (1, [])
        held.put(SetCoverage(covered=True))
        assert lab.link.opened == 2
        await lab.shard.stop()

    async def test_connection_errors_are_counted_by_kind_and_told_once(self, logs: list[dict[str, object]]) -> None:
        """A thousand cars without a broker say so once; the first error is kept for who has to give up."""
        lab = ShardLab()
        lab.shard.connect()
        first = ConnectRefused(lab.vin, 0x87, "Not authorized")
        lab.link.go_down(first)
        for link in lab.links.made.values():
            link.go_down(Unreachable("127.0.0.1", 1, "Connection refused"))
        assert lab.shard.counts.link_errors == {"ConnectRefused": 1, "Unreachable": 3}
        assert lab.shard.first_error is first
        assert len([entry for entry in logs if entry["event"] == "car has no connection"]) == 2

    async def test_an_outage_is_the_time_without_any_connection(self) -> None:
        """It begins when the last car lost its connection and ends with the first that is back; one lost car is none."""
        lab = ShardLab()
        lab.live()
        links = list(lab.links.made.values())
        links[0].go_down()
        assert lab.shard.counts.outages == []
        links[1].go_down()
        links[2].go_down()
        began = lab.clock.now()
        lab.clock.move_to(began + 2 * MINUTE)
        links[1].go_down(Unreachable("127.0.0.1", 1, "Connection refused"))  # a vain attempt is no new outage
        links[1].come_up()
        links[0].come_up()
        (outage,) = lab.shard.counts.outages
        assert outage.scenario_time == began
        assert (outage.to_wall_us or 0) - outage.from_wall_us == 2 * SECOND
        await lab.shard.stop()


class TestEnd:
    async def test_cars_say_good_bye_and_end_their_sessions(self) -> None:
        """With a broker of our own the last word is the retained presence `offline`, and the session ends."""
        lab = ShardLab(end_session=True)
        lab.live()
        await lab.shard.stop()
        ((end_session, last),) = lab.link.closed
        assert end_session
        assert last is not None
        presence = DIALECT.read_from_car(last)
        assert isinstance(presence, Presence)
        assert (presence.connection, presence.reason, last.retain) == ("offline", "shutdown", True)

    async def test_a_foreign_broker_is_left_without_our_presence(self) -> None:
        """With `clear_presence` the retained message is removed: an empty payload on the same topic."""
        lab = ShardLab(clear_presence=True)
        lab.live()
        await lab.shard.stop()
        ((_, last),) = lab.link.closed
        assert last is not None
        assert (last.topic, last.payload, last.retain) == (DIALECT.topics.presence(lab.vin), b"", True)

    async def test_stopping_waits_for_what_is_under_way(self) -> None:
        """The outcome of the message under way is waited for, and the rest of the outbox sent, before cars disconnect."""
        lab = ShardLab()
        lab.live()
        lab.refresh()
        lab.pass_for(5 * MINUTE)
        stopping = asyncio.create_task(lab.shard.stop())
        while not stopping.done():
            if lab.shard.cars[lab.vin].car.outbox.in_outbox:
                lab.link.take(lab.messages()[-1][1])
            await asyncio.sleep(0)
        assert lab.shard.account()["in_outbox"] == 0

    async def test_stopping_gives_up_in_time(self, logs: list[dict[str, object]]) -> None:
        """A broker that takes nothing holds the end up for a bounded while; what is left is told and stays in the outbox."""
        lab = ShardLab()
        lab.live()
        lab.refresh()
        lab.pass_for(5 * MINUTE)
        await lab.shard.stop()
        assert lab.shard.account()["in_outbox"] > 0
        assert lab.shard.outboxes()[lab.vin]["boot"] == 7
        assert any(entry["event"] == "messages without their last word at the end" for entry in logs)

    async def test_stopping_while_the_broker_is_down_takes_no_time(self) -> None:
        """Nobody can acknowledge then, so nobody is waited for."""
        lab = ShardLab()
        lab.live()
        lab.refresh()
        lab.pass_for(5 * MINUTE)
        for link in lab.links.made.values():
            link.go_down()
        async with asyncio.timeout(1):
            await lab.shard.stop()
        assert lab.shard.account()["in_outbox"] > 0

    async def test_a_shard_without_cars_lives_and_ends(self) -> None:
        """A fleet smaller than the number of shards leaves some empty."""
        lab = ShardLab()
        empty = shard_module.Shard(
            clock=lab.clock, cars=[], links=lab.links, dialect=DIALECT, plan=LinkPlan(password_for=lambda _: None)
        )
        empty.connect()
        empty.run()
        assert (empty.waiting_to_connect, empty.account()["created"]) == (0, 0)
        await empty.stop()


class TestRepetition:
    async def test_a_repeated_message_has_the_bytes_of_the_first_time(self) -> None:
        """Built or written, one or many, when the broker's word is missing or the back end's."""
        lab = ShardLab(until_stored=True)
        lab.live()
        for seq in (1, 2, 3):
            lab.shard.cars[lab.vin].put(AskStatus())
            if seq < 3:
                lab.link.take(seq)
        first = [frame for frame, token in lab.link.published if token]
        lab.link.go_down()
        lab.pass_for(SECOND)
        lab.link.come_up()
        for seq in (1, 2, 3):
            lab.link.take(seq)
        assert [frame for frame, token in lab.link.published if token] == first * 2


class TestDeliveryUntilStored:
    @pytest.fixture(autouse=True)
    def end_soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Wait but briefly at the end for the back end's word."""
        monkeypatch.setattr(shard_module, "LAST_MARKS_S", 0.02)

    async def test_what_the_broker_lost_is_repeated_while_others_get_through(self) -> None:
        """Marks that name the same gap again and again do not put it off; 15 s of wall time after the first it is sent again."""
        lab = ShardLab(until_stored=True)
        lab.live()
        car = lab.shard.cars[lab.vin]
        outbox = car.car.outbox
        lab.clock.move_to(lab.clock.start + MINUTE)  # a minute of the scenario is a second of the wall
        for seq in (1, 2):  # the first is stored, the second lost
            car.put(AskStatus())
            lab.link.take(seq)
            lab.link.deliver(DIALECT.to_car(lab.vin, Stored(boot=outbox.boot, through=1)))
        for second in range(2, 40):
            lab.clock.move_to(lab.clock.start + second * MINUTE)
            car.put(AskStatus())
            seq = outbox.created
            lab.link.take(seq)
            mark = Stored(boot=outbox.boot, through=1, high=seq, gaps=((2, 2),))
            lab.link.deliver(DIALECT.to_car(lab.vin, mark))
            lab.shard._look_at_unstored()
            if outbox.repeated:
                break
        assert [token for _, token in lab.messages()] == [*range(1, seq + 1), 2]
        assert second == 2 + shard_module.REPEAT_UNSTORED_S
        await lab.shard.stop()

    async def test_what_is_not_stored_at_the_end_is_sent_again(self) -> None:
        """The run does not end with a message that the broker lost: it is repeated once, and waited for."""
        lab = ShardLab(until_stored=True)
        lab.live()
        car = lab.shard.cars[lab.vin]
        car.put(AskStatus())
        lab.link.take(1)
        stopping = asyncio.create_task(lab.shard.stop())
        assert await shard_module.wait_until(lambda: len(lab.messages()) == 2, 5)
        assert [token for _, token in lab.messages()] == [1, 1]
        lab.link.take(1)
        lab.link.deliver(DIALECT.to_car(lab.vin, Stored(boot=car.car.outbox.boot, through=1)))
        await stopping
        assert (car.car.outbox.in_outbox, car.car.outbox.stored) == (0, 1)
