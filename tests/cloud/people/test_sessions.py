"""Sessions: how they begin, are renewed, go on while they are used, and end."""

from __future__ import annotations

import pytest

from fleet.cloud.people.figures import Figures
from fleet.cloud.people.sessions import is_to_be_noted, used
from fleet.cloud.people.tokens import digest_of
from fleet.kernel.instants import MINUTE, SECOND
from tests.cloud.people.lab import PeopleLab

ANNA = "anna@example.com"
RENEWED_FOR, SESSIONS, TOKEN_LIFETIME = Figures().renewed_for, Figures().sessions, Figures().token_lifetime


def lab_with_anna() -> PeopleLab:
    lab = PeopleLab()
    lab.person(ANNA)
    return lab


def log_in(lab: PeopleLab) -> tuple[str, str]:
    lab.log_in(ANNA)
    secrets = lab.answers[-1].secrets
    assert secrets is not None
    return secrets["session"], secrets["refresh"]


def renew(lab: PeopleLab, refresh: str) -> tuple[str, str]:
    secrets = lab.done("account", "refresh", proofs=lab.secrets(refresh=refresh)).secrets
    assert secrets is not None
    return secrets["session"], secrets["refresh"]


def show(lab: PeopleLab, session: str) -> str | None:
    return lab.ask("account", "show", session=session).reason


def test_a_token_holds_for_an_hour_and_is_renewed() -> None:
    lab = lab_with_anna()
    session, refresh = log_in(lab)
    lab.wait(TOKEN_LIFETIME - 1)
    assert show(lab, session) is None
    lab.wait(1)
    assert show(lab, session) == "insufficient_rights"
    another, _ = renew(lab, refresh)
    assert show(lab, another) is None


def test_what_renews_does_so_once_and_ends_the_token_before() -> None:
    lab = lab_with_anna()
    session, refresh = log_in(lab)
    another, _ = renew(lab, refresh)
    assert show(lab, session) == "insufficient_rights"
    assert show(lab, another) is None
    assert lab.refused("account", "refresh", proofs=lab.secrets(refresh=refresh)) == "session_ended"
    assert lab.refused("account", "refresh", proofs=lab.secrets(refresh=another)) == "session_ended"


def test_a_session_can_be_renewed_for_thirty_days_from_the_last_time() -> None:
    lab = lab_with_anna()
    _, refresh = log_in(lab)
    lab.wait(RENEWED_FOR - 1)
    _, refresh = renew(lab, refresh)
    lab.wait(RENEWED_FOR)
    assert lab.refused("account", "refresh", proofs=lab.secrets(refresh=refresh)) == "session_ended"


@pytest.mark.parametrize("minutes", [5, 10, 15])
def test_a_session_is_over_when_nobody_uses_it_for_as_long_as_was_chosen(minutes: int) -> None:
    lab = lab_with_anna()
    session, refresh = log_in(lab)
    lab.wait(10 * MINUTE)
    lab.done("account", "settings", session=session, relogin_min=minutes)
    for _ in range(3):
        lab.wait(minutes * MINUTE - 1)
        assert show(lab, session) is None, "it is used"
    lab.wait(minutes * MINUTE)
    assert show(lab, session) == "insufficient_rights"
    assert lab.refused("account", "refresh", proofs=lab.secrets(refresh=refresh)) == "session_ended"


def test_use_is_noted_where_it_matters_and_not_each_time() -> None:
    lab = lab_with_anna()
    session, _ = log_in(lab)
    digest = digest_of(session)
    lab.wait(MINUTE)
    assert not is_to_be_noted(lab.people, digest, lab.now)
    lab.done("account", "settings", session=session, relogin_min=5)
    assert not is_to_be_noted(lab.people, digest, lab.now + 14 * SECOND)
    assert is_to_be_noted(lab.people, digest, lab.now + 15 * SECOND)
    used(lab.people, digest, lab.now + 15 * SECOND)
    assert lab.people.sessions[digest].used == lab.now + 15 * SECOND
    assert not is_to_be_noted(lab.people, digest_of("another"), lab.now)


def test_a_use_does_not_bring_back_what_is_over() -> None:
    lab = lab_with_anna()
    session, _ = log_in(lab)
    lab.done("account", "settings", session=session, relogin_min=5)
    used(lab.people, digest_of(session), lab.now + 5 * MINUTE)
    assert lab.people.in_session(digest_of(session), lab.now + 5 * MINUTE) is None


def test_an_account_has_ten_sessions_and_the_oldest_makes_room() -> None:
    lab = lab_with_anna()
    tokens = [log_in(lab)[0] for _ in range(SESSIONS + 1)]
    assert [show(lab, token) for token in tokens] == ["insufficient_rights"] + [None] * SESSIONS
    assert len(lab.people.sessions) == SESSIONS


def test_sessions_outlive_a_restart_and_are_found_by_all_their_keys() -> None:
    lab = lab_with_anna()
    session, refresh = log_in(lab)
    again = lab.again()
    assert show(again, session) is None
    another, _ = renew(again, refresh)
    assert show(again, another) is None
    assert again.people.sessions.of("p1") == [digest_of(another)]


def test_no_token_is_kept() -> None:
    lab = lab_with_anna()
    session, refresh = log_in(lab)
    kept = str(lab.notes) + str([output for output in lab.outputs if "Keep" in type(output).__name__])
    assert session not in kept
    assert refresh not in kept
    assert session not in repr(lab.outputs)
