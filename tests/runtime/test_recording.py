"""A machine with a journal: each input is written before it is taken, each output after it; another one does the same again."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.kernel.instants import Instant
from fleet.observe.journal import Input, Output, Record, Wake
from fleet.runtime.recording import Recorded, Replayed


class Counter:
    """Adds numbers up; tells the sum after each one, and when it is woken."""

    def __init__(self, total: int = 0) -> None:
        self.total = total

    def receive(self, message: int, now: Instant) -> list[str]:
        if message < 0:
            raise ValueError("a number that cannot be added")
        self.total += message
        return [f"sum {self.total}"]

    def deadline(self) -> Instant | None:
        return self.total or None

    def wake(self, now: Instant) -> list[str]:
        return ["woken", f"at {now}"]


class CounterCodec:
    def __init__(self) -> None:
        self.now: Instant = 0

    def input_record(self, message: int, now: Instant) -> Input:
        self.now = now
        return Input(now, "counter", "in", "int", data=message)

    def wake_record(self, now: Instant) -> Wake:
        self.now = now
        return Wake(now, "counter", "wake")

    def output_record(self, output: str) -> Output:
        return Output(self.now, "counter", "out", "str", None, (output,))

    def read_start(self, record: Input) -> Counter | None:
        return Counter(record.data) if record.type == "start" else None

    def read_input(self, record: Input) -> int:
        return int(record.data)

    def comparable(self, record: Output) -> Any:
        return record.data


def test_inputs_and_outputs_are_written_in_their_order() -> None:
    """The machine's answers and its deadline pass through as they are."""
    records: list[Record] = []
    recorded = Recorded(Counter(), CounterCodec(), records.append)
    assert recorded.receive(3, 10) == ["sum 3"]
    assert recorded.deadline() == 3
    assert recorded.wake(20) == ["woken", "at 20"]
    assert records == [
        Input(10, "counter", "in", "int", data=3),
        Output(10, "counter", "out", "str", None, ("sum 3",)),
        Wake(20, "counter", "wake"),
        Output(20, "counter", "out", "str", None, ("woken",)),
        Output(20, "counter", "out", "str", None, ("at 20",)),
    ]


def test_an_input_at_which_a_machine_fails_is_in_the_journal() -> None:
    """It is the one that shows the defect again."""
    records: list[Record] = []
    with pytest.raises(ValueError, match="cannot be added"):
        Recorded(Counter(), CounterCodec(), records.append).receive(-1, 10)
    assert records == [Input(10, "counter", "in", "int", data=-1)]


def test_a_replayed_machine_wants_what_a_journal_would_hold() -> None:
    """Outputs are compared as they are read from a file: a tuple has become a list."""
    replayed = Replayed(Counter(), CounterCodec())
    message = replayed.read(Input(10, "counter", "in", "int", data=3))
    assert message == 3
    assert list(replayed.receive(message, 10)) == [Output(10, "counter", "out", "str", None, ["sum 3"])]
    assert [replayed.comparable(output) for output in replayed.wake(20)] == [["woken"], ["at 20"]]


def test_a_machine_that_begins_anew_takes_the_place_of_the_one_before() -> None:
    """As after a restart of a back end."""
    replayed = Replayed(Counter(), CounterCodec())
    assert replayed.read(Input(10, "counter", "in", "start", data=100)) is None
    assert [output.data for output in replayed.receive(1, 10)] == [["sum 101"]]
