"""Scenario files: found, read with every error at its place, overridden and scaled."""

# ruff: noqa: E501 - a table of cases reads best with one case in a line

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import ScenarioError, UnknownName, UsageError
from fleet.kernel.instants import HOUR
from fleet.scenario.loader import Overrides, check, find_scenario, load, override, parse, scale, shipped
from fleet.scenario.text import read_text
from tests.scenario.samples import GOOD, VOCABULARY


def errors_of(text: str) -> list[str]:
    return [str(error) for error in check(text, "f.yaml", VOCABULARY)]


def test_a_right_file_is_read_whole() -> None:
    """Every element arrives in its type."""
    scenario = parse(GOOD, "f.yaml", VOCABULARY)
    assert (scenario.scenario, scenario.seed, scenario.duration, scenario.clock) == ("small", 7, 17 * HOUR, 1800.0)
    assert scenario.cars == 40
    commuters, parked = scenario.fleets
    assert commuters.energies == {"Leon": {"petrol": 1, "diesel": 3}}
    assert commuters.coverage.garages == 0.06
    assert commuters.equipment == {"parking_heater": True}
    assert (scenario.region_of(commuters), scenario.region_of(parked)) == ("munich", "lisbon")
    assert parked.places is not None
    assert parked.places.parked_at.spread == 300.0
    honk, heater = scenario.commands
    assert honk.distance is not None
    assert (honk.distance.low_m, honk.distance.high_m) == (0.0, 900.0)
    assert heater.parameters["minutes"].choices == (10, 30, 60)
    assert [str(expectation) for expectation in scenario.expectations] == ["lost == 0", "commands.rejected.too_far >= 1"]


def test_json_is_yaml() -> None:
    """A program may write a scenario as JSON."""
    text = '{"scenario": "j", "purpose": "p", "seed": 1, "start": "2026-03-02T05:00", "duration": "1 h", "region": "munich", '
    text += '"fleets": [{"name": "a", "count": 1, "models": {"Born": 1}}]}'
    assert parse(text, "f.json", VOCABULARY).clock == 1.0


def test_no_is_a_word() -> None:
    """YAML 1.2: a fleet may be called no."""
    assert parse(GOOD.replace("name: parked", "name: no"), "f.yaml", VOCABULARY).fleets[1].name == "no"


BROKEN = [
    ("seed: 7\n", "", "1:1: the key 'seed' is missing", ""),
    ("duration: 17 h", "duration: 10",
     "5:11: duration: 10 has no unit: a duration such as '10 min' or '1 h 30 min' is expected", "Did you mean '10 min'?"),
    ("duration: 17 h", "duration: 0 s", "5:11: duration: a duration above 0 and at most 3660 days is expected", ""),
    ("duration: 17 h\n", "", "1:1: the key 'duration' is missing: a duration such as '10 min' or '1 h 30 min' is expected", ""),
    ("seed: 7", "sed: 7", "3:1: unknown key 'sed'", "Did you mean 'seed'?"),
    ("seed: 7", "seed: seven", "3:7: seed: a whole number is expected, not 'seven'", ""),
    ("seed: 7", "seed: -1", "3:7: seed: -1 is out of range: a whole number from 0 to 2^63 - 1 is expected", ""),
    ("seed: 7", "seed: 7\nseed: 8", "4:1: the key 'seed' comes twice, first in line 3", ""),
    ("purpose: Shows every element once.", "purpose:", "2:1: purpose: a text is expected, not nothing", ""),
    ("scenario: small", "scenario: a b", "1:11: scenario: 'a b' is no name: letters, digits, '-' and '_' are expected, at most 64", ""),
    ("start: 2026-03-02T05:00", "start: 2026-03-29T02:30",
     "4:8: start: 2026-03-29T02:30 does not exist in Europe/Berlin: the clocks are put forward over it", ""),
    ("clock: x1800", "clock: fast", "6:8: clock: 'real', 'virtual', or 'x60' for sixty scenario seconds a second (x0.001 to x100000) is expected, not 'fast'", ""),
    ("region: munich", "region: munch", "7:9: region: unknown region 'munch'", "Did you mean 'munich'?"),
    ("count: 30", "count: 0", "10:12: fleets[0].count: 0 cars are no fleet: a whole number above 0 is expected", ""),
    ("count: 30", "count: 2.5", "10:12: fleets[0].count: a whole number is expected, not 2.5", ""),
    ("count: 30", "count: yes", "10:12: fleets[0].count: a whole number is expected, not 'yes'", ""),
    ("count: 30", "count: 2000000", "9:3: fleets: 2000010 cars are too many: at most 1000000 are expected", ""),
    ("    count: 30\n", "", "9:5: fleets[0]: the key 'count' is missing", ""),
    ("count: 30", "cuont: 30", "10:5: fleets[0]: unknown key 'cuont'", "Did you mean 'count'?"),
    ("models: {Born: 1, Leon: 2}", "models: {bron: 1, Leon: 2}", "11:14: fleets[0].models.bron: unknown model 'bron'", "Did you mean 'Born'?"),
    ("models: {Born: 1, Leon: 2}", "models: {Born: -1, Leon: 2}", "11:20: fleets[0].models.Born: -1 is no weight: a number above 0 is expected", ""),
    ("models: {Leon: 1}", "models: {}", "18:13: fleets[1].models: no model is named: at least one, such as {Born: 1}, is expected", ""),
    ("models: {Leon: 1}", "models: Leon", "18:13: fleets[1].models: a mapping (key: value) is expected, not 'Leon'", ""),
    ("petrol: 1, diesel: 3", "petrool: 1", "12:23: fleets[0].energies.Leon.petrool: unknown energy of Leon 'petrool'", "Did you mean 'petrol'?"),
    ("energies: {Leon:", "energies: {Ateca:", "12:16: fleets[0].energies.Ateca: this fleet has no 'Ateca' among its models", None),
    ("profile: commuter", "profile: comuter", "13:14: fleets[0].profile: unknown profile 'comuter'", "Did you mean 'commuter'?"),
    ("garages: 6 %", "garages: 6",
     "14:25: fleets[0].coverage.garages: 6 is not between 0 and 1: a share such as '6 %' or 0.06 is expected", "Did you mean '6 %'?"),
    ("{parking_heater: true}", "{parkingheater: true}", "15:17: fleets[0].equipment.parkingheater: unknown equipment 'parkingheater'",
     "Did you mean 'parking_heater'?"),
    ("{parking_heater: true}", "{parking_heater: no}", "15:33: fleets[0].equipment.parking_heater: true or false is expected, not 'no'", ""),
    ("{parking_heater: true}", "{media: navi}", "15:24: fleets[0].equipment.media: 'navi' is not one of media_system, navi_system", None),
    ("{parking_heater: true}", "{media: [navi]}", "15:24: fleets[0].equipment.media: a word, a number, true or false is expected, not a list", ""),
    ("name: parked", "name: commuters", "16:11: fleets[1].name: there are two fleets named 'commuters'", ""),
    ("latitude: 48.1", "latitude: 148.1", "21:36: fleets[1].places.parked_at.latitude: 148.1 is out of range: -90 to 90 degrees are expected", ""),
    ("name: honk", "name: honks", "23:11: commands[0].name: unknown command 'honks'", "Did you mean 'honk'?"),
    ("    rate: 120 per hour\n", "", "23:5: commands[0]: honk lacks 'rate' or 'count', which say how many", "Such as 'rate: 120 per hour'."),
    ("rate: 120 per hour", "rate: 120", "24:11: commands[0].rate: a rate such as '120 per hour', '2 per s' or '3 per day per car' is expected, not 120", ""),
    ("rate: 120 per hour", "rate: 1 per s\n    count: 5", "25:5: commands[0].count: 'rate' and 'count' exclude each other: one of them is expected", ""),
    ("during: 06:00-09:00", "during: 02:00-04:00", "25:13: commands[0].during: 02:00-04:00 never comes in a run from 2026-03-02T05:00 for 17 h", ""),
    ("mode: flash", "mode: flsh", "26:24: commands[0].parameters.mode: 'flsh' is not one of flash, honk_and_flash", "Did you mean 'flash'?"),
    ("mode: flash", "mood: flash", "26:18: commands[0].parameters.mood: honk has no parameter 'mood'", "Did you mean 'mode'?"),
    ("mode: flash", "latitude: 48", "26:18: commands[0].parameters.latitude: where the user stands comes from 'distance', not from 'latitude'", ""),
    ("    distance: {from: 0 m, to: 900 m}\n", "", "23:5: commands[0]: honk lacks 'distance': how far the user stands from the car", None),
    ("to: 900 m", "to: 900", "27:31: commands[0].distance.to: 900 has no unit: a distance such as '400 m' or '1.5 km' is expected", "Did you mean '900 m'?"),
    ("{from: 0 m, to: 900 m}", "{from: 0 m, from: 900 m, to: 1 km}", "27:27: commands[0].distance: the key 'from' comes twice, first in line 27", ""),
    ("minutes: [10, 30, 60]", "minutes: [10, half, 60]", "32:32: commands[1].parameters.minutes[1]: a whole number is expected, not 'half'", ""),
    ("fleet: commuters", "fleet: comuters", "30:12: commands[1].fleet: unknown fleet 'comuters'", "Did you mean 'commuters'?"),
    ("30 min", "8 days", "31:19: commands[1].time_to_live: 8 days is out of range: 1 s to 7 days is expected", ""),
    ("30 min", "30", "31:19: commands[1].time_to_live: 30 has no unit: a duration such as '10 min' or '1 h 30 min' is expected", None),
    ("count: 20", "count: 20\n    distance: 5 m", "30:5: commands[1].distance: heater does not say where the user stands", ""),
    ("during: 06:00-09:00", "spin: right", "25:5: commands[0].spin: honk needs no S-PIN", ""),
    ("wrong: 5 %", "wrong: 6 %", "33:11: commands[1].spin: the shares add up to 101 %: 100 % is expected", ""),
    ("lost == 0", "losst == 0", "35:5: expectations[0]: the report has no 'losst'", "Did you mean 'lost'?"),
    ("too_far >= 1", "to_far >= 1", "36:5: expectations[1]: unknown reason 'to_far'", "Did you mean 'too_far'?"),
    ("  - lost == 0", "  - lost: 0", "35:5: expectations[0]: an expectation such as 'lost == 0' or 'commands.succeeded / commands.total >= 90 %' is expected, not a mapping", ""),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "error", "hint"), BROKEN)
def test_a_broken_file_says_where_and_what_was_expected(right: str, wrong: str, error: str, hint: str | None) -> None:
    """One mistake gives one error, with line, column and the nearest right name."""
    assert right in GOOD
    (found,) = check(GOOD.replace(right, wrong, 1), "f.yaml", VOCABULARY)
    assert str(found) == f"f.yaml:{error}"
    assert hint is None or found.hint == hint


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "1:1: the file is empty: a scenario is expected"),
        ("# only a comment\n", "1:1: the file is empty: a scenario is expected"),
        ("- a\n", "1:1: a mapping (key: value) is expected, not a list"),
        ("words\n", "1:1: a mapping (key: value) is expected, not 'words'"),
        ("scenario:\n\tname: x\n", "2:1: no YAML: a tab cannot indent"),
        ("scenario: [1,\n", "2:1: no YAML: expected the node content, but found '<stream end>'"),
        ("scenario: *other\n", "1:11: no YAML: found undefined alias 'other'"),
        ("scenario: %x\n", "1:11: no YAML: found character '%' that cannot start any token"),
        ("purpose: a: b\n", "1:11: no YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 2\n", "2:1: no YAML: a second document begins: one scenario in a file is expected"),
        ("a: 1\nb: \x01\n", "2:4: the character U+0001 is not allowed"),
        ("[" * 990, "1:1: no YAML: nested too deeply"),
    ],
)
def test_what_is_no_scenario_at_all(text: str, error: str) -> None:
    """YAML's own errors come in the same form, with a place."""
    assert errors_of(text)[0] == f"f.yaml:{error}"


def test_all_errors_come_in_one_pass() -> None:
    """What is wrong in one place hides nothing elsewhere; the first is what `parse` raises."""
    text = GOOD.replace("17 h", "10").replace("Born: 1", "bron: 1").replace("6 %", "6").replace("mode: flash", "mode: flsh")
    text = text.replace("lost == 0", "losst == 0")
    assert [error.split(":")[1] for error in errors_of(text)] == ["5", "11", "14", "26", "35"]
    with pytest.raises(ScenarioError, match=r"f\.yaml:5:11: duration") as caught:
        parse(text, "f.yaml", VOCABULARY)
    assert (caught.value.line, caught.value.column) == (5, 11)


def test_a_number_beyond_what_a_message_carries_is_no_whole_one() -> None:
    """So it is refused where it stands in the file, and not in the midst of the run."""
    wrong = errors_of(GOOD.replace("minutes: [10, 30, 60]", f"minutes: {'9' * 30}"))
    assert [error.partition(": ")[2] for error in wrong] == [
        "commands[1].parameters.minutes: a whole number is expected, not 1e+30"
    ]
    assert (
        "fleets[0].count: a whole number is expected, not 1e+30" in errors_of(GOOD.replace("count: 30", f"count: {'9' * 30}"))[0]
    )


def test_aliases_that_turn_in_circles_end() -> None:
    """A list that contains itself is an error like any other."""
    assert errors_of("fleets: &a [*a]\ncommands: *a\n")
    assert errors_of(GOOD.replace("mode: flash", "mode: &a [*a]"))


@given(st.text(max_size=200))
def test_any_text_gives_errors_and_never_a_crash(text: str) -> None:
    """Whatever the file holds, the answer is a list of errors."""
    assert errors_of(text)


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(list("\t:-{}[]%*&!|>'\"#,x0 \n")))
def test_any_broken_character_gives_errors_or_a_scenario(position: int, character: str) -> None:
    """One wrong character never crashes the reader."""
    text = GOOD[:position] + character + GOOD[position + 1 :]
    if not errors_of(text):
        assert parse(text, "f.yaml", VOCABULARY).cars > 0


# --- files ------------------------------------------------------------------------------------------------------


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a directory, not UTF-8, too large: each in words."""
    with pytest.raises(UsageError, match="there is no such file"):
        read_text(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="is a directory"):
        read_text(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("purpose: ü\nname: Köln".encode("latin-1"))
    with pytest.raises(ScenarioError, match=r"latin\.yaml:1:10: byte 0xFC is not UTF-8") as caught:
        read_text(latin)
    assert caught.value.hint == "Save the file as UTF-8."
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 4_000_001)
    with pytest.raises(UsageError, match="is larger than 4 MB"):
        read_text(large)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    path = tmp_path / "bom.yaml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert load(path, VOCABULARY).scenario == "small"


def test_scenarios_are_found_by_name_and_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is one of the shipped ones; what looks like a path is a path."""
    directory = tmp_path / "shipped"
    directory.mkdir()
    (directory / "rush-hour.yaml").write_text(GOOD)
    own = tmp_path / "own"
    own.write_text(GOOD)
    assert find_scenario("rush-hour", directory) == directory / "rush-hour.yaml"
    assert find_scenario(str(directory / "rush-hour.yaml"), directory) == directory / "rush-hour.yaml"
    monkeypatch.chdir(tmp_path)
    assert find_scenario("own", directory) == Path("own")
    with pytest.raises(UnknownName) as caught:
        find_scenario("rush-huor", directory)
    assert (str(caught.value), caught.value.hint) == ("unknown scenario 'rush-huor'", "Did you mean 'rush-hour'?")
    with pytest.raises(UsageError, match="there is no such file") as missing:
        find_scenario("nowhere/x.yaml", directory)
    assert missing.value.hint == "Shipped scenarios: rush-hour."
    with pytest.raises(UsageError, match="is a directory"):
        find_scenario(str(directory), directory)


def test_shipped_scenarios_are_listed(tmp_path: Path) -> None:
    """By name, with purpose, cars and duration."""
    (tmp_path / "b.yaml").write_text(GOOD)
    (tmp_path / "a.yaml").write_text(GOOD.replace("purpose: Shows", "purpose: >\n  Also\n  shows"))
    listed = shipped(tmp_path, VOCABULARY)
    assert [(line.name, line.purpose, line.cars, line.duration_us) for line in listed] == [
        ("a", "Also shows every element once.", 40, 17 * HOUR),
        ("b", "Shows every element once.", 40, 17 * HOUR),
    ]
    assert shipped(tmp_path / "none", VOCABULARY) == []


# --- overrides --------------------------------------------------------------------------------------------------


def test_overrides_change_only_what_they_name(tmp_path: Path) -> None:
    """--cars scales all fleets, --seed and --clock replace."""
    path = tmp_path / "f.yaml"
    path.write_text(GOOD)
    scenario = load(path, VOCABULARY, Overrides(cars=8, seed=99, clock=60))
    assert [fleet.count for fleet in scenario.fleets] == [6, 2]
    assert (scenario.seed, scenario.clock, str(scenario.clock)) == (99, 60.0, "x60")
    assert load(path, VOCABULARY, Overrides()) == load(path, VOCABULARY)


def test_overrides_that_cannot_be_met() -> None:
    """Fewer cars than fleets, or a seed that is none."""
    scenario = parse(GOOD, "f.yaml", VOCABULARY)
    with pytest.raises(UsageError, match="1 cars are too few for 2 fleets"):
        override(scenario, Overrides(cars=1))
    with pytest.raises(UsageError, match="the seed -1 is out of range"):
        override(scenario, Overrides(seed=-1))


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=12), st.integers(0, 5_000))
def test_scaling_is_exact_and_loses_no_fleet(counts: list[int], extra: int) -> None:
    """The sum is what was asked for, every fleet keeps a car, and larger fleets stay the larger ones."""
    total = len(counts) + extra
    scaled = scale(counts, total)
    assert sum(scaled) == total
    assert min(scaled) >= 1
    for one, other in zip(range(len(counts)), range(1, len(counts)), strict=False):
        if counts[one] > counts[other]:
            assert scaled[one] >= scaled[other]


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=8))
def test_scaling_to_the_same_number_changes_nothing(counts: list[int]) -> None:
    """Asking for what is there already is the identity."""
    assert scale(counts, sum(counts)) == counts
