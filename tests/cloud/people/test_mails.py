"""Each kind of mail has its data."""

from __future__ import annotations

from fleet.cloud.people.mails import MAILS, PUSHED, WITH_SECRET, mail_to, with_pushes
from fleet.cloud.people.records import Account
from fleet.cloud.rule import Mail, Notify

ANNA = Account(id="p1", email="anna@example.org", registered=0, language="sv", country="SE")
BO = Account(id="p2", email="bo@example.org", registered=0, push=True)
VIN = "VSSZZZKMZPR000001"


def test_kinds_with_a_secret_are_kinds() -> None:
    assert set(MAILS) >= WITH_SECRET
    assert all(names == tuple(dict.fromkeys(names)) for names in MAILS.values())


def test_a_mail_is_in_the_language_of_its_account_and_in_the_time_of_its_country() -> None:
    mail = mail_to(ANNA, "taken_over", vin=VIN, at=1)
    assert (mail.account, mail.address, mail.language, mail.vin) == ("p1", "anna@example.org", "sv", VIN)
    assert mail.data == {"vin": VIN, "at": 1, "zone": "Europe/Stockholm"}
    assert mail_to(BO, "taken_over", vin=VIN, at=1).data == {"vin": VIN, "at": 1}  # nobody knows where
    assert mail_to(ANNA, "user_removed", vin=VIN).data == {"vin": VIN}  # there is no time in it


def test_who_wants_pushes_gets_one_beside_the_mail() -> None:
    """In its place right after it, without an address; nobody else gets one."""
    told = Notify(VIN, "primary_user", "purchased", {})
    mails = [mail_to(account, "user_removed", vin=VIN) for account in (ANNA, BO)]
    outputs = with_pushes([mails[0], told, mails[1]], {"p1": ANNA, "p2": BO}.get)
    assert outputs[:3] == [mails[0], told, mails[1]]
    (push,) = outputs[3:]
    assert isinstance(push, Mail)
    assert (push.account, push.address, push.kind, push.channel) == ("p2", "", "user_removed", "push")
    assert with_pushes(outputs, {"p1": ANNA}.get) == outputs


def test_nothing_with_a_secret_is_pushed() -> None:
    assert MAILS.keys() >= PUSHED
    assert not PUSHED & WITH_SECRET
    assert with_pushes([reset := mail_to(BO, "password_reset", secret="s", until=1)], {"p2": BO}.get) == [reset]
