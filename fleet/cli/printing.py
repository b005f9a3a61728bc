"""The consoles of all commands, and the one way in which a value is printed: as it is, whoever has written it."""

from __future__ import annotations

import json
import math
import os
import unicodedata
from typing import IO, Any, Final, Literal

from rich.console import Console
from rich.text import Text

NO_COLOUR: Final = bool(os.environ.get("NO_COLOR"))
"""Then nothing is coloured, bold or dim; see no-color.org."""
COLOURS: Final[Literal["auto"] | None] = None if NO_COLOUR else "auto"
Part = str | tuple[str, str]
"""A piece of a line: text, or text and its style."""


def visible(text: str) -> str:
    """Return the text with characters that would steer a terminal, or hide others, written as escapes.

    Line ends and tabs stay. What a car sends must not be able to colour, move or delete what a person reads.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode()


class PlainConsole(Console):
    """A console for which text has no markup: a `[` is a `[`, in lines and in the cells of tables."""

    def __init__(self, *, stderr: bool = False, width: int | None = None, file: IO[str] | None = None) -> None:
        """Write to standard output, standard error or a file; `width` None is that of the terminal."""
        super().__init__(
            stderr=stderr,
            width=width,
            file=file,
            soft_wrap=True,
            markup=False,
            emoji=False,
            highlight=False,
            color_system=COLOURS,
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """Make a renderable of a string, as rich does with all strings that it is given."""
        return super().render_str(visible(text), **(options | {"markup": False, "emoji": False}))

    def say(self, *parts: Part, end: str = "\n") -> None:
        """Print a line of parts, some with a style of their own."""
        pieces = [visible(part) if isinstance(part, str) else (visible(part[0]), part[1]) for part in parts]
        self.print(Text.assemble(*pieces), end=end)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Write plain data as JSON, whatever is in it: bytes as hexadecimal, keys as text."""
    return json.dumps(_plain(value), ensure_ascii=False, indent=indent)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)
