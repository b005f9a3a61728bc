"""What has to be there before the examples of `fleet service account` can be done."""

from __future__ import annotations

from typing import Any

from fleet.cloud.rule import Mail
from tests.cloud.people.lab import PASSWORD, PeopleLab


def _unconfirmed(lab: PeopleLab) -> dict[str, Any]:
    lab.person(confirmed=False, complete=False)
    lab.wait(120_000_000)
    return {}


def _with_link(lab: PeopleLab) -> dict[str, Any]:
    lab.person(confirmed=False, complete=False)
    return {"proofs": lab.secrets(link=lab.mails[-1].secret)}


def _in_session(lab: PeopleLab) -> dict[str, Any]:
    lab.person()
    return {"session": lab.log_in("anna@example.com")}


def _refreshed(lab: PeopleLab) -> dict[str, Any]:
    lab.person()
    lab.log_in("anna@example.com")
    return {"proofs": lab.secrets(refresh=(lab.answers[-1].secrets or {})["refresh"])}


def _reset(lab: PeopleLab) -> dict[str, Any]:
    lab.person()
    lab.done("account", "forgot_password", person="anna@example.com")
    (mail,) = lab.those(Mail)
    return {"proofs": lab.secrets(link=mail.secret, new_password="another horse")}


def _person(lab: PeopleLab) -> dict[str, Any]:
    lab.person()
    return {}


def _set_spin(lab: PeopleLab) -> dict[str, Any]:
    lab.person()
    return {"proofs": lab.secrets("anna@example.com", new_spin="0815", password=PASSWORD)}


def _with_device(lab: PeopleLab) -> dict[str, Any]:
    _in_session(lab)
    return {}


READY = {
    "register": lambda _lab: {},
    "send_link": _unconfirmed,
    "confirm": _with_link,
    "refresh": _refreshed,
    "log_out": _in_session,
    "reset_password": _reset,
    "set_spin": _set_spin,
    "delete_device": _with_device,
}
"""For an action that wants more than a person whose account is complete: what brings it about, and returns what else is asked."""
OTHERWISE = _person
