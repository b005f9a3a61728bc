"""Mutants of packets against the embedded broker, alone and behind the proxy; a million of them in `make test-nightly`."""

from __future__ import annotations

import sys
from pathlib import Path

import mqtt5
import pytest

from fleet.kernel.draws import Draws
from fleet.transport.client_packets import Malformed
from fleet.transport.proxy import FaultProxy
from fleet.transport.swarm_codec import packet_from, packet_length
from tests.conformance.fuzzing import fuzz
from tests.conformance.mutation import LARGEST, Mutator, Seeds, all_seeds, broker_seeds, own_seeds
from tests.conformance.suites import FUZZ, here, lack
from tests.conformance.targets import embedded
from tests.nightly import draws

MUTANTS = draws(4_000, 1_000_000)
SEED = 1
MEMORY_MB_MAX = 128
"""How much more memory a run may take than at its beginning: sessions fill their queues, which are bounded."""
LATE_MB_MAX = 24
"""How much more it may take at its end than in its middle."""


@pytest.fixture
def mutator() -> Mutator:
    """Mutants of all packets there are: those of mqtt_fuzz only where they are named."""
    return Mutator(all_seeds(None if lack(FUZZ) else here(FUZZ)), SEED)


@pytest.mark.random
@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read as Linux tells it")
@pytest.mark.timeout(7200 if MUTANTS > 10_000 else 180)
@pytest.mark.parametrize("through_proxy", [False, True], ids=["alone", "through the proxy"])
async def test_mutants(mutator: Mutator, through_proxy: bool) -> None:
    """No error escapes, each connection ends, memory stays, and the next good client is served; the faults see every packet."""
    async with embedded() as endpoint, FaultProxy(endpoint) as proxy:
        found = await fuzz(endpoint, mutator, MUTANTS, proxy=proxy if through_proxy else None)
    assert found.wrong == []
    assert found.mutants >= MUTANTS
    assert found.served == len(found.memory_mb) - 1
    assert found.answered_bytes
    assert max(found.memory_mb) - found.memory_mb[0] <= MEMORY_MB_MAX
    assert found.memory_mb[-1] - found.memory_mb[len(found.memory_mb) // 2] <= LATE_MB_MAX


@pytest.mark.random
@pytest.mark.timeout(3600 if MUTANTS > 10_000 else 180)
def test_mutants_of_brokers_packets(capfd: pytest.CaptureFixture[str]) -> None:
    """A link reads each as a packet or says what is wrong with it, and its codec does not panic."""
    seeds = broker_seeds()
    mutator, read, malformed = Mutator([Seeds((), tuple(seeds))], SEED), 0, 0
    for number in range(5 * MUTANTS):
        chance = Draws(SEED, "a broker's packet", number)
        packet = mutator.mutant(seeds[number % len(seeds)], chance)
        try:
            length = packet_length(packet, 0)
            if 0 < length <= len(packet):
                packet_from(memoryview(packet)[:length])
                read += 1
        except Malformed:
            malformed += 1
    assert read > MUTANTS // 10
    assert malformed > MUTANTS
    assert capfd.readouterr().err == ""


def test_a_session_is_the_same_whenever_it_is_drawn() -> None:
    """By its number alone, so that one that went wrong can be drawn again."""
    seeds = all_seeds(None)
    one, other = Mutator(seeds, SEED), Mutator(seeds, SEED)
    assert [one.session(number) for number in range(300)] == [other.session(number) for number in reversed(range(300))][::-1]
    assert one.session(7) != Mutator(seeds, SEED + 1).session(7)


def test_sessions_are_bounded_and_full_of_mutants() -> None:
    """Most hold some, none is without end, and some begin as a client would."""
    mutator = Mutator(all_seeds(None), SEED)
    sessions = [mutator.session(number) for number in range(2_000)]
    assert sum(session.mutants for session in sessions) > len(sessions)
    assert max(sum(map(len, session.pieces)) for session in sessions) < 10 * LARGEST
    assert any(len(session.pieces) == 2 for session in sessions)


def test_own_seeds_are_valid() -> None:
    """The codec reads each packet of MQTT 5 whole, and a length is true in all."""
    old, new = own_seeds()
    for packet in (*new, *broker_seeds()):
        assert mqtt5.read(memoryview(packet))[1] == len(packet)
    assert all(packet[1] + 2 == len(packet) for packet in old)


def test_seeds_of_a_folder_are_read_in_order(tmp_path: Path) -> None:
    """With those of ours, and only for the version that they are of."""
    for name, data in (("publish/b.raw", b"\x30\0"), ("connect/a.raw", b"\x10\0"), ("publish/note.txt", b"no")):
        path = tmp_path / "valid-cases" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    old, new = all_seeds(tmp_path)
    assert (old.connects[-1], old.others[-1]) == (b"\x10\0", b"\x30\0")
    assert (new.connects, new.others) == (all_seeds(None)[1].connects, all_seeds(None)[1].others)
