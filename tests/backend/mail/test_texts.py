"""Every mail in every language: all words are there, and nothing is left unfilled."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from itertools import product
from typing import get_args

import pytest

from fleet.backend.mail.letter import NotDelivered
from fleet.backend.mail.texts import DEFAULT, GONE, LANGUAGES, LONGEST_VALUE, kinds_of, worded
from fleet.cloud.people.mails import MAILS, WITH_SECRET
from fleet.cloud.people.primary import TEXTS
from fleet.cloud.people.products import load_products
from fleet.cloud.rights import PURPOSES, Role
from fleet.kernel.instants import DAY, HOUR
from tests.backend.mail.lab import AT, DATA, SECRET, VIN, letter

CHOICES = {"licence_reminder": ("when", ("month", "15_days", "48_hours", "end")), "erased": ("scope", ("car", "data", "person"))}
"""Words of which each has a text of its own."""


def variants(kind: str) -> list[dict[str, object]]:
    data = {key: DATA[key] for key in MAILS[kind]}
    name, words = CHOICES.get(kind, ("", ()))
    return [data | {name: word} for word in words] or [data]


def test_every_kind_has_a_text_in_every_language() -> None:
    for language in LANGUAGES:
        assert kinds_of(language) == MAILS.keys(), language


@pytest.mark.parametrize(("language", "kind"), list(product(LANGUAGES, MAILS)))
def test_a_text_is_whole(language: str, kind: str) -> None:
    """It says what it is given, in its language, and no two ends of a term or scopes say the same."""
    texts = [worded(letter(kind, language=language, data=data, secret=SECRET)) for data in variants(kind)]
    assert len({text.body for text in texts}) == len(texts)
    for text in texts:
        assert text.language == language
        assert text.subject == text.subject.strip() != ""
        assert "\n" not in text.subject
        assert not re.search(r"[{}]|%\}|Undefined|None", text.subject + text.body)
        assert not re.search(r"\n\n\n|[ \t]\n|  ", text.body)
        assert text.body.count("CUPRA CONNECT\n\n") == 1  # the end
        if "vin" in MAILS[kind]:
            assert VIN in text.body
        assert (SECRET in text.body) == (kind in WITH_SECRET)
    if language != DEFAULT:
        assert texts[0] != worded(letter(kind, data=variants(kind)[0], secret=SECRET))


@pytest.mark.parametrize("kind", [kind for kind, names in MAILS.items() if names and kind != "spin_locked"])
def test_data_that_are_missing_leave_no_gap(kind: str) -> None:
    """Rather than a letter with a hole in it there is none."""
    with pytest.raises(NotDelivered) as caught:
        worded(letter(kind, data={}, vin=""))
    assert caught.value.outcome == "refused"


def test_a_language_or_kind_without_texts_gets_english() -> None:
    assert worded(letter(language="nl")).language == "en"
    assert worded(letter(language="")).language == "en"
    assert worded(letter(language="../de")).language == "en"
    assert worded(letter(language="de-AT")).language == "de"
    with pytest.raises(NotDelivered, match="no text of the kind"):
        worded(letter("names"))


@pytest.mark.parametrize(
    ("language", "amount", "day"),
    [
        ("en", "€135.05", "31 March 2026"),
        ("de", "135,05 €", "31. März 2026"),
        ("es", "135,05 €", "31 de marzo de 2026"),
        ("fr", "135,05 €", "31 mars 2026"),
        ("it", "135,05 €", "31 marzo 2026"),
        ("cs", "135,05 €", "31. března 2026"),
        ("sv", "135,05 €", "31 mars 2026"),
    ],
)
def test_amounts_and_days_are_written_as_in_the_language(language: str, amount: str, day: str) -> None:
    assert amount in worded(letter("invoice", language=language)).body
    assert day in worded(letter("licence_renewed", language=language)).body


def test_days_and_times_are_those_of_the_receivers_zone() -> None:
    """A term that ends at midnight in Stockholm ends on that day, not on the one before."""
    data = DATA | {"when": "48_hours", "ends": AT + 30 * DAY + 14 * HOUR}
    assert "den 31 mars 2026 kl. 22:00 (UTC)" in worded(letter("licence_reminder", language="sv", data=data)).body
    text = worded(letter("licence_reminder", language="sv", data=data | {"zone": "Europe/Stockholm"}))
    assert "den 1 april 2026 kl. 00:00 (CEST)" in text.body
    assert text.subject.endswith("upphör den 1 april 2026")
    for zone in ("Mars/Olympus", "../../etc/passwd", 7):
        with pytest.raises(NotDelivered, match="cannot be written"):
            worded(letter("licence_reminder", data=data | {"zone": zone}))


def test_names_come_from_the_language_then_from_english_then_from_the_key() -> None:
    def told(language: str, role: str) -> str:
        return worded(letter("user_added", language=language, data={"vin": VIN, "role": role})).body

    assert "Rolle: Gast" in told("de", "guest")
    assert "Connected Travel Assist" in worded(letter("licence_withdrawn", language="sv", data={"product": "travel_assist"})).body
    assert "chief driver" in told("de", "chief_driver")


def test_products_roles_and_consents_have_names() -> None:
    """Those of products are names of their own in most languages; all others are words of the language."""
    people = {*get_args(Role), *PURPOSES, *TEXTS}
    for language in LANGUAGES:
        source = files("fleet.backend").joinpath(f"mail_texts/{language}.toml").read_text(encoding="utf-8")
        known = tomllib.loads(source)["names"].keys()
        products = load_products().products.keys() if language == DEFAULT else {"g3_radio", "g3_navi", "data_plan"}
        assert known >= people | products, language


def test_what_others_have_typed_stays_on_its_line_and_is_not_endless() -> None:
    """A device's name is whatever its owner says: no line of its own, no markup of ours, no flood."""
    body = worded(
        letter("new_device", data={"at": DATA["at"], "device": "x\r\n\r\nPlease pay\u202e {{ vin }}" + "y" * 10_000})
    ).body
    (line,) = [line for line in body.splitlines() if "Please pay" in line]
    assert "{{ vin }}" in line
    assert "\u202e" not in line
    assert len(line) < LONGEST_VALUE + 100


def test_without_its_secret_a_link_is_said_to_be_gone() -> None:
    body = worded(letter("password_reset")).body
    assert GONE in body
    assert "https://" not in body


def test_a_secret_is_written_so_that_it_stays_one_word() -> None:
    assert "/password_reset/a%2Fb%20c" in worded(letter("password_reset", secret="a/b c")).body
