"""The pytest plugin as its users see it: what they write, what they are told, and that nobody else is disturbed."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import pytest

from fleet.errors import UnknownName, UsageError
from fleet.harness import World, broker, virtual_world
from tests.scenario.samples import REGION

VIRTUAL = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
fleet_mode = virtual
"""


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where worlds have their folders, and those of tests that fail stay."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project of a user's, whose cars live in virtual time."""
    pytester.makeini(VIRTUAL)
    return pytester


def run(suite: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    suite.makepyfile(test_cars=source)
    return suite.runpytest_inprocess("-p", "no:cacheprovider", "-q", *options)


def test_fixtures_work_together(suite: pytest.Pytester) -> None:
    done = run(suite, """
        async def test_lock(fleet, fleet_car, fleet_backend, fleet_clock, fleet_faults, fleet_journal):
            await fleet.user.lock(fleet_car).succeeds()
            assert (await fleet_backend.twin(fleet_car)).doors.front_left.locked
            await fleet_car.switch_on()
            assert '"SwitchOn"' in fleet_journal.read_text()
    """)  # fmt: skip
    done.assert_outcomes(passed=1)


def test_a_car_is_what_the_mark_says(suite: pytest.Pytester) -> None:
    done = run(suite, """
        import pytest

        pytestmark = pytest.mark.fleet(car={"model": "Born", "charge_percent": 40})

        async def test_born(fleet_car):
            assert fleet_car.equipment.model == "Born"
            await fleet_car.switch_on()
            await fleet_car.switch_off()
            await fleet_car.wait_for_status(energy__charge_percent=40)
    """)  # fmt: skip
    done.assert_outcomes(passed=1)


def test_the_seed_is_the_tests_own_unless_it_is_given(suite: pytest.Pytester) -> None:
    source = """
        async def test_seed(fleet):
            car = await fleet.car()
            print("seed", fleet.seed, "odometer", car.simulated.powertrain.start_m)
    """
    told = [run(suite, source, "-s", *options).outlines for options in ((), (), ("--fleet-seed", "7"), ("--fleet-seed", "7"))]
    seeds = [next(line for line in lines if line.startswith("seed ")) for lines in told]
    assert seeds[0] == seeds[1]
    assert seeds[2] == seeds[3]
    assert seeds[0] != seeds[2]
    assert seeds[2].startswith("seed 7 ")


def test_a_failure_tells_story_seed_and_journal_and_keeps_it(suite: pytest.Pytester) -> None:
    done = run(suite, """
        async def test_never(fleet_car):
            await fleet_car.switch_on()
            await fleet_car.wait_for_event("engine_off", within="1 min")
    """)  # fmt: skip
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines([
        "*no event engine_off of VSS* within 1 min; events since: engine_on*",
        "*the last of VSS*",
        "*in        SwitchOn*",
        "*seed *; the journal is kept: *journal.jsonl*",
        "*again: pytest test_cars.py::test_never --fleet-seed *",
    ])  # fmt: skip
    kept = next(line.rpartition(" ")[2] for line in done.outlines if "the journal is kept" in line)
    assert Path(kept).read_text(encoding="utf-8").count("SwitchOn") == 1


def test_beside_a_broker_of_the_users_tests_run_one_at_a_time(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of their cars could have one VIN, and would take each other's connection."""
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    done = run(suite, "async def test(fleet): ...", "--fleet-mode", "live", "--fleet-broker", "mqtt://broker.example")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["E   *run one at a time*", "E   *-n 0*"])


def test_the_line_again_runs_the_test_again(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pytest was called, with the options it was called with, whatever the test is called."""
    pytester.makeini(VIRTUAL.replace("fleet_mode = virtual", ""))
    pytester.makepyfile(test_cars="""
        import pytest

        @pytest.mark.parametrize("word", ["the user's"])
        async def test_never(fleet_car, word):
            assert not word
    """)  # fmt: skip
    monkeypatch.chdir(pytester.mkdir("below"))
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--fleet-mode", "virtual", "--fleet-seed", "7", "..")
    (line,) = (line.partition("again: pytest ")[2] for line in done.outlines if "again: " in line)
    again = pytester.runpytest_inprocess("-p", "no:cacheprovider", *shlex.split(line))
    again.assert_outcomes(failed=1)
    (same,) = (line.partition("again: pytest ")[2] for line in again.outlines if "again: " in line)
    assert same == line


def test_an_assertion_of_the_users_keeps_the_journal_too(suite: pytest.Pytester) -> None:
    done = run(suite, """
        async def test_wrong(fleet_car):
            assert fleet_car.state == "driving"
    """)  # fmt: skip
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["* fleet *", "*the last of VSS*", "*in        PowerOn*", "*seed *", "*again: pytest *"])
    kept = next(line.rpartition(" ")[2] for line in done.outlines if "the journal is kept" in line)
    assert Path(kept).exists()


def test_a_set_up_that_fails_is_told_too_and_who_skips_leaves_nothing(suite: pytest.Pytester, folders: Path) -> None:
    done = run(suite, """
        import pytest

        @pytest.fixture
        def broken(fleet_car):
            raise RuntimeError("this fixture is broken")

        async def test_set_up(broken): ...

        async def test_skip(fleet_car):
            pytest.skip("not today")

        @pytest.mark.xfail(strict=True)
        async def test_expected(fleet_car):
            await fleet_car.wait_for_event("engine_on")
    """)  # fmt: skip
    done.assert_outcomes(errors=1, skipped=1, xfailed=1)
    done.stdout.fnmatch_lines(["* fleet *", "*the last of VSS*", "*seed *; the journal is kept: *"])
    (kept,) = folders.iterdir()
    done.stdout.fnmatch_lines([f"*the journal is kept: {kept}/journal.jsonl"])


def test_a_session_forgets_the_worlds_of_its_tests(suite: pytest.Pytester) -> None:
    done = run(suite, """
        import gc
        import weakref

        worlds = []

        async def test_passes(fleet_car, fleet):
            worlds.append(weakref.ref(fleet))

        async def test_both_are_gone():
            gc.collect()
            assert [world() for world in worlds] == [None]
    """)  # fmt: skip
    done.assert_outcomes(passed=2)


def test_a_broken_rule_fails_the_test_itself(suite: pytest.Pytester) -> None:
    """Also one that expects a failure of another kind."""
    done = run(suite, """
        import pytest

        async def test_odometer(fleet_car):
            await fleet_car.drive(km=5)
            await fleet_car.switch_off()
            fleet_car.simulated.powertrain.odometer_m -= 3_000
            await fleet_car.switch_on()
            await fleet_car.switch_off()
            with pytest.raises(AssertionError):
                await fleet_car.wait_for_event("ecall")
    """)  # fmt: skip
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*InvariantBroken: a rule that must always hold is broken:*", "*odometer:*"])


def test_checks_can_be_left_out(suite: pytest.Pytester) -> None:
    done = run(suite, """
        import pytest

        @pytest.mark.fleet(checks=False)
        async def test_odometer(fleet_car):
            await fleet_car.drive(km=5)
            await fleet_car.switch_off()
            fleet_car.simulated.powertrain.odometer_m -= 3_000
            await fleet_car.switch_on()
            await fleet_car.switch_off()
    """)  # fmt: skip
    done.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("@pytest.mark.fleet(mode='vritual')\nasync def test(fleet): ...", "*unknown fleet mode 'vritual'*"),
        ("@pytest.mark.fleet(sede=1)\nasync def test(fleet): ...", "*unknown word of @pytest.mark.fleet 'sede'*"),
        ("@pytest.mark.fleet('virtual')\nasync def test(fleet): ...", "*takes words only*"),
        ("def test(fleet): ...", "*a test with cars is a coroutine*"),
        ("@pytest.mark.asyncio(loop_scope='module')\nasync def test(fleet): ...", "*runs in another event loop than its cars*"),
        ("async def test(fleet):\n    car = await fleet.car()\n    car.drive(km=1)", "*drive(…) was not awaited*"),
        ("async def test(fleet):\n    await fleet.car('Leno')", "*unknown model 'Leno'*"),
        ("async def test(fleet):\n    await fleet.car(parking_heeter=True)", "*unknown equipment 'parking_heeter'*"),
        ("@pytest.fixture(scope='module')\ndef cars(fleet_car): ...\ndef test(cars): ...", "*ScopeMismatch*"),
    ],
)
def test_mistakes_are_told(suite: pytest.Pytester, source: str, told: str) -> None:
    done = run(suite, f"import pytest\n\n{source}\n")
    assert done.ret == 1
    done.stdout.fnmatch_lines([told])


@pytest.mark.parametrize(
    "options", [(), ("--fleet-mode", "live", "--fleet-broker", "mqtt://broker.example"), ("--fleet-mode", "live")], ids=" ".join
)
def test_a_broker_that_does_not_exist_is_told_wherever_the_test_runs(suite: pytest.Pytester, options: tuple[str, ...]) -> None:
    """Also where it would not be used: in virtual time, beside a broker of the user's, or when a nearer mark says otherwise."""
    done = run(suite, """
        import pytest

        pytestmark = pytest.mark.fleet(broker="mutual-tls")

        async def test_fleet(fleet): ...

        def test_broker(fleet_broker): ...

        @pytest.mark.fleet(broker="own")
        async def test_car(fleet_car): ...
    """, *options)  # fmt: skip
    done.assert_outcomes(errors=3)
    done.stdout.fnmatch_lines(["E * unknown kind of broker 'mutual-tls'", "E * Did you mean 'mutual_tls'?"] * 3)


def test_a_shared_broker_is_one_of_those_there_are(suite: pytest.Pytester) -> None:
    done = run(suite, """
        def test_shared(fleet_brokers):
            fleet_brokers.shared("own")
    """, "--fleet-broker", "mqtt://broker.example")  # fmt: skip
    done.stdout.fnmatch_lines(
        [
            "E * unknown kind of shared broker 'own'",
            "E * Known: embedded, embedded_mutual_tls, embedded_tls, mutual_tls, plain, tls.",
        ]
    )


def test_a_mistake_comes_with_what_to_write_instead(suite: pytest.Pytester) -> None:
    """In the set-up, in the test and at its end."""
    done = run(suite, """
        import pytest

        @pytest.mark.fleet(sede=1)
        async def test_mark(fleet): ...

        async def test_field(fleet_car):
            await fleet_car.wait_for_status(fuel_levl_percent=1)

        async def test_await(fleet):
            fleet.eventually(len)
    """)  # fmt: skip
    done.stdout.fnmatch_lines(["E   *seed*", "E   *fuel_level_percent*", "E   *await eventually(…)*"])


def test_a_journal_that_was_lost_does_not_hide_what_failed(suite: pytest.Pytester) -> None:
    done = run(suite, """
        async def test_lost(fleet_car, fleet_journal):
            fleet_journal.unlink()
            assert fleet_car.state == "driving"

        async def test_expected(fleet_car, fleet_journal):
            fleet_journal.unlink()
            await fleet_car.wait_for_event("engine_on")
    """)  # fmt: skip
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines(["*the journal cannot be read: *", "*no event engine_on of VSS*", "*the journal cannot be read: *"])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"seed": "x"}, "the seed is 'x'"),
        ({"start": "2026-03-02"}, "the start is '2026-03-02'"),
        ({"start": 10**19}, "the start is 10000000000000000000"),
        ({"backend": "proces"}, "unknown kind of back end 'proces'"),
    ],
)
def test_a_world_is_what_can_be(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        virtual_world(**settings)


async def test_hints_are_shown_without_pytest_too() -> None:
    with pytest.raises(UnknownName) as raised:
        async with virtual_world() as world:
            await world.car("Leno")
    assert "Leon" in "".join(traceback.format_exception_only(raised.value))


def test_a_world_that_cannot_be_made_leaves_nothing(folders: Path) -> None:
    with pytest.raises(UsageError, match="needs a real broker"):
        asyncio.run(virtual_world(backend="process").__aenter__())
    assert list(folders.iterdir()) == []


async def test_a_world_whose_broker_does_not_answer_is_closed(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worlds = set[World]()

    def is_connected(world: World) -> bool:
        worlds.add(world)
        return False

    monkeypatch.setattr(World, "is_connected", is_connected)
    with pytest.raises(UsageError, match="does not answer"):
        async with virtual_world():
            raise AssertionError("nobody is connected")
    with pytest.raises(UsageError, match="is over"):
        worlds.pop().must_be_open()
    assert not any(folders.iterdir())  # noqa: ASYNC240  it is there at once


def test_who_uses_no_cars_imports_none(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_nothing():
            assert [name for name in sys.modules if name.startswith("fleet.")] == ["fleet.harness", "fleet.harness.plugin"]
    """)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_who_has_no_asyncio_in_tests_does_not_get_it_from_here() -> None:
    program = "import sys; sys.modules['pytest_asyncio'] = None; import fleet.harness.plugin; sys.exit('asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_without_pytest_the_same_is_a_context_manager(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import asyncio\n"
        "from fleet.harness import virtual_world\n"
        "async def main():\n"
        "    async with virtual_world(seed=3) as world:\n"
        "        car = await world.car()\n"
        "        await world.user.lock(car).succeeds()\n"
        "        state = car.state\n"
        "    print(state)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "parked"


def test_cars_live_in_the_region_that_the_mark_names(suite: pytest.Pytester) -> None:
    """A shipped one, or a file beside the test; the car stands in its middle. A broken file is told with its place."""
    suite.path.joinpath("malmo.yaml").write_text(REGION, encoding="utf-8")
    suite.path.joinpath("broken.yaml").write_text(REGION.replace("errand", "erand"), encoding="utf-8")
    done = run(suite, """
        import pytest

        @pytest.mark.fleet(region="malmo.yaml")
        async def test_own(fleet_car):
            region = fleet_car.simulated.driver.region
            assert (region.name, region.timezone) == ("malmo", "Europe/Stockholm")
            assert fleet_car.simulated.fix.latitude == pytest.approx(55.605, abs=0.01)

        @pytest.mark.fleet(region="stockholm")
        async def test_shipped(fleet_car):
            assert fleet_car.simulated.driver.region.country == "SE"
            assert fleet_car.simulated.fix.latitude == pytest.approx(59.353, abs=0.01)

        @pytest.mark.fleet(region="broken.yaml")
        async def test_broken(fleet_car):
            pass

        @pytest.mark.fleet(region="stokholm")
        async def test_misspelt(fleet_car):
            pass
    """)  # fmt: skip
    done.assert_outcomes(passed=2, errors=2)
    done.stdout.fnmatch_lines(
        ["*broken.yaml:5:12: places[[]0[]].kind: 'erand' is not one of home, *", "*Did you mean 'stockholm'?*"]
    )


@pytest.mark.live
@pytest.mark.parametrize(("kind", "is_told"), [("plain", True), ("embedded", False)])
def test_without_a_mosquitto_it_says_where_the_cars_were(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, kind: str, is_told: bool
) -> None:
    """In one line at the end, unless that is what was asked for; the tests run all the same."""
    monkeypatch.setattr(broker, "has_mosquitto", lambda: False)
    done = run(suite, f"""
        import pytest

        @pytest.mark.fleet(broker="{kind}")
        async def test_switch_on(fleet_car):
            await fleet_car.switch_on()
    """, "--fleet-mode", "live")  # fmt: skip
    done.assert_outcomes(passed=1)
    assert ("the cars were on the embedded broker" in done.stdout.str()) is is_told
