"""What benchmarks need to keep a journal, or none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fleet.observe.journal import JournalWriter
from fleet.runtime.journalling import JournalledCar, journalled_links
from fleet.transport.link import LinkFactory
from fleet.vehicle.car import Car
from fleet.wire.topics import Topics


def car_maker(journal: JournalWriter | None) -> Callable[..., Car]:
    """Return what makes the cars."""
    return Car if journal is None else partial(JournalledCar, journal.write)


def journalled(links: LinkFactory, journal: JournalWriter | None, now: Callable[[], int]) -> LinkFactory:
    """Return what makes the links."""
    return links if journal is None else journalled_links(links, journal.write, now, Topics())
