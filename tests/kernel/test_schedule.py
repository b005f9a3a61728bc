"""Virtual time: what is called when, and in which order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kernel.schedule import Schedule, ScheduledCall, virtual_duration, whole_wall_s

ACTIONS = st.lists(st.tuples(st.sampled_from(["call", "post", "cancel", "step", "run"]), st.integers(0, 9)), max_size=60)


@settings(deadline=None, max_examples=300)
@given(ACTIONS)
def test_behaves_like_a_sorted_list(actions: list[tuple[str, int]]) -> None:
    """Called, posted, cancelled and run at random, it makes the calls that a list sorted by (time, sequence) gives."""
    schedule = Schedule()
    made: list[tuple[int, int]] = []
    expected: list[tuple[int, int]] = []
    model: dict[int, int] = {}
    handles: dict[int, ScheduledCall] = {}

    def run_model(until: int, limit: int) -> None:
        for number, at in sorted(model.items(), key=lambda entry: (entry[1], entry[0]))[:limit]:
            if at <= until:
                expected.append((at, number))
                del model[number]

    for number, (action, argument) in enumerate(actions):
        at = max(schedule.now + argument - 2, schedule.now)

        def call(number: int = number, _: None = None) -> None:
            made.append((schedule.now, number))

        match action:
            case "call":
                handles[number] = schedule.call_at(schedule.now + argument - 2, call)
                model[number] = at
            case "post":
                schedule.post_at(schedule.now + argument - 2, call, number, None)
                model[number] = at
            case "cancel" if handles:
                chosen = sorted(handles)[argument % len(handles)]
                handles.pop(chosen).cancel()
                model.pop(chosen, None)
            case "step":
                assert schedule.step() is bool(model)
                run_model(10**9, 1)
            case _:
                run_model(schedule.now + argument, len(model))
                schedule.run_until(schedule.now + argument)
        assert made == expected
        assert len(schedule) == len(model)
        assert schedule.next_instant() == min(model.values(), default=None)


def test_a_call_may_ask_for_another_at_once() -> None:
    """What is asked for in the middle of a call for the same instant is made in the same run, after what was there before."""
    schedule = Schedule(100)
    made: list[str] = []

    def first() -> None:
        made.append("first")
        schedule.call_at(150, made.append, "third")

    schedule.call_at(150, first)
    schedule.post_at(150, lambda first, second: made.append(first + second), "sec", "ond")
    schedule.run_until(150)
    assert made == ["first", "second", "third"]
    assert schedule.now == 150


def test_time_stands_at_the_call_and_then_at_the_end() -> None:
    """A call sees its own instant; after `run_until` it is that instant, and it never runs back."""
    schedule = Schedule()
    seen: list[int] = []
    for at in (30, 10):
        schedule.call_at(at, lambda: seen.append(schedule.now))
    schedule.run_until(20)
    assert (seen, schedule.now) == ([10], 20)
    schedule.run_until(5)
    assert schedule.now == 20
    schedule.call_at(1, lambda: seen.append(schedule.now))
    assert schedule.step()
    assert seen == [10, 20]


def test_cancelled_calls_leave_no_trace() -> None:
    """A hundred thousand calls cancelled again do not pile up; cancelling twice, or after the call, does nothing."""
    schedule = Schedule()
    done = schedule.call_at(0, lambda: None)
    schedule.step()
    done.cancel()
    for at in range(100_000):
        handle = schedule.call_at(at, lambda: None)
        handle.cancel()
        handle.cancel()
        assert len(schedule._heap) <= 65
    assert len(schedule) == 0
    assert not schedule.step()


def test_wall_seconds_and_back() -> None:
    """A second of wall time is a second of the schedule."""
    assert virtual_duration(1.5) == 1_500_000
    assert [whole_wall_s(duration) for duration in (999_999, 1_000_000, 1_500_000)] == [0, 1, 1]
