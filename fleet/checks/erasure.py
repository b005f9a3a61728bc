"""Whether nothing of an erased car is kept, sent or told after its erasure.

Knows the erasure by the output `Erase` of the centre, and judges what is stored by the journal of the store alone. What an erased
car says by itself, it may: it forgets its people only once the reset has reached it. It is heard of again with the first message
by which somebody makes it their own, or it calls for help.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fleet.checks.check import Check, Handlers
from fleet.checks.people import PEOPLE
from fleet.observe.journal import Begin, Input, Output, StoredBatch
from fleet.observe.story import CAR

SPEAKS_AGAIN: Final = frozenset(
    {"car_paired", "user_enrolled", "qr_shown", "key_presented", "ecall", "breakdown_call", "info_call", "enrolment"}
)
_OF_CENTRE: Final = "centre-"
RESET: Final = "reset"


class ForgottenCars(Check):
    """After an erasure the store takes nothing of the car, no notice, reply or command is about it, but the reset itself."""

    name = "forgotten cars"
    rule = "nothing of an erased car is stored, told or commanded after the erasure, but what makes it forget"
    looks_at = "messages, notices and commands of erased cars"

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin)
        self._erased: dict[str, int] = {}
        """Scenario time of the erasure, by VIN, of cars that have not been heard of again."""
        self._until: dict[str, int] = {}
        """Up to when what a car has measured is never stored."""
        self._captured: dict[tuple[str, int, int], tuple[int, str]] = {}

    def handlers(self) -> Handlers:
        return {
            ("out", "Erase"): self._is_erased,
            ("out", "Transmit"): self._is_sent,
            ("stored",): self._is_stored,
            ("out", "Notify"): self._is_told,
            ("out", "SendReply"): self._is_told,
            ("out", "CommandOpened"): self._is_opened,
            ("out", "SendCommand"): self._is_commanded,
            ("in", "EnrolmentAsked"): self._is_enrolled,
            ("out", "Keep"): self._has_somebody,
        }

    def _is_erased(self, record: Output, _line: int) -> None:
        for car in record.data["cars"]:
            vin = car["vin"]
            self._until[vin] = max(car["until"], self._until.get(vin, 0))
            if car["whole"]:
                self._erased[vin] = record.t

    def _is_sent(self, record: Output, _line: int) -> None:
        message: dict[str, Any] = record.data["message"]
        if message["vin"] in self._until:
            number = (message["vin"], message["boot"], message["seq"])
            self._captured[number] = (message["captured_at"], message.get("name") or "")

    def _is_stored(self, record: StoredBatch, line: int) -> None:
        for vin, boot, seq, kind in record.messages:
            sent = self._captured.get((vin, boot, seq))
            if sent is None:
                continue  # it was sent before, and goes with what was stored by then
            self.looked_at += 1
            captured_at, name = sent
            if captured_at <= self._until[vin]:
                self.breach(line, CAR + vin, f"{kind} {seq} is stored, and was measured before the car was erased")
            elif vin in self._erased and name in SPEAKS_AGAIN:
                del self._erased[vin]
            elif vin in self._erased:
                self.breach(line, CAR + vin, f"{kind} {seq} is stored, and nobody has made the car their own since it was erased")

    def _is_told(self, record: Output, line: int) -> None:
        vin = record.data["vin"]
        if vin in self._erased and record.data.get("kind") not in SPEAKS_AGAIN:
            self.looked_at += 1
            self.breach(line, record.m, f"a {record.type} is about {vin}, all of which was erased")

    def _is_opened(self, record: Output, line: int) -> None:
        opened = record.data["record"]
        self._judge_command(record, opened["vin"], opened["id"], opened["name"], line)

    def _is_commanded(self, record: Output, line: int) -> None:
        command = record.data["command"]
        self._judge_command(record, command["vin"], command["id"], command["name"], line)

    def _judge_command(self, record: Output, vin: str, command_id: str, name: str, line: int) -> None:
        if vin not in self._erased:
            return
        self.looked_at += 1
        if not (command_id.startswith(_OF_CENTRE) and name == RESET):
            self.breach(line, record.m, f"{name} of {vin} is kept or sent, and all of the car was erased")

    def _has_somebody(self, record: Output, _line: int) -> None:
        """Hear of a car that somebody has made their own; what it said itself may stand in another journal."""
        note = record.data
        vin = note["key"].removeprefix("car/")
        if note["module"] != PEOPLE or vin not in self._erased or note["value"] is None:
            return
        if msgspec.json.decode(note["value"]).get("users"):
            del self._erased[vin]

    def _is_enrolled(self, record: Input, _line: int) -> None:
        self._erased.pop(record.data["request"]["vin"], None)
