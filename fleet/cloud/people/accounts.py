"""Accounts: registered, confirmed by a link to the e-mail, completed; logged in, changed, shown. What is (ours) says so.

Whoever asks learns of no address whether it has an account: registering one that has, and asking for a link to one that has none,
is answered as if it were otherwise, and only its owner is told, by mail. User names and mobile numbers are one person's each:
that one is taken is told, so that is bounded; so is whether a user to be invited has an account (`users`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

from msgspec.structs import replace

from fleet.cloud.countries import load_countries
from fleet.cloud.desk_io import ForgetSpin, KeepSpin, UnlockSpin
from fleet.cloud.people import car_log_in, links, names, sessions, sign_in
from fleet.cloud.people.consents import consented, decide
from fleet.cloud.people.mails import mail_to
from fleet.cloud.people.part import Action, Asking, Part, Refused, Words, replied
from fleet.cloud.people.personal import birth_date_fault, name_fault
from fleet.cloud.people.records import Account
from fleet.cloud.rule import Done, Proof, RuleOutput
from fleet.kernel.instants import DAY, HOUR, Duration, Instant
from fleet.wire.messages import Request

Language = Literal["en", "de", "es", "fr", "it", "cs", "sv"]
Greeting = Literal["ms", "mr", "neutral"]

_TOLD_AGAIN: Final = HOUR
"""The owner of an address is told at most so often that somebody has tried to register it (ours)."""
NAMES_TRIED: Final = 10
"""User names and mobile numbers of others that a person asks for until none is looked at for a day from the last (ours)."""
_LINK_SENT: Final = {"state": "link_sent"}


class Register(Words, frozen=True, kw_only=True):
    email: str
    language: Language = "en"


class Complete(Words, frozen=True, kw_only=True):
    """The versions of terms and privacy notice are those that the person accepts."""

    first_name: str
    last_name: str
    birth_date: str
    country: str
    terms: str
    privacy: str
    language: Language | None = None
    greeting: Greeting = "neutral"


class OfDevice(Words, frozen=True, kw_only=True):
    device: str


class Settings(Words, frozen=True, kw_only=True):
    """None leaves as it is; "" removes a name, 0 minutes the time-out."""

    language: Language | None = None
    country: str | None = None
    greeting: Greeting | None = None
    user_name: str | None = None
    mobile: str | None = None
    relogin_min: int | None = None
    push: bool | None = None


class ToText(Words, frozen=True, kw_only=True):
    what: str
    version: str
    given: bool


class Identify(Words, frozen=True, kw_only=True):
    dealer: str


class Changed(Words, frozen=True, kw_only=True):
    """Figures to be set; None leaves one as it is."""

    tries: int | None = None
    tries_of_origin: int | None = None
    locked_min: int | None = None
    token_min: int | None = None
    renewed_days: int | None = None
    sessions: int | None = None
    devices: int | None = None
    confirm_hours: int | None = None
    reset_min: int | None = None
    youngest: int | None = None
    oldest: int | None = None


class Nothing(Words, frozen=True, kw_only=True):
    """No words."""


class Accounts(Part):
    """The account of a person, from the first mail to the last session."""

    service: ClassVar[str] = "account"
    requests: ClassVar[frozenset[str]] = frozenset({car_log_in.REQUEST})

    def actions(self) -> Mapping[str, Action]:
        return {
            "register": self._register,
            "send_link": self._send_link,
            "confirm": self._confirm,
            "complete": self._complete,
            "log_in": self._log_in,
            "refresh": self._refresh,
            "log_out": self._log_out,
            "change_password": self._change_password,
            "forgot_password": self._forgot_password,
            "reset_password": self._reset_password,
            "set_spin": self._set_spin,
            "settings": self._settings,
            "consent": self._consent,
            "identify": self._identify,
            "delete_device": self._delete_device,
            "show": self._show,
            "figures": self._figures,
        }

    def request(self, request: Request, proofs: Mapping[str, Proof], now: Instant) -> Sequence[RuleOutput]:
        """Log somebody in on the screen of a car."""
        return replied(request, now, lambda: (car_log_in.log_in(self.people, request, proofs), ()))

    def has_pending_times(self) -> bool:
        """Tell whether something is to move when scenario time is set anew."""
        return bool(self.people.sessions or self.people.links or self.people.tries)

    def clock_moved(self, shift: Duration) -> None:
        """Leave of sessions, links and locks what was left of them."""
        sessions.shift(self.people, shift)
        for key, link in list(self.people.links.items()):
            self.people.links.put(key, replace(link, until=link.until + shift))
        for key, tries in list(self.people.tries.items()):
            self.people.tries.put(key, replace(tries, until=tries.until + shift))

    # --- registration

    def _register(self, asking: Asking) -> Done:
        words, proof = asking.words(Register), asking.proof("new_password")
        address = _read(names.mail_address, words.email, "email")
        sign_in.check_registrations(self.people, asking)
        owner = self.people.named(address)
        outputs: list[RuleOutput] = []
        if owner is not None:
            if not self._is_abandoned(owner, asking.now):
                return Done(self._address_known(owner, asking), _LINK_SENT)
            outputs.append(self._drop(owner))
        account = Account(
            id=f"p{self.people.next_number('account')}",
            email=address,
            registered=asking.now,
            password=proof.digest,
            password_version=1,
            language=words.language,
        )
        self.people.put_account(account)
        return Done([*outputs, *links.send_link(self.people, account, "confirm", asking)], _LINK_SENT)

    def _is_abandoned(self, account: Account, now: Instant) -> bool:
        """Tell whether nobody has confirmed the address of an account in time: whoever registers it next begins anew."""
        held = (self.people.links[key] for key in self.people.links.of(account.id))
        return account.confirmed is None and not any(link.purpose == "confirm" and now < link.until for link in held)

    def _drop(self, account: Account) -> RuleOutput:
        """Keep nothing of an account that was never confirmed, and so has no car."""
        sessions.end_sessions(self.people, account.id)
        links.forget_links(self.people, account.id)
        sign_in.unlock(self.people, account)
        self.people.drop_account(account.id)
        return ForgetSpin(account.id)

    def _address_known(self, owner: Account, asking: Asking) -> list[RuleOutput]:
        key = f"known/{owner.id}"
        if sign_in.count_of(self.people, key, asking.now):
            return []
        sign_in.count(self.people, key, asking.now, _TOLD_AGAIN, 1)
        return [mail_to(owner, "address_known")]

    def _send_link(self, asking: Asking) -> Done:
        asking.words(Nothing)
        account = self._named(asking)
        if account is None or account.confirmed is not None:
            return Done(data=_LINK_SENT)
        return Done(links.send_link(self.people, account, "confirm", asking), _LINK_SENT)

    def _confirm(self, asking: Asking) -> Done:
        asking.words(Nothing)
        account = links.follow(self.people, "confirm", asking)
        self.people.put_account(replace(account, confirmed=asking.now))
        return Done(data={"account": account.id})

    def _complete(self, asking: Asking) -> Done:
        words, account = asking.words(Complete), self._account(asking)
        first, last = words.first_name.strip(), words.last_name.strip()
        for what, name in (("first_name", first), ("last_name", last)):
            _object(what, name_fault(name), "malformed")
        _object("birth_date", birth_date_fault(words.birth_date, asking.now, self.people.figures), "argument_out_of_range")
        before = (account.first_name, account.last_name, account.birth_date)
        if account.last_name and (first, last, words.birth_date) != before:
            account = replace(account, identified=None)  # no dealer has seen a person of this name (ours)
        account = replace(
            account,
            first_name=first,
            last_name=last,
            birth_date=words.birth_date,
            country=_market(words.country),
            language=words.language or account.language,
            greeting=words.greeting,
        )
        for text, version in (("terms", words.terms), ("privacy", words.privacy)):
            account = consented(account, text, version, given=True, now=asking.now)
        self.people.put_account(account)
        return Done(data={"account": account.id})

    # --- sessions

    def _log_in(self, asking: Asking) -> Done:
        words = asking.words(OfDevice)
        device = _device(words.device)
        account = sign_in.signed_in(self.people, asking, self._name(asking))
        outputs: list[RuleOutput] = []
        if device not in account.devices:
            account = replace(account, devices=(*account.devices, device)[-self.people.figures.devices :])
            self.people.put_account(account)
            outputs.append(mail_to(account, "new_device", device=device, at=asking.now))
        secrets = sessions.open_session(self.people, account, device, asking)
        return Done(outputs, {**self._of_session(account, device, asking), "new_device": bool(outputs)}, secrets=secrets)

    def _refresh(self, asking: Asking) -> Done:
        asking.words(Nothing)
        session, secrets = sessions.renew(self.people, asking)
        return Done(data=self._of_session(self.people.accounts[session.account], session.device, asking), secrets=secrets)

    def _log_out(self, asking: Asking) -> Done:
        asking.words(Nothing)
        if asking.session is None:
            raise Refused("session_ended", "log out in the session that is to end; this one is over")
        self.people.sessions.drop(asking.session)
        return Done()

    def _delete_device(self, asking: Asking) -> Done:
        words, account = asking.words(OfDevice), self._account(asking)
        device = _device(words.device)
        if device not in account.devices:
            raise Refused("unknown_device", "the account knows no such device; show lists those that it knows")
        self.people.put_account(replace(account, devices=tuple(each for each in account.devices if each != device)))
        return Done(data={"sessions": sessions.end_sessions(self.people, account.id, device=device)})

    # --- secrets

    def _change_password(self, asking: Asking) -> Done:
        asking.words(Nothing)
        self._account(asking)
        account = sign_in.signed_in(self.people, asking, self._name(asking))
        return self._with_password(account, asking, but=asking.session)

    def _forgot_password(self, asking: Asking) -> Done:
        asking.words(Nothing)
        account = self._named(asking)
        return Done([] if account is None else links.send_link(self.people, account, "reset", asking), _LINK_SENT)

    def _reset_password(self, asking: Asking) -> Done:
        asking.words(Nothing)
        asking.proof("new_password")  # before the link is spent
        account = links.follow(self.people, "reset", asking)
        # Who can follow the link reads the mails of that address, which is all that the first link was to show (ours).
        account = replace(account, confirmed=asking.now if account.confirmed is None else account.confirmed)
        return self._with_password(account, asking)

    def _with_password(self, account: Account, asking: Asking, but: str | None = None) -> Done:
        """Keep the new password: it ends all sessions but the one in which it was changed, and unlocks password and S-PIN."""
        password = asking.proof("new_password").digest
        self.people.put_account(replace(account, password=password, password_version=account.password_version + 1))
        ended = sessions.end_sessions(self.people, account.id, but=but)
        links.forget_links(self.people, account.id, "reset")
        sign_in.unlock(self.people, account)
        mail = mail_to(account, "password_changed", at=asking.now)
        return Done([UnlockSpin(account.id), mail], {"account": account.id, "sessions": ended})

    def _set_spin(self, asking: Asking) -> Done:
        asking.words(Nothing)
        account, spin = self._account(asking), asking.proof("new_spin")
        if asking.session is None:  # a trusted tool may speak for a person, but not choose its S-PIN
            sign_in.signed_in(self.people, asking, self._name(asking))
        self.people.put_account(replace(account, spin_set=True, spin_version=account.spin_version + 1))
        return Done([KeepSpin(account.id, spin.digest)], {"account": account.id})

    # --- the rest

    def _settings(self, asking: Asking) -> Done:
        words, account = asking.words(Settings), self._account(asking)
        given: dict[str, Any] = {
            name: value for name in words.__struct_fields__ if (value := getattr(words, name)) is not None
        }  # fmt: skip
        if not given:
            raise Refused("malformed", f"nothing is to be set; there are {', '.join(words.__struct_fields__)}")
        if "country" in given:
            given["country"] = _market(given["country"])
        if given.get("relogin_min") == 0:
            given["relogin_min"] = None
        for what, read in (("user_name", names.user_name), ("mobile", names.mobile_number)):
            if given.get(what):
                given[what] = self._free(_read(read, given[what], what), account, what, asking.now)
        self.people.put_account(replace(account, **given))
        if given.get("relogin_min") is not None:
            sessions.use_all(self.people, account.id, asking.now)
        return Done(data={"set": sorted(given)})

    def _free(self, name: str, account: Account, what: str, now: Instant) -> str:
        """Return a name that nobody else has. That one is taken tells that there is an account: nobody learns it often."""
        owner = self.people.named(name)
        if owner is not None and owner.id == account.id:
            return name
        taken = f"taken/{account.id}"
        if sign_in.count_of(self.people, taken, now) >= NAMES_TRIED:
            raise Refused("too_many_tries", f"{NAMES_TRIED} names were those of others; choose another one in a day")
        if owner is not None:
            sign_in.count(self.people, taken, now, DAY, NAMES_TRIED)
            raise Refused("name_taken", f"somebody else has this {what}")
        return name

    def _consent(self, asking: Asking) -> Done:
        words, account = asking.words(ToText), self._account(asking)
        _object("what", name_fault(words.what), "malformed")
        return Done(decide(self.people, account, words.what, words.version, given=words.given, now=asking.now))

    def _identify(self, asking: Asking) -> Done:
        asking.words(Identify)
        account = self._account(asking)
        if not account.last_name:
            raise Refused("not_complete", "a dealer compares names and date of birth, and the account has none yet: complete it")
        self.people.put_account(replace(account, identified=asking.now))
        return Done(data={"account": account.id})

    def _show(self, asking: Asking) -> Done:
        asking.words(Nothing)
        account = self._account(asking)
        shown: dict[str, Any] = {
            name: getattr(account, name)
            for name in account.__struct_fields__
            if name not in {"id", "password", "password_version", "spin_version", "consents"}
        }
        consents = [{"what": each.what, "version": each.version, "given": each.given, "at": each.at} for each in account.consents]
        held = [key for key in self.people.sessions.of(account.id) if self.people.in_session(key, asking.now) is not None]
        return Done(data={"account": account.id, **shown, "consents": consents, "sessions": len(held)})

    def _figures(self, asking: Asking) -> Done:
        words = asking.words(Changed)
        given = {name: value for name in words.__struct_fields__ if (value := getattr(words, name)) is not None}
        figures = replace(self.people.figures, **given)
        if figures.youngest > figures.oldest:
            raise Refused("argument_out_of_range", "youngest is above oldest")
        if given:
            self.people.set_figures(figures)
        return Done(data={name: getattr(figures, name) for name in figures.__struct_fields__})

    def _of_session(self, account: Account, device: str, asking: Asking) -> dict[str, Any]:
        return {"account": account.id, "device": device, "ends": asking.now + self.people.figures.token_lifetime}

    # --- who asks

    def _account(self, asking: Asking) -> Account:
        return self.people.accounts[asking.person]

    def _named(self, asking: Asking) -> Account | None:
        self._name(asking)
        return self.people.accounts.get(asking.asked.person)

    def _name(self, asking: Asking) -> str:
        name = asking.asked.request.user
        if name is None and asking.session is None:
            raise Refused("malformed", f"{asking.asked.request.action} needs a user: an e-mail, a user name or a mobile number")
        return name or ""


def _read(read: Callable[[str], str], text: str, what: str) -> str:
    try:
        return read(text)
    except ValueError as error:
        raise Refused("malformed", f"{what}: {error}") from None


def _object(what: str, fault: str | None, reason: str) -> None:
    if fault is not None:
        raise Refused(reason, f"{what}: {fault}")


def _device(name: str) -> str:
    _object("device", name_fault(name), "malformed")
    return name


def _market(country: str) -> str:
    if country not in load_countries():
        raise Refused("argument_out_of_range", f"{country[:10]!r} is no market; a country has two letters, such as DE")
    return country
