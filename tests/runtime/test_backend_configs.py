"""What a back end is assembled of, in wall time and in virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.backend.service import Backend
from fleet.kernel.schedule import Schedule
from fleet.runtime.backend_configs import live_backend, virtual_backend
from fleet.transport.link import BackOff, Link, LinkOwner, LinkSettings
from tests.backend.fake_link import FakeSession


@pytest.mark.parametrize("kind", ["live", "virtual"])
def test_a_back_end_is_soon_back(kind: str, tmp_path: Path) -> None:
    """It tries again within 5 s, however long the broker was away, and not all back ends at once."""
    given: list[BackOff] = []
    session = FakeSession()

    def links(settings: LinkSettings, owner: LinkOwner, back_off: BackOff) -> Link:
        given.append(back_off)
        return session(settings, owner, back_off)

    store = tmp_path / "store.sqlite"
    config = (
        live_backend(store, links, key=7, password=None) if kind == "live" else virtual_backend(store, links, Schedule(0), key=7)
    )
    Backend(config)._store.close()
    waits = [given[0].next_s() for _ in range(200)]
    assert 4.5 < max(waits) <= 5.0
    assert len(set(waits)) == 200
