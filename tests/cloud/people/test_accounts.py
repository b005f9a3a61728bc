"""Accounts from the first mail to the last session: domain description 6.1."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.cloud.desk_io import ForgetSpin, KeepSpin, UnlockSpin
from fleet.cloud.people.accounts import NAMES_TRIED
from fleet.cloud.people.figures import Figures
from fleet.cloud.rule import Mail, Proof
from fleet.kernel.instants import DAY, HOUR, MINUTE
from tests.cloud.people.lab import DETAILS, PASSWORD, PeopleLab

ANNA = "anna@example.com"
NEW = "another horse"
DEVICES = Figures().devices


def lab_with_anna(**details: Any) -> PeopleLab:
    lab = PeopleLab()
    lab.person(ANNA, **details)
    return lab


def has_spin(lab: PeopleLab) -> bool:
    return lab.people.accounts["p1"].spin_set


def mailed(lab: PeopleLab) -> list[tuple[str, str]]:
    return [(mail.kind, mail.address) for mail in lab.those(Mail)]


# --- registration


def test_a_person_registers_and_gets_a_link() -> None:
    lab = PeopleLab()
    answer = lab.done("account", "register", email="Anna@Example.com", language="sv", proofs=lab.secrets(new_password=PASSWORD))
    assert answer.data == {"state": "link_sent"}
    assert answer.secrets is None
    (mail,) = lab.those(Mail)
    assert (mail.kind, mail.address, mail.language, mail.account) == ("confirm_address", "Anna@example.com", "sv", "p1")
    assert lab.people.accounts["p1"].confirmed is None
    lab.done("account", "confirm", proofs=lab.secrets(link=mail.secret))
    assert lab.people.accounts["p1"].confirmed == lab.now


@pytest.mark.parametrize("email", [ANNA, "ANNA@EXAMPLE.COM"])
def test_an_address_that_exists_makes_no_second_account_and_only_its_owner_is_told(email: str) -> None:
    lab = PeopleLab()
    first = lab.done("account", "register", email=ANNA, proofs=lab.secrets(new_password=PASSWORD))
    again = lab.done("account", "register", email=email, proofs=lab.secrets(new_password="of a stranger"))
    assert (again.data, again.detail, again.secrets) == (first.data, first.detail, first.secrets)
    assert mailed(lab) == [("address_known", ANNA)]
    assert len(lab.people.accounts) == 1
    assert lab.refused("account", "log_in", person=ANNA, device="x", proofs=lab.secrets(ANNA, password="of a stranger"))
    lab.done("account", "register", email=email, proofs=lab.secrets(new_password=PASSWORD))
    assert not lab.those(Mail), "the owner is told once an hour"
    lab.wait(HOUR)
    lab.done("account", "register", email=email, proofs=lab.secrets(new_password=PASSWORD))
    assert mailed(lab) == [("address_known", ANNA)]


def test_an_address_that_nobody_has_confirmed_in_time_is_registered_anew() -> None:
    """Whoever registered it first, by another password, has nothing of it then: no session, no link, no S-PIN."""
    lab = PeopleLab()
    lab.done("account", "register", email=ANNA, proofs=lab.secrets(new_password="of a stranger"))
    lab.now += 3 * DAY - 1
    lab.done("account", "register", email=ANNA, proofs=lab.secrets(new_password=PASSWORD))
    assert mailed(lab) == [("address_known", ANNA)], "the link holds"
    lab.log_in("p1", password="of a stranger")
    lab.now += 1
    lab.done("account", "forgot_password", person=ANNA)
    lab.done("account", "register", email=ANNA, proofs=lab.secrets(new_password=PASSWORD))
    assert mailed(lab) == [("confirm_address", ANNA)]
    assert lab.those(ForgetSpin) == [ForgetSpin("p1")]
    assert ([*lab.people.accounts], len(lab.people.sessions), len(lab.people.links)) == (["p2"], 0, 1)
    lab.done("account", "confirm", proofs=lab.secrets(link=lab.those(Mail)[0].secret))
    lab.now += 30 * DAY
    lab.done("account", "register", email=ANNA, proofs=lab.secrets(new_password="of a stranger"))
    assert mailed(lab) == [("address_known", ANNA)]
    lab.log_in(ANNA)


def test_so_many_register_from_one_origin() -> None:
    """Known addresses count, too; another origin is not kept waiting, nor a tool that names none."""
    lab = PeopleLab()

    def register(number: int, origin: str | None) -> str | None:
        email = f"a{number % 30}@example.com"
        return lab.ask("account", "register", email=email, origin=origin, proofs=lab.secrets(new_password=PASSWORD)).reason

    most = Figures().tries_of_origin
    for number in range(most):
        assert register(number % (most - 1), "a café") is None
        lab.now += MINUTE // 2
    assert register(most, "a café") == "too_many_tries"
    assert len(lab.people.accounts) == most - 1
    assert [register(30 + number, origin) for number, origin in enumerate(["at home", *[None] * (2 * most)])] == [None] * (
        2 * most + 1
    )
    lab.now += Figures().locked - most * MINUTE // 2
    assert register(most, "a café") is None, "a quarter of an hour after the first"


def test_plus_makes_an_address_of_its_own_and_two_forms_of_a_domain_do_not() -> None:
    lab = PeopleLab()
    for email in (ANNA, "anna+fleet@example.com", "anna@müller.de", "anna@xn--mller-kva.de"):
        lab.done("account", "register", email=email, proofs=lab.secrets(new_password=PASSWORD))
    assert [account.email for account in lab.people.accounts.values()] == [
        ANNA,
        "anna+fleet@example.com",
        "anna@xn--mller-kva.de",
    ]


@pytest.mark.parametrize(
    "email", ["anna@example.com\r\nBcc: all@example.com", "anna\n@example.com", "anna", "a" * 200 + "@example.com"]
)
def test_what_is_no_address_gets_no_account(email: str) -> None:
    lab = PeopleLab()
    assert lab.refused("account", "register", email=email, proofs=lab.secrets(new_password=PASSWORD)) == "malformed"
    assert not lab.people.accounts
    assert not lab.mails


def test_a_password_that_could_not_be_hashed_makes_no_account() -> None:
    lab = PeopleLab()
    too_long = {"new_password": Proof(refused="malformed", detail="a password has at most 256 characters")}
    answer = lab.ask("account", "register", email=ANNA, proofs=too_long)
    assert (answer.reason, answer.detail) == ("malformed", "a password has at most 256 characters")
    assert lab.refused("account", "register", email=ANNA) == "malformed"
    assert not lab.people.accounts


@pytest.mark.parametrize("action", ["send_link", "forgot_password"])
def test_who_asks_for_a_link_learns_of_no_account(action: str) -> None:
    lab = lab_with_anna()
    known = lab.done("account", action, person=ANNA)
    unknown = lab.done("account", action, person="bo@example.com")
    assert (known.data, known.detail) == (unknown.data, unknown.detail) == ({"state": "link_sent"}, None)
    assert not lab.those(Mail)


def test_the_account_is_completed_and_each_consent_is_a_record() -> None:
    lab = lab_with_anna(language="de", greeting="ms")
    account = lab.people.accounts["p1"]
    assert (account.first_name, account.last_name, account.birth_date) == ("Anna", "Ek", "1990-05-17")
    assert (account.country, account.language, account.greeting) == ("SE", "de", "ms")
    assert [(each.what, each.version, each.given, each.at) for each in account.consents] == [
        ("terms", "2026-1", True, lab.now),
        ("privacy", "2026-1", True, lab.now),
    ]


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        ({"birth_date": "2026-03-03"}, "argument_out_of_range"),
        ({"birth_date": "2015-01-01"}, "argument_out_of_range"),
        ({"birth_date": "1900-01-01"}, "argument_out_of_range"),
        ({"birth_date": "yesterday"}, "argument_out_of_range"),
        ({"first_name": "Anna\r\nBcc: all@example.com"}, "malformed"),
        ({"last_name": " "}, "malformed"),
        ({"country": "US"}, "argument_out_of_range"),
        ({"country": "se"}, "argument_out_of_range"),
        ({"language": "da"}, "malformed"),
    ],
)
def test_odd_details_are_refused_and_nothing_changes(odd: dict[str, str], reason: str) -> None:
    lab = PeopleLab()
    lab.person(ANNA, complete=False)
    before = lab.people.accounts["p1"]
    assert lab.refused("account", "complete", person=ANNA, **{**DETAILS, **odd}) == reason
    assert lab.people.accounts["p1"] == before


# --- sessions


@pytest.mark.parametrize("name", [ANNA, "Anna@EXAMPLE.com", "anna", "ANNA", "+46701740605", "+46 70 174 06 05"])
def test_a_person_logs_in_by_e_mail_user_name_or_mobile_number(name: str) -> None:
    lab = lab_with_anna()
    lab.done("account", "settings", person=ANNA, user_name="anna", mobile="+46 70-1740605")
    answer = lab.done("account", "log_in", person=name, device="phone", proofs=lab.secrets(name, password=PASSWORD))
    assert answer.data == {"account": "p1", "device": "phone", "ends": lab.now + HOUR, "new_device": True}
    assert set(answer.secrets or {}) == {"session", "refresh"}


def test_the_first_log_in_from_a_device_is_told_by_mail() -> None:
    lab = lab_with_anna()
    lab.log_in(ANNA, "phone")
    assert mailed(lab) == [("new_device", ANNA)]
    lab.log_in(ANNA, "phone")
    assert mailed(lab) == []
    lab.log_in(ANNA, "tablet")
    assert lab.those(Mail)[0].data == {"device": "tablet", "at": lab.now, "zone": "Europe/Stockholm"}


def test_devices_are_bounded() -> None:
    lab = lab_with_anna()
    for number in range(DEVICES + 3):
        lab.log_in(ANNA, f"device {number}")
    assert lab.people.accounts["p1"].devices == tuple(f"device {number}" for number in range(3, DEVICES + 3))


def test_a_device_name_goes_into_a_mail_and_holds_no_line_end() -> None:
    lab = lab_with_anna()
    proofs = lab.secrets(ANNA, password=PASSWORD)
    assert lab.refused("account", "log_in", person=ANNA, device="phone\nBcc: all@example.com", proofs=proofs) == "malformed"


def test_logging_out_ends_the_session() -> None:
    lab = lab_with_anna()
    session, other = lab.log_in(ANNA), lab.log_in(ANNA)
    lab.done("account", "log_out", session=session)
    assert lab.refused("account", "show", session=session) == "insufficient_rights"
    lab.done("account", "show", session=other)
    assert lab.refused("account", "log_out", session=session) == "session_ended"
    assert lab.refused("account", "log_out", person=ANNA) == "session_ended"


def test_a_deleted_device_is_logged_out_and_new_the_next_time() -> None:
    lab = lab_with_anna()
    phone, tablet = lab.log_in(ANNA, "phone"), lab.log_in(ANNA, "tablet")
    assert lab.done("account", "delete_device", session=tablet, device="phone").data == {"sessions": 1}
    assert lab.refused("account", "show", session=phone) == "insufficient_rights"
    lab.done("account", "show", session=tablet)
    assert lab.refused("account", "delete_device", session=tablet, device="phone") == "unknown_device"
    lab.log_in(ANNA, "phone")
    assert mailed(lab) == [("new_device", ANNA)]


# --- secrets


def test_a_changed_password_ends_all_other_sessions_and_unlocks_the_spin() -> None:
    lab = lab_with_anna()
    mine, other = lab.log_in(ANNA), lab.log_in(ANNA)
    proofs = lab.secrets(ANNA, password=PASSWORD, new_password=NEW)
    assert lab.done("account", "change_password", session=mine, proofs=proofs).data == {"account": "p1", "sessions": 1}
    assert lab.those(UnlockSpin) == [UnlockSpin("p1")]
    assert mailed(lab) == [("password_changed", ANNA)]
    lab.done("account", "show", session=mine)
    assert lab.refused("account", "show", session=other) == "insufficient_rights"
    assert lab.refused("account", "log_in", person=ANNA, device="x", proofs=lab.secrets(ANNA, password=PASSWORD))
    lab.log_in(ANNA, password=NEW)


def test_a_wrong_password_changes_nothing() -> None:
    lab = lab_with_anna()
    mine, other = lab.log_in(ANNA), lab.log_in(ANNA)
    proofs = lab.secrets(ANNA, password="wrong", new_password=NEW)
    assert lab.refused("account", "change_password", session=mine, proofs=proofs) == "wrong_credentials"
    lab.done("account", "show", session=other)


def test_a_forgotten_password_is_reset_by_a_link() -> None:
    lab = lab_with_anna()
    session = lab.log_in(ANNA)
    for _ in range(5):
        lab.ask("account", "log_in", person=ANNA, device="x", proofs=lab.secrets(ANNA, password="wrong"))
    assert lab.answers[-1].reason == "wrong_credentials"
    lab.done("account", "forgot_password", person=ANNA)
    (mail,) = lab.those(Mail)
    assert mail.kind == "password_reset"
    lab.done("account", "reset_password", proofs=lab.secrets(link=mail.secret, new_password=NEW))
    assert lab.those(UnlockSpin) == [UnlockSpin("p1")]
    assert mailed(lab) == [("password_changed", ANNA)]
    assert lab.refused("account", "show", session=session) == "insufficient_rights"
    lab.log_in(ANNA, password=NEW)


def test_a_reset_that_cannot_be_done_does_not_spend_its_link() -> None:
    lab = lab_with_anna()
    lab.done("account", "forgot_password", person=ANNA)
    link = lab.those(Mail)[0].secret
    busy = {**lab.secrets(link=link), "new_password": Proof(refused="busy")}
    assert lab.refused("account", "reset_password", proofs=busy) == "busy"
    lab.done("account", "reset_password", proofs=lab.secrets(link=link, new_password=NEW))


def test_who_resets_the_password_of_an_account_that_was_never_confirmed_has_confirmed_it() -> None:
    lab = PeopleLab()
    lab.person(ANNA, confirmed=False, complete=False)
    lab.done("account", "forgot_password", person=ANNA)
    lab.done("account", "reset_password", proofs=lab.secrets(link=lab.those(Mail)[0].secret, new_password=NEW))
    assert lab.people.accounts["p1"].confirmed == lab.now


def test_a_changed_password_makes_links_to_reset_it_useless() -> None:
    lab = lab_with_anna()
    lab.done("account", "forgot_password", person=ANNA)
    link = lab.those(Mail)[0].secret
    lab.done("account", "change_password", person=ANNA, proofs=lab.secrets(ANNA, password=PASSWORD, new_password=NEW))
    assert lab.refused("account", "reset_password", proofs=lab.secrets(link=link, new_password="a third")) == "link_invalid"


def test_an_spin_is_set_in_a_session_or_with_the_password_and_not_by_a_tools_word_alone() -> None:
    lab = lab_with_anna()
    spin = lab.secrets(new_spin="4711")
    assert lab.refused("account", "set_spin", person=ANNA, proofs=spin) == "malformed"
    assert not has_spin(lab)
    wrong = lab.secrets(ANNA, new_spin="4711", password="wrong")
    assert lab.refused("account", "set_spin", person=ANNA, proofs=wrong) == "wrong_credentials"
    lab.done("account", "set_spin", session=lab.log_in(ANNA), proofs=spin)
    (kept,) = lab.those(KeepSpin)
    assert (kept.account, kept.spin) == ("p1", spin["new_spin"].digest)
    assert has_spin(lab)
    lab.done("account", "set_spin", person=ANNA, proofs=lab.secrets(ANNA, new_spin="4711", password=PASSWORD))


# --- the rest


def test_a_name_belongs_to_one_person() -> None:
    lab = lab_with_anna()
    lab.person("bo@example.com")
    lab.done("account", "settings", person=ANNA, user_name="anna", mobile="+46701740605")
    assert lab.refused("account", "settings", person="bo@example.com", user_name="ANNA") == "name_taken"
    assert lab.refused("account", "settings", person="bo@example.com", mobile="+46 70 1740605") == "name_taken"
    lab.done("account", "settings", person=ANNA, user_name="")
    lab.done("account", "settings", person="bo@example.com", user_name="anna")
    assert lab.refused("account", "settings", person=ANNA, user_name="p2") == "malformed"
    assert lab.refused("account", "settings", person=ANNA) == "malformed"


@pytest.mark.parametrize(("what", "taken", "free"), [("user_name", "anna", "bosse"), ("mobile", "+46701740605", "+46701740606")])
def test_nobody_asks_all_day_which_names_are_taken(what: str, taken: str, free: str) -> None:
    """Ten that others have: then none is looked at for a day, taken or free, and the name of one's own stays one's own."""
    lab = lab_with_anna()
    lab.person("bo@example.com")
    lab.done("account", "settings", person=ANNA, user_name="anna", mobile="+46701740605")
    lab.done("account", "settings", person="bo@example.com", user_name="bo-ek")
    for _ in range(NAMES_TRIED):
        assert lab.refused("account", "settings", person="bo@example.com", **{what: taken}) == "name_taken"
    lab.wait(DAY - 1)
    for name in (taken, free):
        assert lab.refused("account", "settings", person="bo@example.com", **{what: name}) == "too_many_tries"
    lab.done("account", "settings", person="bo@example.com", user_name="bo-ek", greeting="mr")
    lab.done("account", "settings", person=ANNA, user_name="anna-ek")
    lab.wait(1)
    lab.done("account", "settings", person="bo@example.com", **{what: free})


def test_a_consent_that_is_taken_back_is_told_by_mail() -> None:
    lab = lab_with_anna()
    lab.done("account", "consent", person=ANNA, what="research", version="1.0", given=True)
    assert mailed(lab) == []
    lab.done("account", "consent", person=ANNA, what="research", version="1.0", given=False)
    assert mailed(lab) == [("consent_withdrawn", ANNA)]
    assert lab.refused("account", "consent", person=ANNA, what="a\nb", version="1.0", given=True) == "malformed"


def test_a_dealer_identifies_a_person_who_has_a_name() -> None:
    lab = PeopleLab()
    lab.person(ANNA, complete=False)
    assert lab.refused("account", "identify", person=ANNA, dealer="North") == "not_complete"
    lab.done("account", "complete", person=ANNA, **DETAILS)
    lab.done("account", "identify", person=ANNA, dealer="North")
    assert lab.people.accounts["p1"].identified == lab.now


def test_nobody_identifies_oneself_in_an_app_or_sets_the_figures_of_the_fleet() -> None:
    lab = lab_with_anna()
    session = lab.log_in(ANNA)
    assert lab.refused("account", "identify", session=session, dealer="North") == "insufficient_rights"
    assert lab.refused("account", "figures", session=session, tries=1_000) == "insufficient_rights"
    assert lab.people.accounts["p1"].identified is None
    assert lab.people.figures.tries == 5


@pytest.mark.parametrize("change", [{"first_name": "Eva"}, {"last_name": "Falk"}, {"birth_date": "1990-05-18"}])
def test_who_takes_another_name_or_date_of_birth_has_to_be_seen_again(change: dict[str, str]) -> None:
    lab = PeopleLab()
    lab.person(ANNA, identified=True)
    lab.done("account", "complete", person=ANNA, **{**DETAILS, "country": "DE", "first_name": f" {DETAILS['first_name']} "})
    assert lab.people.accounts["p1"].identified is not None, "the same person moves to another country"
    lab.done("account", "complete", person=ANNA, **{**DETAILS, **change})
    assert lab.people.accounts["p1"].identified is None


def test_who_is_seeded_as_identified_stays_so_when_the_account_is_completed_first() -> None:
    lab = PeopleLab()
    lab.done("people", "seed", persons=[{"email": ANNA, "identified": True}], proofs=lab.secrets(new_password=PASSWORD))
    lab.done("account", "complete", person=ANNA, **DETAILS)
    assert lab.people.accounts["p1"].identified is not None


def test_what_is_shown_holds_no_secret() -> None:
    lab = lab_with_anna()
    lab.log_in(ANNA)
    shown = lab.done("account", "show", person=ANNA).data
    assert shown is not None
    assert (shown["email"], shown["devices"], shown["sessions"]) == (ANNA, ("phone",), 1)
    assert not shown.keys() & {"password", "password_version", "refresh", "session"}
    assert "argon2" not in str(shown)
    assert "sha256" not in str(shown)


@pytest.mark.parametrize("action", ["log_in", "send_link", "forgot_password"])
def test_without_a_name_nobody_is_meant(action: str) -> None:
    lab = lab_with_anna()
    words = {"device": "phone"} if action == "log_in" else {}
    assert lab.refused("account", action, proofs=lab.secrets(password=PASSWORD), **words) == "malformed"


# --- the clock


def test_a_clock_that_is_set_leaves_of_sessions_links_and_locks_what_was_left() -> None:
    """Backwards by years, such as a store that is taken up by another scenario; and forwards."""
    for shift in (-3 * 365 * DAY, 3 * 365 * DAY):
        lab = lab_with_anna()
        lab.done("account", "settings", person=ANNA, relogin_min=15)
        lab.done("account", "forgot_password", person=ANNA)
        link = lab.those(Mail)[0].secret
        lab.person("bo@example.com")
        for _ in range(5):
            lab.ask(
                "account", "log_in", person="bo@example.com", device="x", proofs=lab.secrets("bo@example.com", password="wrong")
            )
        session = lab.log_in(ANNA)
        lab.set_clock(shift)
        lab.wait(15 * MINUTE - 1)
        assert (
            lab.refused("account", "log_in", person="bo@example.com", device="x", proofs=lab.secrets(password="x"))
            == "too_many_tries"
        )
        assert lab.ask("account", "show", session=session).reason is None
        lab.wait(15 * MINUTE)
        assert lab.refused("account", "show", session=session) == "insufficient_rights"
        lab.log_in("bo@example.com")
        lab.wait(30 * MINUTE + 1)
        assert lab.refused("account", "reset_password", proofs=lab.secrets(link=link, new_password=NEW)) == "link_invalid"
