"""The reader of packet vectors, by vectors of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleet.errors import UsageError
from tests.conformance.vectors import read_packet, read_vectors, variable_length


@pytest.mark.parametrize(
    ("line", "data"),
    [
        ("C0 r0", b"\xc0\0"),
        ("32 r10 s3 'a/b' m7 'xyz'", b"\x32\x0a\0\3a/b\0\7xyz"),
        ("i9 H258 k60 L1", b"\x09\1\2\0\x3c\0\0\0\1"),
        ("v127 v128 v268435455", b"\x7f\x80\x01\xff\xff\xff\x7f"),
        ("82 r268435456", b"\x82\x80\x80\x80\x80\x01"),
        ("30  00061f 'two words' ''", b"\x30\0\6\x1ftwo words"),
        ("'ü'", "ü".encode()),
        ("", b""),
    ],
)
def test_a_line_of_tokens_is_bytes(line: str, data: bytes) -> None:
    """Numbers of each size, texts, hexadecimal digits, and lengths that MQTT does not allow."""
    assert read_packet(line).data() == data


def test_packet_identifiers_can_be_others() -> None:
    """And nothing else changes, though it may have the same value."""
    packet = read_packet("40 r2 m1 H1 m2")
    assert packet.data({1: 0x0203}) == b"\x40\2\2\3\0\1\0\2"


@pytest.mark.parametrize("line", ["zz", "'open", "i256", "H-1", "mx", "E"])
def test_what_is_no_token_is_named(line: str) -> None:
    with pytest.raises(UsageError, match="no token of a packet vector"):
        read_packet(line)


@pytest.mark.parametrize(
    ("number", "length"), [(0, 1), (0x7F, 1), (0x80, 2), (0x3FFF, 2), (0x4000, 3), (0xFFF_FFFF, 4), (1 << 28, 5)]
)
def test_a_variable_length_takes_as_many_bytes_as_it_needs(number: int, length: int) -> None:
    assert len(variable_length(number)) == length


def test_a_case_inherits_from_its_group(tmp_path: Path) -> None:
    """Its own word goes first; the group's messages come before its own; a disabled group is left out."""
    send, hear = {"type": "send", "payload": "C0 r0"}, {"type": "recv", "payload": "D0 r0"}
    publish = {"type": "external_publish", "topic": "t", "payload": "a b", "qos": 2}
    groups = [
        {
            "group": "v5.0   PING", "ver": 5, "connect": False, "command": "publish-1", "group_msgs": [send],
            "tests": [
                {"name": "one", "msgs": [hear]},
                {"name": "one", "ver": 3, "connect": True, "connack": False, "expect_disconnect": False, "msgs": []},
            ],
        },
        {"group": "off", "disable": True, "tests": [{"name": "x", "msgs": []}]},
        {"group": "plain", "tests": [{"name": "x", "msgs": [publish]}]},
    ]  # fmt: skip
    (tmp_path / "PING.json").write_text(json.dumps(groups), encoding="utf-8")
    one, two, plain = read_vectors(tmp_path)
    assert (one.name, one.version, one.connects, one.connacks, one.ends, one.command) == (
        "PING | v5.0 PING | one", 5, False, True, True, "publish-1",
    )  # fmt: skip
    assert [step.action for step in one.steps] == ["send", "recv"]
    assert (two.name, two.version, two.connects, two.connacks, two.ends) == ("PING | v5.0 PING | one #2", 3, True, False, False)
    assert (plain.version, plain.steps[0].topic, plain.steps[0].payload, plain.steps[0].qos) == (4, "t", "a b", 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[{", "Input data was truncated"),
        (
            '[{"group": "g", "tests": [{"name": "n", "msgs": [{"type": "say", "payload": ""}]}]}]',
            r"'say' - at `\$\[0\].tests\[0\]",
        ),
        ('[{"group": "g", "tests": [{"name": "n"}]}]', "missing required field `msgs`"),
    ],
)
def test_a_file_of_another_kind_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    """It says which file, and where in it."""
    (tmp_path / "X.json").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=f"X.json holds no packet vectors: .*{words}"):
        read_vectors(tmp_path)


def test_a_folder_without_vectors_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no packet vectors"):
        read_vectors(tmp_path)
