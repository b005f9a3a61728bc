"""Puts a letter into words, in the language of its account: templates of the folder `mail_texts`, one file a language.

A file holds subject and body of each kind as Jinja2 templates, and greeting, closing, names and forms of dates and amounts. What
a language lacks is taken from English. What data a kind has, `fleet.cloud.people.mails` says.
"""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Callable
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

from jinja2 import Environment, StrictUndefined, TemplateError, pass_context
from jinja2.runtime import Context

from fleet.backend.mail.letter import Letter, NotDelivered
from fleet.kernel.instants import to_datetime

DEFAULT: Final = "en"
LANGUAGES: Final = ("cs", "de", "en", "es", "fr", "it", "sv")
LINKS: Final = "https://fleet.example/"
"""Links lead there (ours): nobody answers, and the last word of a link is the secret that a tool hands in."""
GONE: Final = "(the link is for its receiver only)"
ZONE: Final = "zone"
"""Among the data of a letter: the time zone of its days and times, UTC without one."""
LONGEST_VALUE: Final = 200
"""Characters of a value that are shown."""
_FOLDER: Final = "mail_texts"


class Text(NamedTuple):
    """The words of a letter: one line of subject, what it says, and that with greeting and closing around it."""

    subject: str
    core: str
    body: str
    language: str


class _Words:
    """What one language's file says."""

    def __init__(self, language: str) -> None:
        source = (files("fleet.backend") / _FOLDER / f"{language}.toml").read_text(encoding="utf-8")
        self.language = language
        self._held = held = tomllib.loads(source)
        self._names: dict[str, str] = held["names"]
        # Plain text: there is no markup to escape.
        environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701
        environment.filters.update(
            day=pass_context(lambda context, instant: self._day(_local(context, instant))),
            moment=pass_context(lambda context, instant: self._moment(_local(context, instant))),
            money=self._money,
            name=self.name,
        )
        self._templates: dict[str, tuple[Callable[..., str], Callable[..., str]]] = {
            kind: (
                environment.from_string(text["subject"]).render,
                environment.from_string(text["body"].strip()).render,
            )
            for kind, text in held.items()
            if isinstance(text, dict) and kind != "names"
        }

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(self._templates)

    def text(self, kind: str, values: dict[str, Any]) -> Text:
        subject, body = self._templates[kind]
        core = body(values)
        framed = f"{self._held['greeting']}\n\n{core}\n\n{self._held['closing']}\n"
        return Text(" ".join(subject(values).split()), core, framed, self.language)

    def name(self, key: str) -> str:
        """Return the name of a product, a role …; a key that none has is shown with blanks in it."""
        own = self._names.get(key)
        if own is not None or self.language == DEFAULT:
            return own or key.replace("_", " ")
        return _words(DEFAULT).name(key)

    def _day(self, at: datetime) -> str:
        return str(self._held["day"].format(day=at.day, month=self._held["months"][at.month - 1], year=at.year))

    def _moment(self, at: datetime) -> str:
        return str(self._held["moment"].format(date=self._day(at), time=at.strftime("%H:%M"), zone=at.tzname()))

    def _money(self, cents: int) -> str:
        return str(self._held["money"].format(euros=f"{cents // 100}{self._held['decimal']}{cents % 100:02}"))


def _local(context: Context, instant: int) -> datetime:
    """Return an instant in the time zone of the letter's receiver."""
    at = to_datetime(instant)
    zone = context.get(ZONE)
    return at if zone is None else at.astimezone(ZoneInfo(zone))


@cache
def _words(language: str) -> _Words:
    return _Words(language)


def kinds_of(language: str) -> frozenset[str]:
    """Return the kinds that a language has texts of."""
    return _words(language).kinds


def worded(letter: Letter) -> Text:
    """Return a letter's words. Raises NotDelivered (refused) where there is no text of its kind, or data are missing."""
    language = letter.language.partition("-")[0].lower()
    if language not in LANGUAGES or letter.kind not in kinds_of(language):
        language = DEFAULT
    if letter.kind not in kinds_of(language):
        raise NotDelivered("refused", f"there is no text of the kind {letter.kind!r}")
    values = {key: shown(value) for key, value in letter.data.items()}
    if letter.vin:
        values.setdefault("vin", letter.vin)
    values["link"] = f"{LINKS}{letter.kind}/{quote(letter.secret, safe='')}" if letter.secret else GONE
    try:
        return _words(language).text(letter.kind, values)
    except (TemplateError, KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise NotDelivered("refused", f"the text of {letter.kind!r} cannot be written: {error}") from None


def shown(value: Any) -> Any:
    """Return a value as it may be shown: text on one line, without what steers a terminal, and not without end."""
    if not isinstance(value, str) or (value.isprintable() and len(value) <= LONGEST_VALUE):
        return value
    one_line = "".join(" " if unicodedata.category(character) in _STEERING else character for character in value)
    return one_line if len(one_line) <= LONGEST_VALUE else one_line[: LONGEST_VALUE - 1] + "…"


_STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
