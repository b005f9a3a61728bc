"""Campaigns: an update goes out to a list of cars in waves, the next one only after the one before has gone well.

`Campaign` is one rollout, `CampaignRule` what the service centre sees of them all. How an update is downloaded and installed is
the car's affair.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from fleet.cloud.car_settings import NEVER, Number
from fleet.cloud.rule import AskCar, CommandEnded, Done, Erase, Notes, Notify, RequestRefused, Rule, RuleOutput
from fleet.kernel.draws import stream_key
from fleet.kernel.instants import DAY, MINUTE, SECOND, Duration, Instant
from fleet.wire.messages import Event, ServiceRequest
from fleet.wire.vin import fault_of

CarState = Literal[
    "planned", "asked", "unreached", "accepted", "downloading", "downloaded", "installing",
    "installed", "rolled_back", "cancelled", "consent_missing", "rejected",
]  # fmt: skip
"""How far one car has come."""
DECIDED: Final[frozenset[CarState]] = frozenset(
    {"unreached", "installed", "rolled_back", "cancelled", "consent_missing", "rejected"}
)
_RANK: Final[Mapping[CarState, int]] = {
    "planned": 0, "asked": 1, "unreached": 2, "accepted": 3, "downloading": 4, "downloaded": 5, "installing": 6,
    "installed": 7, "rolled_back": 7, "cancelled": 7, "consent_missing": 7, "rejected": 7,
}  # fmt: skip
"""A car moves to a higher rank only: what the desk took for unreached may still come, what is decided stays."""
_PROGRESS: Final[Mapping[object, CarState]] = {
    "downloading": "downloading",
    "paused": "downloading",
    "downloaded": "downloaded",
    "postponed": "downloaded",
    "installing": "installing",
}
_RESULTS: Final[Mapping[object, CarState]] = {"installed": "installed", "rolled_back": "rolled_back", "cancelled": "cancelled"}

Phase = Literal["running", "paused", "halted", "finished"]
"""`paused` by somebody, `halted` because too much failed; both go on when somebody resumes it."""

TIME_TO_LIVE: Final[Duration] = 7 * DAY
"""How long a car may be out of reach and still take the command: as long as the broker keeps its session (ours)."""
LOT_EVERY: Final[Duration] = 10 * SECOND
"""Cars of a wave are asked in lots, so that users' commands need not wait behind a whole wave (ours)."""
LATE_MOST: Final[Duration] = MINUTE
CARS_MOST: Final = 100_000
WAVES_MOST: Final = 100
LEAST_DECIDED: Final = 0.01
LONGEST_ID: Final = 40
LARGEST_MB: Final = 50_000
"""The range that cars take, from the catalogue: each of them would refuse a plan beyond it."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An update, the cars that get it, and how carefully. The figures are ours, and each campaign may have its own.

    `waves` are the shares (0 to 1, rising to 1) of the cars that have been asked with each wave. A wave is judged when
    `decided_share` of its cars are decided: at most `failure_limit` of its installations may have failed.
    """

    campaign: str
    version: str
    size_mb: int
    cars: tuple[str, ...]
    target: Literal["system", "infotainment"] = "system"
    waves: tuple[float, ...] = (0.01, 0.1, 1.0)
    failure_limit: float = 0.05
    decided_share: float = 0.8
    cars_per_min: int = 600

    def misfit(self) -> str | None:
        """Return what is wrong with it, None when nothing is."""
        if not 0 < len(self.campaign) <= LONGEST_ID or not self.campaign.replace("-", "").replace("_", "").isalnum():
            return f"a campaign's name has 1 to {LONGEST_ID} letters, digits, '-' and '_'"
        if not 0 < len(self.version) <= LONGEST_ID:
            return f"a version has 1 to {LONGEST_ID} characters"
        if not 0 < self.size_mb <= LARGEST_MB:
            return f"an update has 1 to {LARGEST_MB} MB"
        if (wrong := _misfit_of(self.cars)) is not None:
            return wrong
        rising = all(low < high for low, high in pairwise((0.0, *self.waves)))
        if not 0 < len(self.waves) <= WAVES_MOST or self.waves[-1] != 1 or not rising:
            return f"waves are 1 to {WAVES_MOST} shares of the cars, above 0, rising, and 1 at last"
        if not (0 <= self.failure_limit <= 1 and LEAST_DECIDED <= self.decided_share <= 1):
            return f"the failure limit is 0 to 1, the share to be decided {LEAST_DECIDED:g} to 1"
        if not 0 < self.cars_per_min <= CARS_MOST:
            return f"1 to {CARS_MOST} cars are asked in a minute"
        return None


def _misfit_of(cars: Sequence[str]) -> str | None:
    if not 0 < len(cars) <= CARS_MOST:
        return f"a campaign has 1 to {CARS_MOST} cars, not {len(cars)}"
    for vin in cars:
        if (fault := fault_of(vin)) is not None:
            return f"{vin[:40]!r} among the cars is no VIN: {fault}; a VIN has 17 characters, A-Z and 0-9 without I, O and Q"
    twice = [vin for vin, count in Counter(cars).items() if count > 1]
    return f"{twice[0]} stands {cars.count(twice[0])} times among the cars" if twice else None


class Progress(msgspec.Struct):
    """One car in a campaign. `attempt` counts the commands it was sent; `consent`: its user has agreed by app.

    `told` is the number of the newest message by which it told of the update: an older one that comes late is no news.
    """

    state: CarState = "planned"
    attempt: int = 0
    consent: bool = False
    told: Number = NEVER


@dataclass(frozen=True, slots=True)
class Changed:
    """Changes of a campaign: these cars, and the notices to an operator, as (kind, words)."""

    cars: tuple[str, ...]
    told: tuple[tuple[str, str], ...]


class Campaign:
    """One rollout. Who is in which wave is left to chance, the same for the same name and cars.

    What changed since the last `take_changes` is noted; the cars to be asked come from `next_lot`. Cars added to it come with the
    last wave.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        phase: Phase = "running",
        wave: int = 0,
        added: Iterable[str] = (),
        cars: Mapping[str, Progress] | None = None,
        now: Instant,
    ) -> None:
        """Begin a plan without a misfit; or go on from what was stored: phase, wave, cars added, and those that have moved."""
        self.plan = plan
        self.phase: Phase = phase
        self.wave = wave
        self._order = sorted(plan.cars, key=lambda vin: (stream_key(0, plan.campaign, vin), vin))
        self._ends = _ends(len(self._order), plan.waves)
        self._order += added
        self._ends[-1] = len(self._order)
        self._cars = {vin: Progress() for vin in self._order} | dict(cars or {})
        self._wave_of = {vin: wave for wave in range(len(self._ends)) for vin in self._wave_cars(wave)}
        self._counts = [Counter(self._cars[vin].state for vin in self._wave_cars(wave)) for wave in range(len(self._ends))]
        self._to_ask = deque(vin for vin in self._order[: self._ends[wave]] if self._cars[vin].state == "planned")
        self._next_lot = now
        self._changed: dict[str, None] = {}
        self._told: list[tuple[str, str]] = []
        if cars is None:
            self._tell_wave()

    # --- what is seen of it

    @property
    def size(self) -> int:
        """How many cars it is for."""
        return len(self._order)

    def table(self) -> dict[str, int]:
        """Return how many cars are in which state; states without a car are left out."""
        total: Counter[CarState] = Counter()
        for counts in self._counts:
            total.update(counts)
        return {state: total[state] for state in _RANK if total[state]}

    def state_of(self, vin: str) -> CarState | None:
        """Return how far a car is; None for one that is not part of it."""
        car = self._cars.get(vin)
        return None if car is None else car.state

    def car(self, vin: str) -> Progress | None:
        """Return all that is known of a car; None for one that is not part of it."""
        return self._cars.get(vin)

    def take_changes(self) -> Changed:
        """Return the cars that have moved since the last call, and the notices about the campaign."""
        changed = Changed(tuple(self._changed), tuple(self._told))
        self._changed.clear()
        self._told.clear()
        return changed

    # --- what is done to it

    def add(self, vins: Sequence[str], now: Instant) -> tuple[str, ...]:
        """Take further cars into the last wave; return those that were not in it before."""
        new = tuple(vin for vin in dict.fromkeys(vins) if vin not in self._cars)
        last = len(self._ends) - 1
        self._order += new
        self._ends[last] += len(new)
        self._cars |= {vin: Progress() for vin in new}
        self._wave_of |= dict.fromkeys(new, last)
        self._counts[last]["planned"] += len(new)
        if new and self.wave == last:
            self._to_ask.extend(new)
            self._next_lot = max(self._next_lot, now)
            self._begin_again("further cars")
        return new

    def pause(self) -> bool:
        """Ask no further car; those that were asked go on. False when it does not run."""
        if self.phase != "running":
            return False
        self._enter("paused", "somebody paused it")
        return True

    def resume(self, now: Instant) -> bool:
        """Go on, also where too much has failed: somebody has looked at it. False when it neither rests nor stands."""
        if self.phase not in {"paused", "halted"}:
            return False
        overruled = self.phase == "halted"
        self._enter("running", "somebody resumed it")
        if overruled:
            self._begin_wave(now)
        self._next_lot = now
        self._judge(now)
        return True

    def consented(self, vin: str, now: Instant, *, by_app: bool) -> bool:
        """Take the consent of a car's driver or, by app, of its user; ask again where it was missing. False for another's car."""
        car = self._cars.get(vin)
        if car is None:
            return False
        if by_app:
            car.consent = True
            self._changed[vin] = None
        if car.state == "consent_missing":
            self._set(vin, car, "planned")
            self._to_ask.append(vin)
            self._next_lot = max(self._next_lot, now)
            self._begin_again("somebody has agreed since")
        return True

    def answered(self, vin: str, attempt: int, ended: CommandEnded, now: Instant) -> None:
        """Take the end of the command: that the car has taken the update, or why not."""
        car = self._cars.get(vin)
        if car is None or car.attempt != attempt:
            return
        match ended.state:
            case "succeeded":
                self._move(vin, car, "accepted", now)
            case "rejected" | "failed":
                self._move(vin, car, "consent_missing" if ended.reason == "consent_missing" else "rejected", now)
            case "expired" | "unknown":
                self._move(vin, car, "unreached", now)

    def told(self, vin: str, state: CarState, now: Instant, number: Number) -> None:
        """Take what a car says of the update in the message of this number."""
        car = self._cars.get(vin)
        if car is not None and car.attempt and number >= car.told:
            car.told = number
            self._changed[vin] = None
            self._move(vin, car, state, now)

    # --- asking

    def deadline(self) -> Instant | None:
        """Return when the next lot of cars is to be asked."""
        return self._next_lot if self._to_ask and self.phase == "running" else None

    def next_lot(self, now: Instant) -> list[str]:
        """Return the cars that are to be asked now."""
        if self.phase != "running" or now < self._next_lot:
            return []
        # From when it was due: who is woken late asks as many in a minute, but does not make up for a long absence.
        self._next_lot = max(self._next_lot, now - LATE_MOST) + LOT_EVERY
        most = -(-self.plan.cars_per_min * LOT_EVERY // MINUTE)
        lot = [self._to_ask.popleft() for _ in range(min(most, len(self._to_ask)))]
        for vin in lot:
            car = self._cars[vin]
            car.attempt += 1
            self._set(vin, car, "asked")
        return lot

    # --- moving on

    def _move(self, vin: str, car: Progress, state: CarState, now: Instant) -> None:
        put_off = (car.state, state) == ("installing", "downloaded")
        if _RANK[state] > _RANK[car.state] or put_off:
            self._set(vin, car, state)
            self._judge(now)

    def _set(self, vin: str, car: Progress, state: CarState) -> None:
        counts = self._counts[self._wave_of[vin]]
        counts[car.state] -= 1
        counts[state] += 1
        car.state = state
        self._changed[vin] = None

    def _judge(self, now: Instant) -> None:
        """Begin the next wave, halt or finish, when enough of this wave is decided."""
        counts = self._counts[self.wave]
        if self.phase != "running" or self._to_ask:
            return
        if self.wave + 1 == len(self._ends):
            if all(_decided(counts) == counts.total() for counts in self._counts):
                self._enter("finished", "every car is decided")
            return
        if _decided(counts) < self.plan.decided_share * counts.total():
            return
        if self._fails(counts):
            ended = counts["installed"] + counts["rolled_back"]
            failed = f"{counts['rolled_back']} of {ended} installations of wave {self.wave + 1} failed"
            self._enter("halted", f"{failed}; the limit is {self.plan.failure_limit:.0%}")
        else:
            self._begin_wave(now)

    def _fails(self, counts: Counter[CarState]) -> bool:
        """Tell whether more of a wave's installations failed than may."""
        return counts["rolled_back"] > self.plan.failure_limit * (counts["installed"] + counts["rolled_back"])

    def _begin_wave(self, now: Instant) -> None:
        self.wave += 1
        self._to_ask.extend(self._wave_cars(self.wave))
        self._next_lot = now
        self._tell_wave()

    def _begin_again(self, why: str) -> None:
        if self.phase == "finished":
            self._enter("running", why)

    def _enter(self, phase: Phase, why: str) -> None:
        self.phase = phase
        self._told.append((f"campaign_{phase}", why))

    def _tell_wave(self) -> None:
        cars = len(self._wave_cars(self.wave))
        self._told.append(("campaign_wave", f"wave {self.wave + 1} of {len(self._ends)}: {cars} cars"))

    def _begin(self, wave: int) -> int:
        return self._ends[wave - 1] if wave else 0

    def _wave_cars(self, wave: int) -> list[str]:
        return self._order[self._begin(wave) : self._ends[wave]]


def _decided(counts: Counter[CarState]) -> int:
    return sum(counts[state] for state in DECIDED)


def _ends(cars: int, waves: Iterable[float]) -> list[int]:
    """Return how many cars have been asked after each wave, one at least; a wave that brings none more is left out."""
    ends: list[int] = []
    for share in waves:
        end = max(1, round(share * cars))
        if not ends or end > ends[-1]:
            ends.append(end)
    return ends


# --- in the service centre


class CampaignRule(Rule):
    """Plans, starts, pauses and resumes campaigns for an operator, sends their commands, and keeps their tables."""

    name = "campaign"
    events = frozenset({"update_progress", "update_result", "update_consent"})

    def __init__(self, notes: Notes) -> None:
        """Go on with the campaigns in the notes."""
        super().__init__(notes)
        self._drafts = {
            key.removeprefix("draft/"): msgspec.convert(notes[key], Plan) for key in notes if key.startswith("draft/")
        }
        self._campaigns = {key.removeprefix("plan/"): _restored(notes, key) for key in notes if key.startswith("plan/")}

    # --- what cars say

    def event(self, event: Event, now: Instant) -> Sequence[RuleOutput]:
        """Take progress, result or consent of a car; what names no campaign of ours changes nothing."""
        outputs: list[RuleOutput] = []
        if event.name == "update_consent":
            for campaign in self._campaigns.values():
                if event.data.get("given") is True:
                    campaign.consented(event.vin, now, by_app=False)
                    outputs += self._note(campaign)
            return outputs
        found = self._campaigns.get(str(event.data.get("campaign")))
        states = _PROGRESS if event.name == "update_progress" else _RESULTS
        state = states.get(str(event.data.get("state")))
        if found is None or state is None:
            return ()
        before = found.state_of(event.vin)
        found.told(event.vin, state, now, (event.boot, event.seq))
        outputs = self._note(found)
        if event.name == "update_result" and found.state_of(event.vin) != before:
            data = {"campaign": found.plan.campaign, "version": found.plan.version}
            outputs.append(Notify(event.vin, "primary_user", f"update_{state}", data))
        return outputs

    def command_ended(self, ended: CommandEnded, now: Instant) -> Sequence[RuleOutput]:
        """Take the end of a command that was sent for a campaign."""
        name, vin, attempt = ended.id.rsplit("-", 2)
        campaign = self._campaigns.get(name)
        if campaign is None:
            return ()
        campaign.answered(vin, int(attempt), ended, now)
        outputs = self._note(campaign)
        if campaign.state_of(vin) == "consent_missing" and ended.reason == "consent_missing":
            data = {"campaign": name, "version": campaign.plan.version}
            outputs.append(Notify(vin, "primary_user", "update_consent_wanted", data))
        return outputs

    def forget(self, erased: Erase) -> None:
        """Leave the cars out of all plans; a campaign of no other car is gone."""
        vins = frozenset(erased.vins)
        for key in [key for key in self.notes if key.split("/", 1)[0] in {"draft", "plan"}]:
            plan = msgspec.convert(self.notes[key], Plan)
            left = tuple(vin for vin in plan.cars if vin not in vins)
            if left == plan.cars:
                continue
            if left:
                self.notes[key] = msgspec.to_builtins(replace(plan, cars=left))
            else:
                for other in (key, f"phase/{plan.campaign}", f"added/{plan.campaign}"):
                    self.notes.pop(other, None)
        for key in [key for key in self.notes if key.startswith("added/")]:
            self.notes[key] = [vin for vin in self.notes[key] if vin not in vins]
        super().forget(erased)

    # --- what operators ask

    def asked(self, request: ServiceRequest, now: Instant) -> Done | RequestRefused:
        """`plan`, `start`, `pause`, `resume`, `status`, and `consent` of a car's user, each with the `campaign` it is about."""
        name = str(request.data.get("campaign", ""))
        if request.action == "plan" or (request.action == "start" and len(request.data) > 1):
            planned = self._plan(request.data, now)
            if isinstance(planned, RequestRefused) or request.action == "plan":
                return planned
        elif request.data.keys() - {"campaign"}:
            return RequestRefused("malformed", f"{request.action} needs the name of the campaign alone")
        if request.action == "start" and (draft := self._drafts.pop(name, None)) is not None:
            del self.notes[f"draft/{name}"]
            self.notes[f"plan/{name}"] = msgspec.to_builtins(draft)
            self._campaigns[name] = Campaign(draft, now=now)
        campaign = self._campaigns.get(name)
        if campaign is None:
            return RequestRefused("not_found", f"there is no campaign {name[:LONGEST_ID]!r} that was started")
        match request.action:
            case "pause":
                done = campaign.pause()
            case "resume":
                done = campaign.resume(now)
            case "consent":
                done = request.vin is not None and campaign.consented(request.vin, now, by_app=True)
            case "start" | "status":
                done = True
            case _:
                return RequestRefused("unsupported", "a campaign can be asked: plan, start, pause, resume, consent, status")
        if not done:
            why = f"it is {campaign.phase}" if request.action != "consent" else "the car is not part of it"
            return RequestRefused("not_possible", f"campaign {name}: {why}")
        return Done(self._note(campaign), _summary(campaign))

    def _plan(self, data: Mapping[str, Any], now: Instant) -> Done | RequestRefused:
        """Keep a plan until it is started. The same one with other cars adds them: a long list comes in parts."""
        listed = {name: data[name].split(",") for name in ("cars", "waves") if isinstance(data.get(name), str)}
        try:
            plan = msgspec.convert({**data, **listed}, Plan, strict=False)  # a command line has nothing but text
        except msgspec.ValidationError as error:
            return RequestRefused("malformed", str(error))
        name, begun = plan.campaign, self._campaigns.get(plan.campaign)
        known = begun.plan if begun is not None else self._drafts.get(name)
        wrong = plan.misfit()
        if wrong is None and known is not None and replace(known, cars=plan.cars) != plan:
            wrong = f"there is another campaign {name}"
        if wrong is not None:
            return RequestRefused("argument_out_of_range", wrong)
        if begun is not None:
            self.notes[f"added/{name}"] = [*self.notes.get(f"added/{name}", ()), *begun.add(plan.cars, now)]
            return Done(self._note(begun), _summary(begun))
        draft = plan if known is None else replace(plan, cars=tuple(dict.fromkeys((*known.cars, *plan.cars))))
        self._drafts[name] = draft
        self.notes[f"draft/{name}"] = msgspec.to_builtins(draft)
        return Done((), {"campaign": name, "phase": "planned", "cars": len(draft.cars)})

    # --- time

    def deadline(self) -> Instant | None:
        """Return when the next cars are to be asked."""
        return min((at for campaign in self._campaigns.values() if (at := campaign.deadline()) is not None), default=None)

    def wake(self, now: Instant) -> Sequence[RuleOutput]:
        """Ask the cars whose turn it is."""
        outputs: list[RuleOutput] = []
        for name, campaign in self._campaigns.items():
            plan = campaign.plan
            for vin in campaign.next_lot(now):
                car = campaign.car(vin)
                assert car is not None
                parameters = {"campaign": name, "target": plan.target, "version": plan.version, "size_mb": plan.size_mb}
                if car.consent:
                    parameters["consent"] = True
                outputs.append(AskCar(f"{name}-{vin}-{car.attempt}", vin, "system_update", parameters, TIME_TO_LIVE))
            outputs += self._note(campaign)
        return outputs

    def _note(self, campaign: Campaign) -> list[RuleOutput]:
        """Write down what has changed; tell the operator what becomes of the campaign."""
        name, changed = campaign.plan.campaign, campaign.take_changes()
        for vin in changed.cars:
            self.notes[f"car/{name}/{vin}"] = msgspec.to_builtins(campaign.car(vin))
        if changed.told:
            self.notes[f"phase/{name}"] = {"phase": campaign.phase, "wave": campaign.wave}
        return [Notify("", "operator", kind, _summary(campaign) | {"told": words}) for kind, words in changed.told]


def _summary(campaign: Campaign) -> dict[str, Any]:
    plan = campaign.plan
    return {
        "campaign": plan.campaign,
        "phase": campaign.phase,
        "wave": campaign.wave + 1,
        "cars": campaign.size,
        "table": campaign.table(),
    }


def _restored(notes: Notes, key: str) -> Campaign:
    """Return a campaign as it was when the notes were written; its next lot is due at once."""
    plan = msgspec.convert(notes[key], Plan)
    begun = notes[f"phase/{plan.campaign}"]
    mine = f"car/{plan.campaign}/"
    cars = {other.removeprefix(mine): msgspec.convert(notes[other], Progress) for other in notes if other.startswith(mine)}
    added = notes.get(f"added/{plan.campaign}", ())
    return Campaign(plan, phase=begun["phase"], wave=begun["wave"], added=added, cars=cars, now=0)
