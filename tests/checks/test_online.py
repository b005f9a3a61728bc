"""Online requests in journals written by hand: what is broken, and what only looks so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fleet.kernel.instants import SECOND
from tests.checks.lab import CAR, VIN, Paper, broken, told

ENDS = {"request ends", "replies heard"}


class Asking(Paper):
    """A car that asks for parking places."""

    def ask(self, request_id: str = "r1", *, for_s: int = 30) -> None:
        expires_at = self.now + SECOND + for_s * SECOND
        self.send("Request", id=request_id, name="parking_places", data={}, expires_at=expires_at)

    def hear(self, request_id: str = "r1", *, error: str | None = None, name: str = "parking_places") -> None:
        reply: dict[str, Any] = {"id": request_id, "name": name}
        self.write(CAR, "in", "Received", {"message": reply | ({} if error is None else {"error": error})}, "Reply")
        self.now -= SECOND  # the car tells it in the same instant

    def end(self, how: str, request_id: str = "r1", **more: str) -> None:
        self.event(f"request_{how}", id=request_id, request="parking_places", **more)

    def found(self, folder: Path) -> set[str]:
        return broken(self.judge(folder)) & ENDS


def test_an_answer_an_error_and_a_time_out_hold(tmp_path: Path) -> None:
    paper = Asking()
    paper.ask()
    paper.hear()
    paper.end("answered")
    paper.ask("r2")
    paper.hear("r2", error="not_found")
    paper.end("failed", "r2", reason="not_found")
    paper.ask("r3")
    paper.now += 29 * SECOND
    paper.end("timed_out", "r3")
    paper.hear("r3")
    paper.now += 10 * SECOND
    paper.status()
    paper.end("failed", "r4", reason="no_network")
    assert paper.found(tmp_path) == set()


@pytest.mark.parametrize(
    ("how", "more", "words"),
    [("answered", {}, "no reply came in time"), ("failed", {"reason": "not_found"}, "no reply came in time")],
)
def test_an_end_without_a_reply_is_found(tmp_path: Path, how: str, more: dict[str, str], words: str) -> None:
    paper = Asking()
    paper.ask()
    paper.hear(name="traffic")
    paper.end(how, **more)
    found = paper.judge(tmp_path)
    assert broken(found) & ENDS == {"replies heard"}
    assert words in told(found, "replies heard")[0]


def test_a_time_out_after_a_reply_or_at_another_time_is_found(tmp_path: Path) -> None:
    paper = Asking()
    paper.ask()
    paper.hear()
    paper.end("timed_out")
    paper.ask("r2", for_s=60)
    paper.end("timed_out", "r2")
    found = paper.judge(tmp_path)
    assert len(told(found, "replies heard")) == 2
    assert broken(found) & ENDS == {"replies heard"}


def test_a_request_without_an_end_is_found_by_the_next_status(tmp_path: Path) -> None:
    """Not before: its end may wait in the outbox."""
    paper = Asking()
    paper.ask()
    paper.pass_time(5)
    assert paper.found(tmp_path) == set()
    paper.status()
    assert paper.found(tmp_path) == {"request ends"}


@pytest.mark.parametrize(("type_", "data"), [("SetPrivacy", {"mode": "offline"}), ("ResetCar", {"user": None})])
def test_a_car_that_falls_silent_need_not_tell(tmp_path: Path, type_: str, data: dict[str, Any]) -> None:
    """And what was dropped before it was sent may time out."""
    paper = Asking()
    paper.ask()
    paper.write(CAR, "in", type_, data)
    paper.pass_time(5)
    paper.status()
    paper.end("timed_out", "never-sent")
    assert paper.found(tmp_path) == set()


def test_a_reply_to_nobody_is_found(tmp_path: Path) -> None:
    """The service centre replies to what it was asked, to the car that asked."""
    paper = Asking()
    paper.write("centre", "in", "Request", {"vin": VIN, "id": "r1", "name": "traffic"})
    reply = {"id": "r1", "name": "traffic", "data": {"incidents": []}}
    paper.write("centre", "out", "SendReply", {"vin": VIN, "reply": reply, "lifetime": 1})
    assert "replies fit" not in broken(paper.judge(tmp_path))
    paper.write("centre", "out", "SendReply", {"vin": VIN.replace("0", "1"), "reply": reply, "lifetime": 1})
    assert "replies fit" in broken(paper.judge(tmp_path))
