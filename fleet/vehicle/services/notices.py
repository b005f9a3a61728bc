"""Messages of the back end on the screen: they wait for the ignition, and each is shown once."""

from __future__ import annotations

from typing import Final, Protocol

from fleet.kernel.instants import Instant
from fleet.vehicle import ports
from fleet.vehicle.kept import drop, find, obtain
from fleet.vehicle.services.listener import Listener
from fleet.vehicle.services.service import Service
from fleet.wire.parameters import ShowNotice

MOST: Final = 20
"""Messages that wait; of more the oldest is not shown any more (ours)."""


class Notices(list[ShowNotice]):
    """The messages that wait for the ignition, the oldest first."""


class Ports(ports.Sender, ports.Engine, ports.Keeper, Protocol):
    """A screen, and the ignition that switches it on."""


def _carry_out(car: Ports, notice: ShowNotice, now: Instant) -> None:
    waiting = obtain(car, Notices)
    waiting.append(notice)
    del waiting[:-MOST]
    if car.engine_is_on:
        show(car, now)


SHOW_NOTICE: Final = Service(_carry_out, takes=None)


def show(car: Ports, now: Instant) -> None:
    """Show all that waits."""
    waiting = find(car, Notices)
    if waiting is not None:
        drop(car, Notices)
        for notice in waiting:
            car.send_event("notice_shown", now, {"kind": notice.kind})


def forget(car: Ports, _now: Instant) -> None:
    """Forget what waits, as at a reset: it was for somebody else."""
    drop(car, Notices)


LISTENER: Final = Listener(state=Notices, engine_started=show, forget=forget)
