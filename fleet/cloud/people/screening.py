"""Holds the buyer of a purchase against the list of sanctions, whose names come in many spellings.

A name is compared as a set of words, each reduced to what its spellings have in common: no case, no accents, Latin letters for
Cyrillic and Greek ones, and one letter for groups that stand for one sound. One letter of a longer word may differ (ours). The
date of birth decides: somebody of the same name who was born on another day is innocent.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

from fleet.cloud.places import Sanctioned, load_world

_LETTERS: Final = str.maketrans(
    {
        "а": "a", "б": "b", "в": "v", "г": "g", "ґ": "g", "д": "d", "е": "e", "ё": "e", "є": "e", "ж": "zh", "з": "z", "и": "i",
        "і": "i", "ї": "i", "й": "i", "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t",
        "у": "u", "ў": "u", "ф": "f", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "sh", "ъ": "", "ы": "i", "ь": "", "э": "e",
        "ю": "iu", "я": "ia", "ј": "i", "љ": "l", "њ": "n", "ћ": "c", "ђ": "d", "џ": "dzh",
        "α": "a", "β": "v", "γ": "g", "δ": "d", "ε": "e", "ζ": "z", "η": "i", "θ": "th", "ι": "i", "κ": "k", "λ": "l", "μ": "m",
        "ν": "n", "ξ": "x", "ο": "o", "π": "p", "ρ": "r", "σ": "s", "ς": "s", "τ": "t", "υ": "i", "φ": "f", "χ": "kh", "ψ": "ps",
        "ω": "o",
        "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ß": "ss",
    }
)  # fmt: skip
_SOUNDS: Final = (
    ("tsch", "c"), ("tch", "c"), ("sch", "s"), ("sh", "s"), ("ch", "c"), ("zh", "z"), ("kh", "h"), ("ck", "k"), ("ph", "f"),
    ("th", "t"), ("tz", "ts"), ("ae", "a"), ("oe", "o"), ("ue", "u"), ("ou", "u"), ("iy", "i"), ("ij", "i"), ("yi", "i"),
    ("y", "i"), ("j", "i"), ("w", "v"), ("q", "k"), ("c", "k"), ("x", "ks"),
)  # fmt: skip
"""Groups of letters that spellings exchange, in this order."""
_LONG: Final = 5
"""Letters of a word of which one may differ."""


def is_listed(name: str, born: str = "") -> bool:
    """Tell whether a person of this name, born on this day (YYYY-MM-DD, "" unknown), stands on the list."""
    spellings = _hyphened(name)
    return any(
        _is_same(words, listed)
        for entry in load_world().sanctions
        if not (entry.born and born and entry.born != born)
        for listed in _listed(entry)
        for words in spellings
    )


@cache
def _listed(entry: Sanctioned) -> tuple[tuple[str, ...], ...]:
    return tuple(words for name in (entry.name, *entry.also) for words in _hyphened(name))


def _hyphened(name: str) -> tuple[tuple[str, ...], ...]:
    """Return the words of a name, with a hyphen between two and with none."""
    return (words_of(name), words_of(name.replace("-", ""))) if "-" in name else (words_of(name),)


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name, each reduced to what its spellings have in common."""
    plain = unicodedata.normalize("NFKD", name.casefold()).translate(_LETTERS)
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return tuple(_sound(word) for word in re.findall(r"[a-z0-9]+", letters.replace("'", "").replace("’", "")))


def _sound(word: str) -> str:
    for group, letter in _SOUNDS:
        word = word.replace(group, letter)
    return re.sub(r"(.)\1+", r"\1", word)


def _is_same(words: tuple[str, ...], listed: tuple[str, ...]) -> bool:
    """Tell whether each word of the shorter name, two at least unless the list has one alone, is one of the longer name."""
    few, many = sorted((words, listed), key=len)
    if len(few) < min(2, len(listed)):
        return False
    left = list(many)
    for word in few:
        found = next((other for other in left if _is_like(word, other)), None)
        if found is None:
            return False
        left.remove(found)
    return True


def _is_like(word: str, other: str) -> bool:
    """Tell whether two words are the same, or long ones that one letter more, less, other or exchanged makes the same."""
    if word == other:
        return True
    short, long = sorted((word, other), key=len)
    if len(short) < _LONG or len(long) - len(short) > 1:
        return False
    at = next((place for place, letter in enumerate(short) if letter != long[place]), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    exchanged = short[at + 1 : at + 2] + short[at : at + 1] == long[at : at + 2]
    return short[at + 1 :] == long[at + 1 :] or (exchanged and short[at + 2 :] == long[at + 2 :])
