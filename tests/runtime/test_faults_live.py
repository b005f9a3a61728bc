"""No fault loses a message unseen: delivered until stored nothing is lost, to the broker each loss is counted."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from tests.cli.lab import clean_environment
from tests.runtime.fault_lab import CARS, Outcome
from tests.runtime.faults import CASES, HEAD, Case, line, start_all

pytestmark = [
    pytest.mark.live,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("faults"),  # all are started together, once
]

Outcomes = Mapping[Case, asyncio.Task[Outcome]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Outcomes]:
    """Start all faults that are asked for, together: most of them wait most of the time."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function) and "outcomes" in item.fixturenames]
    cases = [cast("Case", test.callspec.params["case"]) for test in tests]
    tasks = start_all(cases, tmp_path_factory.mktemp("stores"))
    sys.stdout.write(f"\n{HEAD}\n")
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.random  # how long a broker is stopped
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_what_becomes_of_each_message(outcomes: Outcomes, case: Case) -> None:
    """Until stored all are there once; to the broker exactly those are not that it took and lost, and the account says so."""
    outcome = await outcomes[case]
    sys.stdout.write(f"{line(outcome)}\n")
    account = outcome.account
    assert account.published == account.created >= 5 * CARS
    assert (account.in_outbox, account.dropped, account.refused, account.quarantined) == (0, 0, 0, 0)
    assert (outcome.twice, outcome.unknown) == (0, 0)
    assert account.stored == len(outcome.stored)
    assert account.lost == len(outcome.missing)
    assert bool(outcome.doomed) is case.fault.loses
    if case.mode == "stored":
        assert not outcome.missing
    else:
        assert outcome.missing <= outcome.doomed | outcome.doubtful
        assert len(outcome.doomed - outcome.missing) == case.fault.survive


@pytest.mark.parametrize("command", ["run", "simulate"])
async def test_too_low_a_limit_of_files(command: str, tmp_path: Path) -> None:
    """Limit and remedy are told before anything connects or is written, with exit code 2."""
    connects: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(lambda _, writer: connects.append(writer), "127.0.0.1", 0) as listener:
        broker = f"mqtt://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", 'ulimit -n 256 && exec "$@"', "bash"),
            *(sys.executable, "-m", "fleet", command, "rush-hour", "--cars", "500", "--broker", broker),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env=clean_environment(),
        )
        _, told = await process.communicate()
    assert process.returncode == 2
    assert "500 connections need 564 open files, and this process may have 256" in told.decode()
    assert "ulimit -Hn 564" in told.decode()
    assert "at most 192 cars" in told.decode()
    assert connects == []
    assert names_in(tmp_path) == []


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]
