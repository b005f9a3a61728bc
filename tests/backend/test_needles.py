"""Looking for bytes in files."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from fleet.backend import needles
from fleet.backend.needles import CHUNK, found_in, position_needle, text_needle


def test_a_text_is_found_across_the_border_of_two_pieces(tmp_path: Path) -> None:
    """Wherever it stands, however large the file is."""
    path = tmp_path / "file"
    for before in (0, CHUNK - 3, 2 * CHUNK - 1):
        path.write_bytes(b"\0" * before + b"VSSZZZKMZPR000001" + b"\0" * 100)
        assert found_in(path, [text_needle("VIN", "VSSZZZKMZPR000001"), text_needle("other", "VSSZZZKMZPR000002")]) == ["VIN"]


@pytest.mark.parametrize("spaces", [True, False])
def test_a_position_is_found_in_a_message_and_in_json(tmp_path: Path, spaces: bool) -> None:
    path, place = tmp_path / "file", {"latitude": 41.3851234, "longitude": 2.1734567, "accuracy_m": 8.0}
    needle = position_needle("place", place["latitude"], place["longitude"])
    elsewhere = position_needle("elsewhere", place["latitude"], 2.1734568)
    separators = (", ", ": ") if spaces else (",", ":")
    for content in (msgspec.msgpack.encode({"position": place}), json.dumps(place, separators=separators).encode()):
        path.write_bytes(b"x" * 1000 + content)
        assert found_in(path, [needle, elsewhere]) == ["place"]


def test_in_a_file_that_is_gone_there_is_nothing(tmp_path: Path) -> None:
    assert found_in(tmp_path / "none", [text_needle("a", "a")]) == []
    assert found_in(tmp_path / "none", []) == []


def test_a_search_ends_where_all_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads no more than it must."""
    monkeypatch.setattr(needles, "CHUNK", 4)
    path = tmp_path / "file"
    path.write_bytes(b"abcd" * 1000)
    assert found_in(path, [text_needle("c", "c")]) == ["c"]
