"""What people do in a car to enrol and to log in, judged by what the car shows and asks: its way, its codes, its keys, its S-PIN.

Source: enrolment, account and sessions of the domain description. Figures marked ours there are in the words of the checks.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleet.checks.check import Check, Handlers, is_first
from fleet.kernel.instants import MINUTE, Duration, Instant
from fleet.observe.journal import Begin, Output
from fleet.vehicle.catalogue import Equipment

QR_LASTS: Final[Duration] = 5 * MINUTE
KEYS_WITHIN: Final[Duration] = 10 * MINUTE
CODES_KEPT: Final = 20_000
EIGHT_DIGITS: Final = re.compile("[0-9]{8}")
FOUR_DIGITS: Final = re.compile("[0-9]{4}")
TWO_KEYS: Final = frozenset({"Leon", "Formentor"})


def _way(equipment: Equipment) -> str:
    """G4 shows a QR code, G3 has an assistant with its navi system; without, a Leon takes both keys, an Ateca a code."""
    if equipment.generation == "G4":
        return "qr"
    if equipment.media == "navi_system":
        return "assistant"
    return "two_keys" if equipment.model in TWO_KEYS else "code"


class EnrolledInCar(Check):
    """A car is enrolled in the way of its model, by what that way asks for; an S-PIN leaves it sealed.

    A QR code lasts five minutes, and no other is like it. Both keys are asked with in their order, the second one at most ten
    minutes after the first (ours). A pairing code has eight digits.
    """

    name = "enrolled in the car"
    rule = "each model is enrolled in its way, with QR codes of 5 min, keys in their order, 8 digits; S-PINs are sealed"
    looks_at = "codes, keys and requests"

    def __init__(self, begin: Begin, equipment: Mapping[str, Equipment]) -> None:
        """Take the equipment of the cars, by VIN, as far as it is known."""
        super().__init__(begin)
        self._equipment = equipment
        self._codes: OrderedDict[str, str] = OrderedDict()
        self._first_key: dict[str, Instant] = {}
        self._both_keys: dict[str, Instant] = {}
        self._unsure: set[str] = set()

    def forget(self, machine: str) -> None:
        """What a car did with its keys it may not have told."""
        self._first_key.pop(machine, None)
        self._unsure.add(machine)

    def handlers(self) -> Handlers:
        return {("out", "Transmit", "Event"): self._shows, ("out", "Transmit", "Request"): self._asks}

    def _shows(self, record: Output, line: int) -> None:
        event = record.data["message"]
        if event["name"] not in {"qr_shown", "key_presented"} or not is_first(record):
            return
        self.looked_at += 1
        if event["name"] == "qr_shown":
            found = [*self._wrong_way(event, "qr"), *self._wrong_code(record.m, event)]
        else:
            found = [*self._wrong_way(event, "two_keys")]
            self._present(record.m, event["data"]["key"], event["captured_at"])
        for told in found:
            self.breach(line, record.m, told)

    def _wrong_way(self, message: dict[str, Any], way: str) -> Iterator[str]:
        fitted = self._equipment.get(message["vin"])
        if fitted is not None and _way(fitted) != way:
            yield f"the way {way} is gone by a {fitted.model} with a {fitted.media}, whose way is {_way(fitted)}"

    def _wrong_code(self, machine: str, event: dict[str, Any]) -> Iterator[str]:
        code, until = event["data"]["code"], event["data"]["until"]
        if until != event["captured_at"] + QR_LASTS:
            yield f"a QR code is shown for {(until - event['captured_at']) / MINUTE:g} min, and not for 5"
        if code in self._codes:
            yield f"a QR code is shown that {self._codes[code]} has shown before"
        self._codes[code] = machine
        if len(self._codes) > CODES_KEPT:
            self._codes.popitem(last=False)

    def _present(self, machine: str, key: str, at: Instant) -> None:
        first = self._first_key.pop(machine, None)
        if key == "first":
            self._first_key[machine] = at
            self._unsure.discard(machine)
        elif first is not None and at - first <= KEYS_WITHIN:
            self._both_keys[machine] = at

    def _asks(self, record: Output, line: int) -> None:
        request = record.data["message"]
        if request["name"] not in {"enrolment", "log_in"} or not is_first(record):
            return
        self.looked_at += 1
        for told in self._wrong_request(record.m, request, request["data"]):
            self.breach(line, record.m, told)

    def _wrong_request(self, machine: str, request: dict[str, Any], data: dict[str, Any]) -> Iterator[str]:
        sealed = data.get("sealed_spin")
        if sealed is not None and (FOUR_DIGITS.fullmatch(sealed) or len(sealed) < 20):
            yield f"{request['name']} has an S-PIN that is not sealed"
        if request["name"] == "log_in":
            if sealed is None and not data.get("saved"):
                yield "log_in has no S-PIN, and none was saved"
            return
        yield from self._wrong_way(request, data["way"])
        if data["way"] == "code" and not EIGHT_DIGITS.fullmatch(data.get("code", "")):
            yield "enrolment is asked with a code that has not eight digits"
        if data["way"] == "assistant" and data.get("step", "begin") == "begin" and sealed is None:
            yield "the assistant begins without an S-PIN"
        if data["way"] == "two_keys":
            both_at = self._both_keys.pop(machine, None)
            if both_at != request["captured_at"] and machine not in self._unsure:
                yield "enrolment by two keys is asked, and they were not presented in their order within 10 min"
