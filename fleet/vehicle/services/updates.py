"""Updates over the air: agreed to, downloaded while the engine runs and there is network, installed when the car stands.

How far a download is follows from when it went on, and at which rate: nothing happens in between. A system update is installed
when the driver has left and locked, and the car cannot be started meanwhile: who wants to set off waits for its end (ours). An
infotainment update is installed once the engine is off; who starts the engine breaks it off, and it begins anew the next time.
"""

from __future__ import annotations

from typing import Any, Final, Literal, Protocol

from fleet.kernel.instants import MINUTE, SECOND, Instant
from fleet.vehicle import ports
from fleet.vehicle.body import Body
from fleet.vehicle.kept import find, obtain
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Refusal, Service
from fleet.wire.messages import Software
from fleet.wire.parameters import SystemUpdate

RATE_MBIT_S: Final = (8.0, 40.0)
"""The rate of the mobile network for a car that is driven (ours)."""
INSTALL_ABOVE_PERCENT: Final = 60.0
"""Of the 12 V battery: nobody can charge it once the system is being written (ours)."""
INSTALL_MIN: Final = {"system": (15.0, 30.0), "infotainment": (4.0, 10.0)}
"""How long an installation takes (ours)."""
FAILING_SHARE: Final = 0.01
"""Installations that fail by themselves; the car goes back to what it had (ours)."""
STEP: Final = "update"
"""Key of the timer of a download or an installation."""

Target = Literal["system", "infotainment"]
Step = Literal["waiting", "downloading", "paused", "downloaded", "installing"]


class Update:
    """An update on its way: `done_mb` of it were there at `since`, from when on it is downloaded at `rate_mbit_s`."""

    __slots__ = ("done_mb", "ends_at", "number", "order", "rate_mbit_s", "since", "step")

    def __init__(self, order: SystemUpdate, number: int) -> None:
        """Take the order as it was accepted; `number` tells the updates of a car apart."""
        self.order = order
        self.number = number
        self.step: Step = "waiting"
        self.done_mb = 0.0
        self.since: Instant = 0
        self.rate_mbit_s = 0.0
        self.ends_at: Instant = 0

    def loaded_mb(self, now: Instant) -> float:
        """Return how much is there."""
        if self.step != "downloading":
            return self.done_mb
        return min(float(self.order.size_mb), self.done_mb + (now - self.since) / SECOND * self.rate_mbit_s / 8)

    def complete_at(self) -> Instant:
        """Return when a download that goes on like this is over."""
        return self.since + int((self.order.size_mb - self.done_mb) * 8 / self.rate_mbit_s * SECOND) + 1


class Updates:
    """The software of a car, as far as it ever changed, and what is on its way to change it.

    `consent`: the driver has agreed in the car to updates over the air. `fails_next`: a scenario wants the next
    installation to fail.
    """

    __slots__ = ("consent", "count", "fails_next", "under_way", "versions")

    def __init__(self) -> None:
        self.consent = False
        self.count = 0
        self.fails_next = False
        self.under_way: Update | None = None
        self.versions: Software | None = None

    @property
    def installs_system_until(self) -> Instant | None:
        """When the car can be started again; None while it can."""
        update = self.under_way
        if update is None or update.step != "installing" or update.order.target != "system":
            return None
        return update.ends_at


class Ports(ports.Sender, ports.Timed, ports.Chance, ports.Powered, ports.Engine, ports.Connected, ports.Keeper, Protocol):
    """A car that downloads while it runs, and installs while it stands."""

    body: Body


def versions(car: Ports) -> Software | None:
    """Return the versions that were installed since the car was made; None without any."""
    updates = find(car, Updates)
    return None if updates is None else updates.versions


def locked_until(car: Ports) -> Instant | None:
    """Return until when the car cannot be started; None when it can."""
    updates = find(car, Updates)
    return None if updates is None else updates.installs_system_until


def _forbids_start(car: Ports, _now: Instant) -> str | None:
    return "update_installing" if locked_until(car) is not None else None


# --- the command


def _refusal(car: Ports, parameters: SystemUpdate, _now: Instant) -> Refusal | None:
    updates = find(car, Updates)
    if not parameters.consent and (updates is None or not updates.consent):
        return Refusal("consent_missing", "nobody has agreed to this update, neither by app nor in the car")
    if updates is None:
        return None
    if updates.under_way is not None:
        return Refusal("busy", f"version {updates.under_way.order.version} is on its way")
    if updates.versions is not None and getattr(updates.versions, parameters.target) == parameters.version:
        return Refusal("up_to_date", f"version {parameters.version} is installed")
    return None


def _begin(car: Ports, parameters: SystemUpdate, now: Instant) -> None:
    updates = obtain(car, Updates)
    updates.count += 1
    updates.under_way = Update(parameters, updates.count)
    go_on(car, now)


SYSTEM_UPDATE: Final = Service(_begin, _refusal, takes=None)


# --- download


def go_on(car: Ports, now: Instant) -> None:
    """Download when the engine runs and there is network; call when either has come."""
    update = _under_way(car)
    if update is None or update.step not in {"waiting", "paused"} or not car.engine_is_on or not car.outbox.has_coverage:
        return
    update.step = "downloading"
    update.since = now
    update.rate_mbit_s = car.draws("update rate", now).uniform(*RATE_MBIT_S)
    car.agenda.replace(STEP, update.complete_at(), _downloaded, update)
    _tell(car, update, "downloading", now)


def pause(car: Ports, now: Instant) -> None:
    """Keep what is there until it goes on; call when the network is lost."""
    update = _under_way(car)
    if update is None or update.step != "downloading":
        return
    car.agenda.cancel(STEP)
    update.done_mb = update.loaded_mb(now)
    update.step = "paused"
    _tell(car, update, "paused", now)


def _downloaded(car: Ports, update: Update, now: Instant) -> None:
    update.done_mb = float(update.order.size_mb)
    update.step = "downloaded"
    _tell(car, update, "downloaded", now)


# --- installation


def engine_started(car: Ports, now: Instant) -> None:
    """Break off what cannot be installed while the engine runs, and go on with what can be downloaded."""
    update = _under_way(car)
    if update is not None and update.step == "installing":
        car.agenda.cancel(STEP)
        update.step = "downloaded"
        _tell(car, update, "postponed", now, reason="engine_running")
    go_on(car, now)


def engine_stopped(car: Ports, now: Instant) -> None:
    """Interrupt the download; the infotainment is updated at once."""
    pause(car, now)
    update = _under_way(car)
    if update is not None and update.step == "downloaded" and update.order.target == "infotainment":
        _install(car, update, now)


def driver_left(car: Ports, now: Instant) -> None:
    """The system is updated when the car is locked and its 12 V battery lasts; else when somebody leaves it the next time."""
    update = _under_way(car)
    if update is None or update.step != "downloaded" or update.order.target != "system":
        return
    hindrance = _hindrance(car, now)
    if hindrance is not None:
        _tell(car, update, "postponed", now, reason=hindrance)
    else:
        _install(car, update, now)


def _hindrance(car: Ports, now: Instant) -> str | None:
    if car.body.open_doors:
        return "door_open"
    if not car.body.locked:
        return "not_locked"
    if car.low_voltage.percent(now) < INSTALL_ABOVE_PERCENT:
        return "battery_low"
    return None


def _install(car: Ports, update: Update, now: Instant) -> None:
    minutes = car.draws("update time", update.number).uniform(*INSTALL_MIN[update.order.target])
    update.step = "installing"
    update.ends_at = now + int(minutes * MINUTE)
    car.low_voltage.stay_awake(now, update.ends_at)
    car.agenda.replace(STEP, update.ends_at, _installed, update)
    _tell(car, update, "installing", now)


def _installed(car: Ports, update: Update, now: Instant) -> None:
    """Start what was written; what does not start is taken back."""
    updates = obtain(car, Updates)
    fails = updates.fails_next or car.draws("update", update.number).chance(FAILING_SHARE)
    updates.fails_next = False
    updates.under_way = None
    if fails:
        _tell_result(car, update, "rolled_back", now, reason="self_test_failed")
        return
    before = updates.versions or Software()
    version = update.order.version
    if update.order.target == "system":
        updates.versions = Software(system=version, infotainment=before.infotainment)
    else:
        updates.versions = Software(system=before.system, infotainment=version)
    _tell_result(car, update, "installed", now)
    car.send_status("update", now, ("software",))


# --- consent


def set_consent(car: Ports, *, given: bool, now: Instant) -> None:
    """The driver agrees in the car to updates, or takes that back: then what is not being installed yet is given up."""
    updates = obtain(car, Updates)
    if updates.consent == given:
        return
    updates.consent = given
    car.send_event("update_consent", now, {"given": given})
    if not given:
        give_up(car, "consent_withdrawn", now)


def fail_next(car: Ports) -> None:
    """Let the next installation fail."""
    obtain(car, Updates).fails_next = True


def forget(car: Ports, now: Instant) -> None:
    """Forget what its user agreed to; what is installed stays."""
    updates = find(car, Updates)
    if updates is not None:
        updates.consent = False
        give_up(car, "reset", now)


def give_up(car: Ports, reason: str, now: Instant) -> None:
    """Drop an update that is not being installed yet."""
    update = _under_way(car)
    if update is None or update.step == "installing":
        return
    obtain(car, Updates).under_way = None
    car.agenda.cancel(STEP)
    _tell_result(car, update, "cancelled", now, reason=reason)


# --- events and status


def _under_way(car: Ports) -> Update | None:
    updates = find(car, Updates)
    return None if updates is None else updates.under_way


def _tell(car: Ports, update: Update, state: str, now: Instant, *, reason: str | None = None) -> None:
    percent = round(update.loaded_mb(now) / update.order.size_mb * 100, 1)
    car.send_event("update_progress", now, _told(update, state, reason) | {"percent": percent})


def _tell_result(car: Ports, update: Update, state: str, now: Instant, *, reason: str | None = None) -> None:
    car.send_event("update_result", now, _told(update, state, reason))


def _told(update: Update, state: str, reason: str | None) -> dict[str, Any]:
    order = update.order
    told = {"campaign": order.campaign, "target": order.target, "version": order.version, "state": state}
    return told if reason is None else told | {"reason": reason}


def _is_personal(updates: Updates) -> bool:
    return updates.consent or (updates.under_way is not None and updates.under_way.step != "installing")


LISTENER: Final = Listener(
    state=Updates,
    is_personal=_is_personal,
    forbids_start=_forbids_start,
    locked_until=locked_until,
    engine_started=engine_started,
    engine_stopped=engine_stopped,
    driver_left=driver_left,
    network_found=go_on,
    network_lost=pause,
    forget=forget,
)
