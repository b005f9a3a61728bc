"""The secrets that a simulated person gives beside a request to a service, and what the answer tells that person."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from fleet.cloud.people.tokens import LENGTH, PREFIX
from fleet.runtime.people.person import Person
from fleet.wire.messages import DeskAnswer

WRONG_TOKEN: Final = PREFIX + "w" * LENGTH
"""A token that nobody has made."""
_LINK_OF: Final = {"confirm": "confirm_address", "reset_password": "password_reset"}
"""The kind of mail in which the link for an action stands."""


def secrets_for(
    person: Person,
    action: str,
    wanted: Collection[str],
    *,
    in_session: bool,
    wrong: Collection[str],
    take_link: Callable[[str], str | None],
) -> dict[str, str]:
    """Return the secrets by their names: those `wanted`, and without a session those that may be left out (`name?`), too.

    `take_link` returns the link in the newest mail of a kind.
    """
    found: dict[str, str] = {}
    for each in wanted:
        name = each.removesuffix("?")
        if name != each and in_session and name not in wrong:
            continue
        value = _secret(person, action, name, is_wrong=name in wrong, take_link=take_link)
        if value is not None:
            found[name] = value
    return found


def _secret(person: Person, action: str, name: str, *, is_wrong: bool, take_link: Callable[[str], str | None]) -> str | None:
    match name:
        case "password":
            return person.wrong_password if is_wrong else person.password
        case "new_password":
            return "short" if is_wrong else person.new_password
        case "spin":
            return person.wrong_spin if is_wrong else person.spin
        case "new_spin":
            return "12" if is_wrong else person.new_spin
        case "link":
            return WRONG_TOKEN if is_wrong else take_link(_LINK_OF.get(action, action))
        case "refresh":
            return WRONG_TOKEN if is_wrong else person.refresh
        case "code":
            return _other_code(person.code) if is_wrong else person.code
    return None


def _other_code(code: str | None) -> str:
    """Return another code than that of a car."""
    return f"{(int(code) + 1) % 100_000_000:08d}" if code is not None and code.isdecimal() else "00000000"


def has_learnt(person: Person, given: Mapping[str, str], answer: DeskAnswer) -> None:
    """Have a person keep what came of a request in which these secrets were `given`.

    One that was set twice side by side is the same, and no other one.
    """
    if answer.state != "succeeded":
        return
    if given.get("new_password") == person.new_password:
        person.has_changed_password()
    if given.get("new_spin") == person.new_spin:
        person.has_set_spin()
    told, data = answer.secrets or {}, answer.data or {}
    person.session = told.get("session", person.session)
    person.refresh = told.get("refresh", person.refresh)
    person.code = told.get("code", person.code)
    account = data.get("account")
    if isinstance(account, str):
        person.account = account
