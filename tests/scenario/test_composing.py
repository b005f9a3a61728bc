"""Imports and parameters: joined and put in before anything is read, and told of at the place where they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import ScenarioError, UnknownName, UsageError
from fleet.kernel.instants import MINUTE
from fleet.scenario.composing import IMPORTABLE
from fleet.scenario.loader import Overrides, check, load, read_settings
from tests.scenario.samples import VOCABULARY

HEAD = """\
scenario: main
purpose: Imports and parameters.
seed: 7
start: 2026-03-02T05:00
duration: 1 h
region: munich
"""


def write(folder: Path, **files: str) -> Path:
    """Write files (`common_cars` is common/cars.yaml) and return the main one."""
    for name, text in files.items():
        path = folder / f"{name.replace('_', '/')}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "main.yaml"


def errors(folder: Path, **files: str) -> list[str]:
    main = write(folder, **files)
    found = check(main.read_text(), str(main), VOCABULARY)
    return [str(error).replace(f"{folder}/", "") for error in found]


class TestImports:
    def test_lists_are_joined_and_the_imported_come_first(self, tmp_path: Path) -> None:
        """Fleets, commands and expectations of several files, one of which imports another, relative to itself."""
        main = write(
            tmp_path,
            main=HEAD + "imports: [common/cars.yaml, common/users.yaml]\nfleets: [{name: own, count: 2, models: {Leon: 1}}]\n",
            common_cars="fleets: [{name: shared, count: 3, models: {Born: 1}}]\nexpectations: [lost == 0]\n",
            common_users="imports: [more.yaml, cars.yaml]\ncommands: [{name: refresh, count: 3, fleet: shared}]\n",
            common_more="load: [{do: ask_status, rate: 1 per s}]\n",
        )
        scenario = load(main, VOCABULARY)
        assert [(fleet.name, fleet.count) for fleet in scenario.fleets] == [("shared", 3), ("own", 2)]
        assert [command.name for command in scenario.commands] == ["refresh"]
        assert len(scenario.load) == len(scenario.expectations) == 1

    def test_errors_stand_in_the_file_that_has_them(self, tmp_path: Path) -> None:
        """Those of the main file first; what is wrong between files is told where it is written."""
        assert errors(
            tmp_path,
            main=HEAD + "imports: [cars.yaml]\nfleets: [{name: shared, count: 0, models: {Leon: 1}}]\n",
            cars="fleets:\n  - {name: shared, count: 3, models: {Bron: 1}}\n"
            "  - {name: other, count: 1, models: {Born: 1}, coverage: x}\n"
            "stages: []\nload: 5\ncommands: [{name: refresh, count: 1, fleet: shred}]\n",
        ) == [
            "main.yaml:8:17: fleets[2].name: there are two fleets named 'shared'",
            "main.yaml:8:32: fleets[2].count: 0 cars are no fleet: a whole number above 0 is expected",
            "cars.yaml:2:39: fleets[0].models.Bron: unknown model 'Bron'",
            "cars.yaml:3:58: fleets[1].coverage: a mapping (key: value) is expected, not 'x'",
            "cars.yaml:4:1: 'stages' cannot be imported",
            "cars.yaml:5:7: load: a list is expected",
            "cars.yaml:6:45: commands[0].fleet: unknown fleet 'shred'",
        ]

    def test_a_circle_is_named_with_its_chain(self, tmp_path: Path) -> None:
        """At the import that closes it."""
        fleet = "fleets: [{name: own, count: 2, models: {Leon: 1}}]\n"
        assert errors(
            tmp_path, main=HEAD + fleet + "imports:\n  - a.yaml\n", a="imports: [b.yaml]\n", b="imports: [a.yaml]\n"
        ) == ["b.yaml:1:11: the imports turn in a circle: main.yaml → a.yaml → b.yaml → a.yaml"]

    def test_what_cannot_be_imported(self, tmp_path: Path) -> None:
        """A file that is not there is told at its name; one that is no YAML, or no mapping, at its own place."""
        fleet = "fleets: [{name: own, count: 2, models: {Leon: 1}}]\n"
        told = errors(
            tmp_path, main=HEAD + fleet + "imports: [nowhere.yaml, list.yaml, broken.yaml, 5]\n", list="- 5\n", broken="a: [\n"
        )
        assert told == [
            "main.yaml:8:11: nowhere.yaml: there is no such file",
            "main.yaml:8:49: imports[3]: a text is expected, not 5",
            f"list.yaml:1:1: an imported file is a mapping with {', '.join(IMPORTABLE)}",
            "broken.yaml:2:1: no YAML: expected the node content, but found '<stream end>'",
        ]

    def test_an_import_that_is_no_text(self, tmp_path: Path) -> None:
        """Told at its byte, beside the errors of the other files."""
        (tmp_path / "bytes.yaml").write_bytes(b"a: \xff\n")
        fleet = "fleets: [{name: own, count: 2, models: {Leon: 1}}]\n"
        told = errors(tmp_path, main=HEAD + fleet + "imports: [bytes.yaml]\nfoo: 1\n")
        assert len(told) == 2
        assert told[0].startswith("main.yaml:9:1: ")
        assert told[1] == "bytes.yaml:1:4: byte 0xFF is not UTF-8"


PARAMETERS = (
    HEAD.replace("1 h", "${length}")
    + """\
parameters:
  many: 12
  length: 30 min
  heated: true
fleets:
  - name: own
    count: ${many}
    models: {"Leon": 1}
    equipment: {parking_heater: "${heated}"}
load:
  - {do: ask_status, rate: "${many} per min"}
"""
)


class TestParameters:
    def test_alone_they_keep_their_type_and_within_a_text_they_are_part_of_it(self, tmp_path: Path) -> None:
        """Numbers, truths and texts, quoted or not."""
        scenario = load(write(tmp_path, main=PARAMETERS), VOCABULARY)
        assert (scenario.cars, scenario.duration) == (12, 30 * MINUTE)
        assert scenario.fleets[0].equipment == {"parking_heater": True}
        assert str(scenario.load[0].rate) == "12 per minute"

    def test_settings_replace_defaults_with_the_types_of_yaml(self, tmp_path: Path) -> None:
        """5000 is a number, false a truth, and 10 min a text; an imported default gives way to all."""
        imported = "parameters: {many: 99, born: 4}\nfleets: [{name: borns, count: '${born}', models: {Born: 1}}]\n"
        main = write(tmp_path, main=PARAMETERS + "imports: [cars.yaml]\n", cars=imported)
        settings = read_settings(["many=5000", "heated = false", "length=10 min"])
        scenario = load(main, VOCABULARY, Overrides(settings=settings))
        assert [fleet.count for fleet in scenario.fleets] == [4, 5000]
        assert scenario.fleets[1].equipment == {"parking_heater": False}
        assert scenario.duration == 10 * MINUTE
        assert [fleet.count for fleet in load(main, VOCABULARY, Overrides(settings={"born": "7"})).fleets] == [7, 12]

    def test_cars_are_all_cars_unless_there_is_such_a_parameter(self, tmp_path: Path) -> None:
        """`--set cars=N` is `--cars N`; a scenario may mean something else by it."""
        main = write(tmp_path, main=PARAMETERS)
        assert load(main, VOCABULARY, Overrides(settings={"cars": "30"})).cars == 30
        assert load(main, VOCABULARY, Overrides(settings={"cars": "30"}, cars=30)).cars == 30
        with pytest.raises(UsageError, match="contradict each other"):
            load(main, VOCABULARY, Overrides(settings={"cars": "30"}, cars=31))
        with pytest.raises(UsageError, match="a whole number above 0"):
            load(main, VOCABULARY, Overrides(settings={"cars": "many"}))
        own = write(tmp_path, main=PARAMETERS.replace("many", "cars"))
        scenario = load(own, VOCABULARY, Overrides(settings={"cars": "6"}))
        assert (scenario.cars, str(scenario.load[0].rate)) == (6, "6 per minute")

    def test_settings_that_set_nothing(self, tmp_path: Path) -> None:
        """Without a value, of a parameter that there is not, or no value at all."""
        main = write(tmp_path, main=PARAMETERS)
        for pair in ("many", "many=", "=5"):
            with pytest.raises(UsageError, match="sets nothing"):
                read_settings([pair])
        with pytest.raises(UnknownName) as caught:
            load(main, VOCABULARY, Overrides(settings={"manny": "5"}))
        assert caught.value.hint == "Did you mean 'many'?"
        with pytest.raises(UsageError, match="sets no value"):
            load(main, VOCABULARY, Overrides(settings={"many": "[1, 2]"}))
        with pytest.raises(ScenarioError, match=r"main.yaml:13:12: fleets\[0\].count: a whole number is expected, not 'few'"):
            load(main, VOCABULARY, Overrides(settings={"many": "few"}))

    def test_what_is_wrong_with_parameters(self, tmp_path: Path) -> None:
        """One that there is not, one that nobody uses, and one that YAML cannot see."""
        assert errors(
            tmp_path, main=PARAMETERS.replace("count: ${many}", "count: ${mny}").replace("  heated", "  cold: 1\n  heated")
        ) == [
            "main.yaml:10:3: the parameter 'cold' is nowhere used",
            "main.yaml:14:12: there is no parameter 'mny'",
            "main.yaml:14:12: fleets[0].count: a whole number is expected, not '${mny}'",
        ]
        nested = errors(tmp_path, main=PARAMETERS.replace("length: 30 min", 'length: "${many} min"'))
        assert "main.yaml:9:11: parameters.length: a default is a plain value and has no parameter in it" in nested
        found = check(PARAMETERS.replace('"${many} per min"', "${many}"), "main.yaml", VOCABULARY)
        assert [error.hint for error in found] == ['Inside { } and [ ] put "${…}" in quotes.']
