"""What the machine allows, told before anything connects."""

from __future__ import annotations

import resource

import pytest

from fleet.errors import UsageError
from fleet.runtime.limits import (
    SPARE_FILES,
    lack_of_open_files,
    need_open_files,
    raise_open_files,
    run_fast,
    source_addresses,
)


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """A process that may have 100 open files, and 500 when it asks; what it asked for."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 500))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    return asked


def test_the_limit_is_raised_as_far_as_needed(small_limit: list[tuple[int, int]]) -> None:
    need_open_files(200)
    assert small_limit == [(200 + SPARE_FILES, 500)]


def test_nothing_is_asked_where_there_is_room(small_limit: list[tuple[int, int]]) -> None:
    need_open_files(100 - SPARE_FILES)
    assert small_limit == []


def test_too_low_a_limit_is_told_with_the_remedy(small_limit: list[tuple[int, int]]) -> None:
    with pytest.raises(UsageError) as caught:
        need_open_files(1_000)
    assert "1000 connections need 1064 open files, and this process may have 500" in str(caught.value)
    assert "ulimit -Hn 1064" in caught.value.hint
    assert "436 cars" in caught.value.hint
    assert small_limit == []


def test_a_soft_limit_is_raised_as_far_as_is_allowed(small_limit: list[tuple[int, int]]) -> None:
    """For a process that may have any number of clients."""
    raise_open_files()
    assert small_limit == [(500, 500)]


def test_too_few_for_the_clients_it_may_have(small_limit: list[tuple[int, int]]) -> None:
    assert lack_of_open_files(100 - SPARE_FILES) == ""
    assert "101 connections need 165 open files, and a process may have 100 here" in lack_of_open_files(101)
    assert small_limit == []


def test_source_addresses() -> None:
    """A network gives its hosts, an address itself, nothing nothing."""
    assert source_addresses(None) == ()
    assert source_addresses("127.0.1.7") == ("127.0.1.7",)
    assert source_addresses("127.0.1.0/29") == tuple(f"127.0.1.{n}" for n in range(1, 7))


@pytest.mark.parametrize(
    ("network", "says"), [("loopback", "'loopback'"), ("127.0.1.0/33", "/33"), ("10.0.0.0/8", "16777216 addresses")]
)
def test_a_source_that_is_none(network: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        source_addresses(network)


@pytest.mark.parametrize("fast", [True, False])
def test_run_fast_returns_and_raises(fast: bool) -> None:
    """On either loop the coroutine's result, or its error, comes out."""

    async def answer() -> int:
        return 42

    async def fail() -> None:
        raise UsageError("no")

    assert run_fast(answer(), fast=fast) == 42
    with pytest.raises(UsageError):
        run_fast(fail(), fast=fast)
