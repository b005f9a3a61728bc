"""Whatever happens in whatever order, each command of the desk ends exactly once."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from fleet.cloud.desk import Desk
from fleet.cloud.desk_io import (
    ClockChanged,
    CommandOpened,
    CommandRecord,
    PresenceChanged,
    Restored,
    Transition,
)
from fleet.kernel.instants import DAY, SECOND
from fleet.wire.messages import TERMINAL_STATES
from tests.cloud.desk_lab import OTHER, VIN, DeskLab

COMMANDS = 2
"""Few, so that events meet."""


class DeskStory(RuleBasedStateMachine):
    """Every command ends in exactly one terminal state that never changes, whatever happens in whatever order."""

    ids = st.sampled_from([f"c{number}" for number in range(COMMANDS)])

    def __init__(self) -> None:
        super().__init__()
        self.lab = DeskLab(manual=True)

    @initialize()
    def spin(self) -> None:
        self.lab.set_spin("4711")
        self.lab.work_off()

    @rule(command_id=ids, name=st.sampled_from(["honk", "honk", "lock", "fly"]), spin=st.sampled_from(["4711", "0815", None]))
    def ask(self, command_id: str, name: str, spin: str | None) -> None:
        self.lab.ask(command_id, name, spin=spin)

    @rule(number=st.integers(1, 3))
    def work(self, number: int) -> None:
        self.lab.work_off(number)

    @rule(command_id=ids, refused=st.sampled_from([None, None, "Not authorized"]))
    def publish(self, command_id: str, refused: str | None) -> None:
        self.lab.published(command_id, refused)

    @rule(command_id=ids, state=st.sampled_from(["accepted", "in_progress"] * 3 + ["succeeded", "failed", "expired"]))
    def answer(self, command_id: str, state: str) -> None:
        self.lab.car(command_id, state)

    @rule(connection=st.sampled_from(["online", "offline"]), deep=st.booleans())
    def presence(self, connection: str, deep: bool) -> None:
        reason = "deep_sleep" if deep and connection == "offline" else None
        self.lab.give(PresenceChanged(VIN, connection, reason))  # type: ignore[arg-type]

    @rule(seconds=st.integers(0, 700))
    def time(self, seconds: int) -> None:
        self.lab.wake(seconds * SECOND)

    @rule(days=st.integers(-3, 3), factor=st.sampled_from([1.0, 60.0]))
    def clock(self, days: int, factor: float) -> None:
        self.lab.give(ClockChanged(factor, days * DAY))
        self.lab.now += days * DAY

    @rule()
    def restart(self) -> None:
        """Only what was given out to be stored survives."""
        records: dict[str, CommandRecord] = {}
        for output in self.lab.outputs:
            if isinstance(output, CommandOpened):
                records[output.record.id] = output.record
            elif isinstance(output, Transition):
                changes = {"state": output.state, "reason": output.reason, "by": output.by, "changed_at": output.at}
                records[output.command_id] = replace(records[output.command_id], **changes)
        self.lab.work.clear()
        self.lab.desk = Desk(users=self.lab.users().values(), known_vins=[VIN, OTHER])
        for record_ in records.values():
            if record_.state in TERMINAL_STATES:
                self.lab.desk._ended[record_.id] = record_
        still_open = [record_ for record_ in records.values() if record_.state not in TERMINAL_STATES]
        self.lab.give(Restored(still_open))

    @invariant()
    def one_end_each(self) -> None:
        rank = {"queued": 0, "sent": 1, "accepted": 2, "in_progress": 3}
        for number in range(COMMANDS):
            ranks = [rank.get(state, 4) for state in self.lab.states(f"c{number}")]
            assert ranks == sorted(set(ranks)), "states move forward, one at a time, and end once"

    def teardown(self) -> None:
        self.lab.work_off()
        self.lab.wake(8 * DAY)
        for output in self.lab.of(CommandOpened):
            states = self.lab.states(output.record.id)
            assert sum(state in TERMINAL_STATES for state in states) == 1
        assert self.lab.desk.open_count == 0


DeskStory.TestCase.settings = settings(max_examples=250, stateful_step_count=30, deadline=None)
test_any_order_of_events = DeskStory.TestCase
