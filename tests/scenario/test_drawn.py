"""Values that are drawn: lists, spans, and shares."""

from __future__ import annotations

from collections import Counter

from fleet.kernel.draws import Draws
from fleet.scenario.drawn import Distances, SpinMix, Values


def test_values_are_drawn_from_what_was_written() -> None:
    """A list is chosen from, a range of whole numbers gives whole numbers with both ends."""
    draws = Draws(1, "test")
    assert {Values.parse("flash").draw(draws) for _ in range(5)} == {"flash"}
    assert {Values.parse([10, 30]).draw(draws) for _ in range(50)} == {10, 30}
    assert {Values.parse({"from": 1, "to": 3}).draw(draws) for _ in range(100)} == {1, 2, 3}
    fraction = Values.parse({"from": 0.5, "to": 1}).draw(draws)
    assert isinstance(fraction, float)
    assert 0.5 <= fraction < 1
    assert Values.parse({"from": 1, "to": 3}).samples() == (1, 3)


def test_distances_and_spins_are_drawn_by_their_shares() -> None:
    """A lone distance is exact; shares of S-PINs come out as written."""
    draws = Draws(1, "test")
    assert Distances.parse("400 m").draw_m(draws) == 400
    assert 10 <= Distances.parse({"from": "10 m", "to": "1 km"}).draw_m(draws) < 1000
    counted = Counter(SpinMix.parse({"right": "80 %", "none": "20 %"}).draw(draws) for _ in range(1000))
    assert counted["wrong"] == 0
    assert 150 < counted["none"] < 250
    assert SpinMix.parse("wrong").draw(draws) == "wrong"
