"""The figures of accounts that are ours: each can be set, for the fleet as a whole, and is kept with what is known of people."""

from __future__ import annotations

from typing import Final

import msgspec

from fleet.kernel.instants import DAY, HOUR, MINUTE, Duration


class Figures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """`tries` wrong passwords of an account, and `tries_of_origin` from one origin, lock it for `locked_min`.

    A session's token holds for `token_min` and can be renewed for `renewed_days`. Links to confirm and to reset are of use for
    `confirm_hours` and `reset_min`. People are `youngest` to `oldest` years old.
    """

    tries: int = 5
    tries_of_origin: int = 20
    locked_min: int = 15
    token_min: int = 60
    renewed_days: int = 30
    sessions: int = 10
    devices: int = 20
    confirm_hours: int = 72
    reset_min: int = 60
    youngest: int = 16
    oldest: int = 120

    @property
    def locked(self) -> Duration:
        """How long who has guessed too often waits, from the last wrong guess."""
        return self.locked_min * MINUTE

    @property
    def token_lifetime(self) -> Duration:
        """How long a token holds until it is renewed."""
        return self.token_min * MINUTE

    @property
    def renewed_for(self) -> Duration:
        """How long a session can be renewed, from the last time."""
        return self.renewed_days * DAY

    def link_lifetime(self, purpose: str) -> Duration:
        """Return how long a link is of use."""
        return self.confirm_hours * HOUR if purpose == "confirm" else self.reset_min * MINUTE


STANDARD: Final = Figures()
