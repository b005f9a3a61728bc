"""The reader of YAML files knows no scenario: another language brings its types, its checks and its error."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fleet.errors import FileError
from fleet.scenario.element import Element
from fleet.scenario.problems import Problem, check_known
from fleet.scenario.reader import Language, Reader
from fleet.scenario.scalars import Duration
from fleet.scenario.yaml_nodes import FileKind, parse_nodes


class MenuError(FileError):
    """A menu that cannot be used."""


class Dish(Element, frozen=True, kw_only=True):
    """One dish."""

    of: str
    takes: Duration = Duration(0)


class Menu(Element, frozen=True, kw_only=True):
    """A whole menu."""

    dishes: tuple[Dish, ...]


def check_dish(dish: Dish, known: Collection[str]) -> Iterator[Problem]:
    yield from check_known(("of",), "ingredient", dish.of, known)


KIND = FileKind("menu", MenuError, "See menus/.")
LANGUAGE = Language(checks={Dish: (check_dish,)}, error=MenuError)


def read(text: str) -> tuple[Menu | None, list[str]]:
    reader = Reader[Collection[str]](LANGUAGE, ("rice", "beans"), [])
    menu = reader.read_root(parse_nodes(text, "menu.yaml", KIND), Menu)
    assert all(type(error) is MenuError for error in reader.errors)
    return menu, [f"{error} {error.hint}".strip() for error in reader.errors]


def test_a_language_has_its_own_types_and_checks() -> None:
    menu, errors = read("dishes:\n  - {of: rice, takes: 20 min}\n")
    assert errors == []
    assert menu == Menu(dishes=(Dish(of="rice", takes=Duration(1_200_000_000)),))


def test_all_errors_come_at_once_each_with_its_place() -> None:
    menu, errors = read("dishes:\n  - {of: rise, takes: 20 mins}\n  - {off: beans}\n")
    assert menu is not None
    assert errors == [
        "menu.yaml:2:23: dishes[0].takes: 'mins' is not a unit of time: use ms, s, min, h, days or weeks",
        "menu.yaml:2:10: dishes[0].of: unknown ingredient 'rise' Did you mean 'rice'?",
        "menu.yaml:3:6: dishes[1]: unknown key 'off' Did you mean 'of'?",
    ]


def test_the_first_of_many_says_how_to_see_the_others() -> None:
    error = MenuError("no rice", file="menu.yaml", line=3, column=1, hint="Buy some.").and_more(2, "fleet check menu.yaml")
    assert str(error) == "menu.yaml:3:1: no rice"
    assert error.hint == "Buy some. And 2 more: fleet check menu.yaml"
