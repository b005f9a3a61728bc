"""Region files: what is wrong in one is told with its place, all at once, and a right one travels with its scenario."""

# ruff: noqa: E501 - a table of cases reads best with one case in a line

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import RegionError, UnknownName, UsageError
from fleet.runtime.assembly import build_cars, vocabulary
from fleet.scenario.json_schema import region_schema
from fleet.scenario.loader import check, load_text
from fleet.scenario.region_files import load_region
from fleet.scenario.resolved import decode, encode, from_plain, to_plain
from fleet.scenario.summary import summary
from fleet.vehicle.geo import distance_m
from fleet.vehicle.place_region import RegionFile
from fleet.vehicle.regions import load_region_files
from tests.scenario.samples import REGION as GOOD
from tests.scenario.test_guide import misfits

SCENARIO = """\
scenario: abroad
purpose: Lives in a region of its own.
seed: 7
start: 2026-03-02T05:00
duration: 17 h
region: my/malmo.yaml
fleets:
  - {name: there, count: 3, models: {Leon: 1}}
  - {name: elsewhere, count: 2, models: {Leon: 1}, region: stockholm}
"""
BROKEN = [
    ("region: malmo", "region: my malmo", "1:9: region: 'my malmo' is no name: letters, digits, '-' and '_' are expected, at most 64", ""),
    ("country: SE", "country: SV", "2:10: country: unknown country 'SV'", None),
    ("country: SE\n", "", "1:1: the key 'country' is missing", ""),
    ("country:", "contry:", "2:1: unknown key 'contry'", "Did you mean 'country'?"),
    ("timezone:", "timezon:", "3:1: unknown key 'timezon'", "Did you mean 'timezone'?"),
    ("Europe/Stockholm", "Europe/Stokholm", "3:11: timezone: unknown time zone 'Europe/Stokholm'", "Did you mean 'Europe/Stockholm'?"),
    ("kind: errand", "kind: erand", "5:12: places[0].kind: 'erand' is not one of home, work, errand, delivery, petrol_station, charging_station", "Did you mean 'errand'?"),
    ("latitude: 55.6050", "latitude: 155.6", "5:30: places[0].latitude: 155.6 is out of range: -90 to 90 degrees are expected", ""),
    ("longitude: 13.0038", "longitude: east", "5:50: places[0].longitude: a number is expected, not 'east'", ""),
    (", longitude: 13.0038", "", "5:5: places[0]: the key 'longitude' is missing", ""),
    ("weight: 3", "weight: 0", "6:65: places[1].weight: 0 is no weight: a number above 0 is expected", ""),
    ("weight: 3", "wieght: 3", "6:57: places[1]: unknown key 'wieght'", "Did you mean 'weight'?"),
    ("spread_m: 800", "spread_m: 800 m", "6:78: places[1].spread_m: a number is expected, not '800 m'", ""),
    ("spread_m: 800", "spread_m: -1", "6:78: places[1].spread_m: -1 is out of range: 0 to 10000 metres are expected", ""),
    ("55.7047", "57.7047", "7:5: places[2]: it is 234 km from the first place, the middle: at most 95 km are expected", None),
    ("mean_c: 9.0", "mean_c: 90", "9:19: climate.mean_c: 90 is out of range: -40 to 40 °C are expected", ""),
    ("north: 69.5", "north: 54", "10:40: maps.north: 'north' is not beyond 'south', 55", ""),
    ("source:", "country: NO\nsource:", "11:1: the key 'country' comes twice, first in line 2", ""),
]  # fmt: skip


def files(folder: Path, region: str = GOOD) -> str:
    (folder / "my").mkdir(exist_ok=True)
    (folder / "my" / "malmo.yaml").write_text(region, encoding="utf-8")
    return str(folder / "abroad.yaml")


@pytest.mark.parametrize(("right", "wrong", "error", "hint"), BROKEN)
def test_a_broken_file_says_where_and_what_was_expected(
    right: str, wrong: str, error: str, hint: str | None, tmp_path: Path
) -> None:
    """One mistake gives one error, in the region file, with line, column and the nearest right name."""
    assert right in GOOD
    found = check(SCENARIO, files(tmp_path, GOOD.replace(right, wrong, 1)), vocabulary())
    assert str(found[0]) == f"{tmp_path}/my/malmo.yaml:{error}"
    assert len(found) == 1
    assert hint is None or found[0].hint == hint


def test_what_is_wrong_with_the_whole_is_told_too(tmp_path: Path) -> None:
    """Nobody at home, places next to each other, and places outside of the maps."""

    def first(text: str) -> str:
        return str(check(SCENARIO, files(tmp_path, text), vocabulary())[0]).removeprefix(f"{tmp_path}/my/malmo.yaml:")

    assert first(GOOD.replace("kind: home", "kind: work")) == (
        "5:3: places: nobody lives here: at least one place of the kind 'home' is expected"
    )
    assert first(
        GOOD.replace("55.7047, longitude: 13.1910", "55.6050, longitude: 13.0039").replace(
            "55.5760, longitude: 13.0400", "55.5901, longitude: 12.9800"
        )
    ) == ("5:3: places: at least three places are expected that lie 1 km or more from each other")
    assert (
        first(GOOD.replace("west: 10.5", "west: 13.1"))
        == "5:5: places[0]: it is outside of 'maps', the area that the cars have maps of"
    )
    assert first("") == "1:1: the file is empty: a region is expected"
    assert first("region: [\n").startswith("2:1: no YAML:")


def test_all_errors_of_both_files_come_at_once(tmp_path: Path) -> None:
    """Those of the scenario first, and a file that two fleets name is told of once."""
    broken = GOOD.replace("kind: errand", "kind: erand").replace("Stockholm", "Stokholm")
    text = SCENARIO.replace("Leon: 1}}", "Loen: 1}}").replace("region: stockholm", "region: my/malmo.yaml")
    found = [str(error).removeprefix(f"{tmp_path}/") for error in check(text, files(tmp_path, broken), vocabulary())]
    assert [each.partition(" ")[0] for each in found] == ["abroad.yaml:8:38:", "my/malmo.yaml:3:11:", "my/malmo.yaml:5:12:"]


def test_a_file_that_is_not_there_is_told_at_its_name(tmp_path: Path) -> None:
    """And so is what is no name at all; a region that is not shipped is answered with the nearest that is."""
    (found,) = check(SCENARIO, str(tmp_path / "abroad.yaml"), vocabulary())
    assert str(found) == f"{tmp_path}/abroad.yaml:6:9: region: {tmp_path}/my/malmo.yaml: there is no such file"
    assert found.hint == "A path is relative to the file it stands in."
    (found,) = check(SCENARIO.replace("my/malmo.yaml", "{zone: 1}"), str(tmp_path / "abroad.yaml"), vocabulary())
    assert str(found).endswith("6:9: region: the name of a region, or the path of a region file, is expected, not a mapping")
    (found,) = check(SCENARIO.replace("my/malmo.yaml", "stokholm"), str(tmp_path / "abroad.yaml"), vocabulary())
    assert found.hint == "Did you mean 'stockholm'?"


def test_a_file_that_is_no_text_is_told_with_its_place(tmp_path: Path) -> None:
    file = files(tmp_path)
    (tmp_path / "my" / "malmo.yaml").write_bytes(b"region: malm\xf6\n")
    (found,) = check(SCENARIO, file, vocabulary())
    assert str(found) == f"{tmp_path}/my/malmo.yaml:1:13: byte 0xF6 is not UTF-8"


def test_the_region_travels_with_its_scenario(tmp_path: Path) -> None:
    """Into another process and a journal, without the file; its cars live where it says, at its hours."""
    scenario = load_text(SCENARIO, files(tmp_path), vocabulary())
    (tmp_path / "my" / "malmo.yaml").unlink()
    for there in (decode(encode(scenario)), from_plain(json.loads(json.dumps(to_plain(scenario))))):
        assert there == scenario
        start = vocabulary().start_of(there)
        cars = build_cars(there, start=start, boot=1)
        assert [distance_m(55.605, 13.0038, *car.driver.home.position) < 10_000 for car in cars] == [True] * 3 + [False] * 2
        assert {str(car.driver.region.zone) for car in cars} == {"Europe/Stockholm"}
        assert {car.registered_in for car in cars} == {"SE"}
    assert "region malmo: 1 × errand, 2 × home, 1 × work in SE, Europe/Stockholm" in summary(scenario, vocabulary())


def test_a_path_is_relative_to_the_file_it_stands_in(tmp_path: Path) -> None:
    """That of an imported fleet to the imported file; a parameter names one, too."""
    file = files(tmp_path)
    (tmp_path / "my" / "fleets.yaml").write_text("fleets:\n  - {name: a, count: 1, models: {Leon: 1}, region: ./malmo.yaml}\n")
    text = SCENARIO.replace("region: my/malmo.yaml", "region: ${where}\nparameters: {where: munich}\nimports: [my/fleets.yaml]")
    scenario = load_text(text, file, vocabulary())
    assert scenario.region == "munich"
    assert [each.region for each in scenario.own_regions()] == ["malmo"]
    assert check(text, file, vocabulary(), {"where": "my/malmo.yaml"}) == []


def test_a_test_names_a_file_or_a_shipped_region(tmp_path: Path) -> None:
    """As the mark of a test does: the first of a file's errors is raised, with how many more there are."""
    files(tmp_path, GOOD.replace("kind: errand", "kind: erand").replace("Stockholm", "Stokholm"))
    with pytest.raises(RegionError, match="unknown time zone") as caught:
        load_region("my/malmo.yaml", tmp_path, vocabulary())
    assert (
        caught.value.hint == "Did you mean 'Europe/Stockholm'? And 1 more: name my/malmo.yaml in a scenario, and fleet check it"
    )
    assert load_region("stockholm", tmp_path, vocabulary()) == "stockholm"
    with pytest.raises(UnknownName):
        load_region("malmo", tmp_path, vocabulary())
    with pytest.raises(UsageError, match="no such file"):
        load_region("malmo.yaml", tmp_path, vocabulary())


@pytest.mark.parametrize("name", sorted(load_region_files()))
def test_a_shipped_city_is_a_right_region_file(name: str, tmp_path: Path) -> None:
    """It can be copied and changed: it passes the checks of a user's own, and the schema has all of it."""
    text = json.dumps(msgspec.to_builtins(load_region_files()[name]), ensure_ascii=False)
    (tmp_path / "mine.json").write_text(text, encoding="utf-8")
    assert load_region("mine.json", tmp_path, vocabulary()) == load_region_files()[name]
    written = {key: value for key, value in json.loads(text).items() if value is not None}
    assert list(misfits(written, region_schema(), "")) == []
    assert list(misfits({**written, "zone": 1}, region_schema(), "")) == [".zone"]


LINES = GOOD.splitlines(keepends=True)
JUNK = st.sampled_from(
    ["", "x", "[", "{a: 1}", "-1", "1e400", ".nan", "999", "~", "\t", "'", "&a", "*a", "é", "${p}", "home", "0"]
)


@given(data=st.data())
def test_whatever_is_planted_is_told_with_its_place(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A planted word, a lost line or a doubled one: the file is still right, or each error has a place inside one of the two files."""
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(lines) - 1))
        match data.draw(st.sampled_from(["word", "lose", "double"])):
            case "lose":
                lines[number] = "\n"
            case "double":
                lines[number] *= 2
            case _:
                words = lines[number].split(" ")
                words[data.draw(st.integers(0, len(words) - 1))] = data.draw(JUNK)
                lines[number] = " ".join(words)
    text = "".join(lines)
    folder = tmp_path_factory.mktemp("planted", numbered=True)
    found = check(SCENARIO, files(folder, text), vocabulary())
    for error in found:
        assert error.file in (str(folder / "my" / "malmo.yaml"), str(folder / "abroad.yaml"))
        assert 1 <= error.line <= text.count("\n") + 2
        assert error.column >= 1
    if not found:
        scenario = load_text(SCENARIO, str(folder / "abroad.yaml"), vocabulary())
        assert isinstance(scenario.region, RegionFile)
        assert len(build_cars(scenario, start=vocabulary().start_of(scenario), boot=1)) == 5
