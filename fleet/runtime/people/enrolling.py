"""What people do to have an account and a car, step by step, as `flows` runs it; with the mistakes that some make first.

A mistake that is not refused fails the whole: then a rule is missing. Each flow returns None, or how it ended: `rejected(REASON)`
by the back end, `failed(REASON)` where something that must come did not.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, Final

from fleet.kernel.instants import MINUTE, SECOND
from fleet.runtime.people.flows import Ask, Flow, InCar, OnScreen, ReadMail, Seen, Wait, Want
from fleet.runtime.people.person import Person
from fleet.runtime.screen import sealed
from fleet.scenario.persons import EnrolWay, Mistake
from fleet.vehicle.car import Car
from fleet.vehicle.services.online import Shown
from fleet.vehicle.signals import EnrolInCar, EnterCode, LogIn, ShowQr, UseKey, WorldInput
from fleet.wire.messages import DeskAnswer, Event

TERMS: Final = {"terms": "1", "privacy": "1"}
DEALER: Final = "Auto Nord"
_A_MOMENT: Final = 20 * SECOND
"""So long somebody takes from one screen to the other."""
_AT_HOME_WITHIN: Final = 30 * MINUTE
TRIES: Final = 5
"""So often somebody asks while the back end says that it is busy."""
_BUSY: Final = "busy"
_TOO_LATE: Final = 5 * MINUTE + SECOND
_OTHER_QR: Final = "0" * 16
_HOME: Final = ("user_enrolled",)

Step = Generator[Want, Any, str | None]
Does = WorldInput | Callable[[Car], WorldInput]


def ended(answer: DeskAnswer) -> str | None:
    """Return how a request ended, None where it succeeded."""
    return None if answer.state == "succeeded" else f"{answer.state}({answer.reason})"


def _done(ask: Ask) -> Step:
    return ended((yield from _patiently(ask)))


def _patiently(ask: Ask) -> Generator[Want, Any, DeskAnswer]:
    """Ask again, and wait longer each time, while the back end has too much to do."""
    answer: DeskAnswer = yield ask
    for tried in range(TRIES - 1):
        if answer.reason != _BUSY:
            break
        yield Wait(MINUTE << tried)
        answer = yield ask
    return answer


def register(person: Person) -> Flow:
    """Get an account: register, follow the link in the mail, complete it, set an S-PIN, be seen by a dealer."""
    failed = yield from _done(Ask("account", "register", data={"email": person.email, "language": person.language}))
    if failed is not None:
        return failed
    link = yield ReadMail("confirm_address")
    if link is None:
        return "failed(no_mail)"
    yield Wait(_A_MOMENT)
    details = {
        "first_name": person.first_name, "last_name": person.last_name, "birth_date": person.birth_date,
        "country": person.country, "language": person.language, **TERMS,
    }  # fmt: skip
    for ask in (
        Ask("account", "confirm", given={"link": link}),
        Ask("account", "complete", data=details),
        Ask("account", "set_spin"),
        *([Ask("account", "identify", data={"dealer": DEALER})] if person.verified else []),
    ):
        failed = yield from _done(ask)
        if failed is not None:
            return failed
    person.registered = True
    return None


def set_spin(_person: Person) -> Flow:
    """Choose an S-PIN, as everybody must before the first command that wants one."""
    return (yield from _done(Ask("account", "set_spin")))


def log_in(person: Person) -> Flow:
    """Log in with the app."""
    return (yield from _done(Ask("account", "log_in", data={"device": person.device})))


def log_in_car(person: Person, vin: str, *, is_right: bool = True) -> Flow:
    """Log in on the screen of a car, with the S-PIN or with another one."""
    if not person.has_spin:
        failed = yield from set_spin(person)
        if failed is not None:
            return failed
    spin = person.spin if is_right else person.wrong_spin
    shown = yield from _shown_in_car(vin, lambda car: LogIn(person.account, sealed(car, spin)))
    if shown is None:
        return "failed(no_answer)"
    is_in = shown.reason is None or shown.request != "log_in"  # then the car has asked for that user's settings since
    return None if is_in else f"rejected({shown.reason})"


def enrol(person: Person, vin: str, way: EnrolWay, mistake: Mistake | None = None) -> Flow:
    """Become the primary user of a car, by way of an account where there is none yet."""
    if not person.registered:
        failed = yield from register(person)
        if failed is not None:
            return failed
    if not person.has_spin and way == "assistant":
        failed = yield from set_spin(person)
        if failed is not None:
            return failed
    if mistake == "wrong_vin":
        wrong = yield Ask("enrol", "begin", f"{vin[:-1]}O", {"way": way})
        if ended(wrong) is None:
            return _taken(mistake)
    return (yield from _WAYS[way](person, vin, mistake))


def _taken(mistake: Mistake) -> str:
    return f"failed(taken_{mistake})"


def _refused(ask: Ask, mistake: Mistake, reason: str) -> Step:
    """Do something wrong; return None where it was refused for that reason."""
    answer = yield from _patiently(ask)
    return None if ended(answer) == f"rejected({reason})" else _taken(mistake)


# --- by QR code


def _by_qr(_person: Person, vin: str, mistake: Mistake | None) -> Flow:
    failed = yield from _done(Ask("enrol", "begin", vin, {"way": "qr"}))
    if failed is not None:
        return failed
    consents = {"privacy": True, "terms": True, "contract": True}
    if mistake == "consent_missing":
        refusing = Ask("enrol", "consents", vin, consents | {"contract": False})
        failed = yield from _refused(refusing, mistake, "consent_missing")
        if failed is not None:
            return failed
    failed = yield from _done(Ask("enrol", "consents", vin, consents))
    if failed is not None:
        return failed
    code = yield from _shown_qr(vin)
    if code is None:
        return "failed(no_code)"
    if mistake == "expired_code":
        yield Wait(_TOO_LATE)
        failed = yield from _refused(Ask("enrol", "scan", vin, {"code": code}), mistake, "code_expired")
        code = yield from _shown_qr(vin)
    if mistake == "wrong_code":
        failed = yield from _refused(Ask("enrol", "scan", vin, {"code": _OTHER_QR}), mistake, "code_wrong")
    if failed is not None or code is None:
        return failed or "failed(no_code)"
    failed = yield from _done(Ask("enrol", "scan", vin, {"code": code}))
    return failed if failed is not None else (yield from _at_home())


def _shown_qr(vin: str) -> Generator[Want, Any, str | None]:
    """Have the car show a QR code, and read it."""
    yield InCar(vin, ShowQr())
    shown: Event | None = yield Seen(("qr_shown",), MINUTE)
    yield Wait(_A_MOMENT)
    return None if shown is None else str(shown.data.get("code"))


# --- in the car


def _by_assistant(person: Person, vin: str, mistake: Mistake | None) -> Flow:
    if mistake == "wrong_spin":
        failed = yield from _refused_in_car(vin, partial(_assistant, person, person.wrong_spin), mistake, "spin_wrong")
        if failed is not None:
            return failed
    if mistake == "consent_missing":
        nothing = partial(_assistant, person, person.spin, consents=())
        failed = yield from _refused_in_car(vin, nothing, mistake, "consent_missing")
        if failed is not None:
            return failed
    return (yield from _taken_in_car(vin, partial(_assistant, person, person.spin)))


def _assistant(person: Person, spin: str, car: Car, consents: tuple[Any, ...] = ("privacy", "terms", "contract")) -> WorldInput:
    return EnrolInCar(person.account, sealed(car, spin), consents)


def _by_keys(_person: Person, vin: str, mistake: Mistake | None) -> Flow:
    failed = yield from _done(Ask("enrol", "begin", vin, {"way": "two_keys"}))
    if failed is not None:
        return failed
    if mistake == "second_key_first":
        yield InCar(vin, UseKey("second"))
        if (yield Seen(_HOME, MINUTE)) is not None:
            return _taken(mistake)
    yield Wait(_A_MOMENT)
    return (yield from _taken_in_car(vin, UseKey("first"), UseKey("second")))


def _by_code(person: Person, vin: str, mistake: Mistake | None) -> Flow:
    failed = yield from _done(Ask("enrol", "begin", vin, {"way": "code"}))
    if failed is not None:
        return failed
    code = person.code or ""
    yield Wait(_A_MOMENT)
    if mistake == "wrong_code":
        other = EnterCode(f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}")
        failed = yield from _refused_in_car(vin, other, mistake, "code_wrong")
        if failed is not None:
            return failed
    return (yield from _taken_in_car(vin, EnterCode(code)))


def _shown_in_car(vin: str, *does: Does) -> Generator[Want, Any, Shown | None]:
    """Do something in a car, and return what its screen shows then; again while the back end has too much to do."""
    shown: Shown | None = None
    for tried in range(TRIES):
        for each in does:
            yield InCar(vin, each)
            if each is not does[-1]:
                yield Wait(_A_MOMENT)
        shown = yield OnScreen(vin, over=_HOME)
        if shown is None or shown.reason != _BUSY:
            break
        yield Wait(MINUTE << tried)
    return shown


def _taken_in_car(vin: str, *does: Does) -> Step:
    """Do something in a car, and wait until it says that its user is at home; or return why not."""
    shown = yield from _shown_in_car(vin, *does)
    if shown is None:  # as after a take-over, by which the car forgets what it has shown
        return "failed(no_answer)" if (yield Seen(_HOME, 0)) is None else None
    if shown.data is None:
        return "failed(no_answer)" if shown.reason is None else f"rejected({shown.reason})"
    return (yield from _at_home())


def _at_home() -> Step:
    return "failed(not_at_home)" if (yield Seen(_HOME, _AT_HOME_WITHIN)) is None else None


def _refused_in_car(vin: str, does: Does, mistake: Mistake, reason: str) -> Step:
    shown = yield from _shown_in_car(vin, does)
    if shown is None:
        return "failed(no_answer)"
    return None if shown.reason == reason else _taken(mistake)


_WAYS: Final[Mapping[EnrolWay, Callable[[Person, str, Mistake | None], Flow]]] = {
    "qr": _by_qr,
    "assistant": _by_assistant,
    "two_keys": _by_keys,
    "code": _by_code,
}
