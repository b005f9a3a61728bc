"""The outcome of a case of a suite."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["passed", "failed", "skipped"]


class Outcome(msgspec.Struct, frozen=True):
    """How a case ended. `wanted` and `seen` are words, the same in each run; `transcript` is all that came in, in bytes.

    `detail` is what a foreign program says, for people.
    """

    case: str
    status: Status
    wanted: str = ""
    seen: str = ""
    transcript: tuple[str, ...] = ()
    detail: str = ""
