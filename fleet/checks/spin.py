"""The rule of the S-PIN, judged a second time from what the desk was asked, what was verified, and what it decided.

Source: the table of remote commands of the domain description, and the S-PIN of the contract.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fleet.checks.check import Check, CheckedRule, Handlers, desk_inputs
from fleet.checks.people import KnownPeople
from fleet.kernel.instants import SECOND
from fleet.observe.journal import Begin, Input, Output
from fleet.wire.messages import TERMINAL_STATES

UserKey = tuple[str, str]
"""VIN and user name; of an account, which has one S-PIN for all its cars, no VIN."""
OF_BACK_END: Final = frozenset({"enrol_user", "show_notice"})
"""Commands that no user may send, enrolled or not."""


class _Opened(NamedTuple):
    """A command in the desk's book."""

    user: UserKey
    name: str
    vin: str


class SpinRule(Check):
    """Locks, comfort and departures are commanded only for an enrolled user, after a right S-PIN or with a token of one.

    A token is worth five minutes, and nothing once a new S-PIN is set or three wrong tries have locked it; then no S-PIN
    is right. What a restarted back end sends again was judged by the one before it. An app that is logged in counts as S-PIN for
    climatisation, and to stop the heater.
    """

    name = "S-PIN rule"
    rule = "what needs an S-PIN is sent only for an enrolled user with a right one, or a token not older than 5 min"
    looks_at = "commands sent that need one, and refusals"
    remembers = True
    PROVEN: Final = CheckedRule(
        "proven",
        "sent only for an enrolled user, after a right S-PIN or with a token not older than 5 min; refused only without",
        frozenset({"spin_required", "spin_wrong", "insufficient_rights"}),
    )
    TRIES: Final = CheckedRule(
        "three tries", "an S-PIN is verified only before three wrong ones have locked it", frozenset({"spin_locked"})
    )
    COUNT: Final = CheckedRule("count", "wrong tries are counted, to three; a right one, or a new S-PIN, begins anew")
    rules = (PROVEN, TRIES, COUNT)
    needing: Final = frozenset(
        {"lock", "unlock", "heater", "ventilation", "ventilation_timers", "climatisation", "departure_timers"}
    )
    TOKEN: Final = 300 * SECOND
    MOST_WRONG: Final = 3

    def __init__(self, begin: Begin, people: KnownPeople) -> None:
        super().__init__(begin)
        self._people = people
        self._enrolled: dict[UserKey, bool] = {}
        """Whether a user has an S-PIN, of those who are enrolled."""
        self._opened: dict[str, _Opened] = {}
        self._jobs: dict[int, UserKey] = {}
        self._tokens: dict[UserKey, dict[int, int]] = {}
        self._wrong: dict[UserKey, int] = {}
        self._input: Input | None = None
        self._tried: tuple[UserKey, bool] | None = None
        """Whose S-PIN this very input has verified, and whether it was right."""

    def handlers(self) -> Handlers:
        return {
            **desk_inputs(self._given),
            ("in", "DeskStart"): self._starts,
            ("in", "ClockChanged"): self._clock,
            ("in", "SpinVerified"): self._verified,
            ("in", "SpinHashed"): self._hashed,
            ("out", "StoreUser"): self._stores,
            ("out", "RemoveUser"): self._removes,
            ("out", "VerifySpin"): self._verifies,
            ("out", "HashSpin"): self._hashes,
            ("out", "CommandOpened"): self._opens,
            ("out", "SendCommand"): self._sends,
            ("out", "Transition"): self._changes,
        }

    # --- what the desk was given

    def _given(self, record: Input, _line: int) -> None:
        if record.m == "desk":
            self._input, self._tried = record, None

    def _starts(self, record: Input, line: int) -> None:
        self._given(record, line)
        for user in record.data["users"]:
            key = (user["vin"], user["name"])
            self._enrolled[key] = bool(user.get("spin", True))
            self._wrong[key] = user["wrong_tries"]

    def _clock(self, record: Input, line: int) -> None:
        self._given(record, line)
        for tokens in self._tokens.values():
            for job in tokens:
                tokens[job] += record.data["shift"]

    def _verified(self, record: Input, line: int) -> None:
        self._given(record, line)
        user = self._jobs.pop(record.data["job"], None)
        if user is None:
            return
        right = record.data["right"] and self._wrong.get(user, 0) < self.MOST_WRONG
        self._tried = (user, right)
        if not right:
            self._wrong[user] = self._wrong.get(user, 0) + 1
            return
        self._wrong[user] = 0
        now = record.now or record.t
        valid = {job: until for job, until in self._tokens.get(user, {}).items() if until >= now}
        self._tokens[user] = {**valid, record.data["job"]: now + self.TOKEN}

    def _hashed(self, record: Input, line: int) -> None:
        self._given(record, line)
        user = self._jobs.pop(record.data["job"], None)
        if user is not None:
            self._wrong[user] = 0
            self._tokens.pop(user, None)

    # --- what it wanted

    def _stores(self, record: Output, line: int) -> None:
        told = record.data["user"]
        user = (told["vin"], told["name"])
        self._enrolled[user] = bool(told.get("spin", True))
        if "wrong_tries" not in told:
            return
        self.judged(self.COUNT.name)
        wrong = self._wrong.get(user, 0)
        if (told["wrong_tries"], told["locked"]) != (wrong, wrong >= self.MOST_WRONG):
            state = "locked" if told["locked"] else "not locked"
            self._breach(line, user, f"the S-PIN is {state} with {told['wrong_tries']} wrong tries noted, but {wrong} were wrong")

    def _removes(self, record: Output, _line: int) -> None:
        user = (record.data["vin"], record.data["name"])
        for held in (self._enrolled, self._tokens, self._wrong):
            held.pop(user, None)

    def _verifies(self, record: Output, line: int) -> None:
        user = self._jobs[record.data["job"]] = (record.data["vin"], record.data["user"])
        self.judged(self.TRIES.name, "allowed")
        if self._wrong.get(user, 0) >= self.MOST_WRONG:
            self._breach(line, user, "an S-PIN is verified, but three wrong tries have locked it")

    def _hashes(self, record: Output, _line: int) -> None:
        self._jobs[record.data["job"]] = (record.data["vin"], record.data["user"])

    def _opens(self, record: Output, _line: int) -> None:
        opened = record.data["record"]
        vin = opened["vin"]
        key = ("" if self._people.managed(vin) is not None else vin, opened["user"])
        self._opened[opened["id"]] = _Opened(key, opened["name"], vin)

    def _sends(self, record: Output, line: int) -> None:
        command = record.data["command"]
        given = self._input
        if command["name"] not in self.needing or given is None or given.type == "Restored":
            return
        self.looked_at += 1
        self.judged(self.PROVEN.name, "allowed")
        opened = self._opened.get(command["id"])
        told = "was never opened" if opened is None else self._unproven(opened.user, given)
        if told:
            subject = f"command {command['id']} of {command['vin']}"
            self.breach(line, f"car/{command['vin']}", f"{command['name']} is sent, but {told}", subject=subject)

    def _unproven(self, user: UserKey, given: Input) -> str:
        """Return why the user has not proven to know the S-PIN, "" when that is done."""
        if user not in self._enrolled:
            return f"{user[1]} is not enrolled"
        if self._wrong.get(user, 0) >= self.MOST_WRONG:
            return "three wrong tries have locked the S-PIN"
        if _session_is_enough(given):
            return ""
        if given.type == "SpinVerified":
            return "" if self._tried == (user, True) else "no right S-PIN was given for it"
        valid = self._token_valid_until(user, given) >= (given.now or given.t)
        return "" if valid else "neither an S-PIN nor a valid token was given for it"

    def _token_valid_until(self, user: UserKey, given: Input) -> int:
        return self._tokens.get(user, {}).get(given.data.get("request", {}).get("token"), 0)

    def _changes(self, record: Output, line: int) -> None:
        change, given = record.data, self._input
        if change["state"] not in TERMINAL_STATES:
            return
        opened = self._opened.pop(change["command_id"], None)
        reason = change.get("reason")
        refused = change["state"] == "rejected" and change["by"] == "desk" and reason in self.PROVEN.reasons | self.TRIES.reasons
        if not refused or opened is None or given is None or given.type == "Restored":
            return
        self.looked_at += 1
        rule = self.TRIES if reason in self.TRIES.reasons else self.PROVEN
        told = self._wrongly_refused(opened, reason, given)
        if told is None:
            self.undecided(rule.name, "refused", "it waited for another S-PIN")
            return
        self.judged(rule.name, "refused")
        if told:
            subject = f"command {change['command_id']} of {opened.vin}"
            self.breach(line, f"car/{opened.vin}", f"{opened.name} is refused as {reason}, but {told}", subject=subject)

    def _wrongly_refused(self, opened: _Opened, reason: str, given: Input) -> str | None:
        """Return why a refusal is wrong, "" when it is right, None when that cannot be said."""
        user = opened.user
        if reason == "insufficient_rights":  # of an account the role decides, which others judge
            wrongly = user[0] and user in self._enrolled and opened.name not in OF_BACK_END
            return f"{user[1]} is enrolled" if wrongly else ""
        if opened.name not in self.needing:
            return "it needs no S-PIN"
        if reason == "spin_locked":
            wrong = self._wrong.get(user, 0)
            return "" if wrong >= self.MOST_WRONG else f"only {wrong} tries were wrong"
        if reason == "spin_wrong":
            return "" if self._tried == (user, False) else "no wrong S-PIN was given for it"
        if not self._enrolled.get(user):
            return ""
        if given.type != "CommandAsked":
            return None
        if self._token_valid_until(user, given) > (given.now or given.t):
            return "a valid token was given for it"
        proven = given.data["request"].get("spin") is not None or _session_is_enough(given)
        return "an S-PIN, or a session that is enough, was given for it" if proven else ""

    def _breach(self, line: int, user: UserKey, told: str) -> None:
        self.breach(line, f"car/{user[0]}", told, subject=f"{user[1]} of {user[0]}")


def _session_is_enough(given: Input) -> bool:
    """Tell whether a command is asked for by an app that is logged in, and that counts as S-PIN for it."""
    if given.type != "CommandAsked" or not given.data.get("in_session"):
        return False
    request = given.data["request"]
    stops = (request.get("parameters") or {}).get("action") == "stop"
    return request["name"] == "climatisation" or (request["name"] == "heater" and stops)
