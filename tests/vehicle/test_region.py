"""A climate: seasons, days and weather, and what a region says of its own."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from fleet.kernel.draws import stream_key
from fleet.kernel.instants import HOUR, MINUTE, from_datetime
from fleet.vehicle.region import ambient_c
from fleet.vehicle.regions import region

SEED = 20


def at(month: int, hour: int, day: int = 15) -> int:
    return from_datetime(datetime(2026, month, day, hour, tzinfo=UTC))


def mean_c(latitude: float, month: int, hour: int) -> float:
    return sum(ambient_c(latitude, at(month, hour, 1 + day % 28), stream_key(SEED, str(day))) for day in range(300)) / 300


def test_climate_has_seasons_and_days() -> None:
    """Munich: about 0 °C in January and 19 °C in July on the mean of the day; nights are colder; Madrid is warmer."""
    january = (mean_c(48.1, 1, 2) + mean_c(48.1, 1, 14)) / 2
    july = (mean_c(48.1, 7, 2) + mean_c(48.1, 7, 14)) / 2
    assert january == pytest.approx(-0.2, abs=1.0), f"seed {SEED}"
    assert july == pytest.approx(19.5, abs=1.0), f"seed {SEED}"
    assert mean_c(48.1, 7, 14) > mean_c(48.1, 7, 2) + 7
    assert mean_c(40.4, 1, 14) > mean_c(48.1, 1, 14) + 4
    assert mean_c(-34.0, 1, 14) > mean_c(-34.0, 7, 14) + 15


def test_temperature_depends_on_time_and_key_alone_and_never_jumps() -> None:
    """The same question has the same answer; a minute, even at noon or midnight, changes it by less than 0.1 °C."""
    start = at(3, 0)
    values = [ambient_c(48.1, start + n * MINUTE, 7) for n in range(3 * 24 * 60)]
    assert max(abs(a - b) for a, b in pairwise(values)) < 0.1
    assert ambient_c(48.1, start + 5 * HOUR, 7) == values[300]
    assert ambient_c(48.1, start + 5 * HOUR, 8) != values[300]


def test_a_region_says_how_warm_it_is() -> None:
    """Stockholm's year has the mean and the swing of its file; Munich's is what follows from its latitude, to the last bit."""
    stockholm, munich = region("stockholm"), region("munich")
    days = range(0, 365 * 40, 3)
    year = [
        (stockholm.ambient_c(59.35, at(1, 2) + n * 24 * HOUR) + stockholm.ambient_c(59.35, at(1, 14) + n * 24 * HOUR)) / 2
        for n in days
    ]
    assert sum(year) / len(year) == pytest.approx(7.5, abs=0.3)
    july = [stockholm.ambient_c(59.35, at(7, 14, day) - 6 * HOUR) for day in range(1, 29)]
    assert sum(july) / len(july) == pytest.approx(17.5, abs=2.5)
    instants = [at(month, hour) for month in range(1, 13) for hour in (2, 14)]
    assert [munich.ambient_c(48.1, each) for each in instants] == [ambient_c(48.1, each, munich.weather_key) for each in instants]
