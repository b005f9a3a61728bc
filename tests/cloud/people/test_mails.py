"""Each kind of mail has its data."""

from __future__ import annotations

from fleet.cloud.people.mails import MAILS, WITH_SECRET


def test_kinds_with_a_secret_are_kinds() -> None:
    assert set(MAILS) >= WITH_SECRET
    assert all(names == tuple(dict.fromkeys(names)) for names in MAILS.values())
