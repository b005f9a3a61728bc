"""Addresses: what is written can be read, and what cannot be read is told with what to write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.addresses import NoAddress, address_of, family_of, is_loopback, read_address, read_host
from fleet.errors import Unreachable, UsageError
from fleet.transport.link import Endpoint

HOSTS = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda address: f"{address}%eth0"),
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{2,8}){0,3}", fullmatch=True),
)


@given(HOSTS, st.integers(1, 65_535))
def test_what_is_written_can_be_read(host: str, port: int) -> None:
    """By itself, in an URL, and in the message of an error."""
    assert read_address(address_of(host, port)) == (host, port)
    url = str(Endpoint(host, port))
    assert str(Endpoint.from_url(url)) == url
    assert address_of(host, port) in str(Unreachable(host, port, "gone"))


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("mqtt://[::1]", "::1", 1883),
        ("mqtt://[::1]:1", "::1", 1),
        ("[fe80::1%eth0]:5", "fe80::1%eth0", 5),
        ("mqtt://[fe80::1%25eth0]:5", "fe80::1%eth0", 5),
        ("MQTT://Broker.Example/", "broker.example", 1883),
        ("host", "host", 1883),
    ],
)
def test_addresses_of_brokers(url: str, host: str, port: int) -> None:
    """With and without scheme, port, scope and a slash at the end."""
    endpoint = Endpoint.from_url(url)
    assert (endpoint.host, endpoint.port) == (host, port)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("mqtt://::1:1883", "[::1]:1883"),
        ("::1", "[::1]:PORT"),
        ("mqtt://[::1", "brackets"),
        ("mqtt://[::g]:1", "such as ::1"),
        ("mqtt://[localhost]:1", "such as ::1"),
        ("mqtt://host:", "host:1883"),
        ("mqtt://host:0", "from 1 to 65535"),
        ("mqtt://host:70000", "from 1 to 65535"),
        ("mqtt://host:1x", "from 1 to 65535"),
        ("mqtt://", "a name or an address"),
        ("mqtt://a/b", "HOST:PORT"),
        ("ws://host", "mqtts://"),
    ],
)
def test_what_is_no_address_is_told(url: str, hint: str) -> None:
    """With what to write instead."""
    with pytest.raises(UsageError) as caught:
        Endpoint.from_url(url)
    assert hint in caught.value.hint


def test_where_to_listen_has_no_port() -> None:
    """A host stands alone, with brackets or without."""
    assert [read_host(text) for text in ("::1", "[::1]", "127.0.0.1", "Broker")] == ["::1", "::1", "127.0.0.1", "broker"]
    for text in ("", "127.0.0.1:1883", "[::1]:1883", "a b"):
        with pytest.raises(NoAddress):
            read_host(text)


def test_the_kind_of_an_address() -> None:
    """A name may have both."""
    assert [family_of(text) for text in ("127.0.0.1", "::1", "fe80::1%eth0", "localhost")] == [4, 6, 6, None]


def test_what_stays_on_this_machine() -> None:
    """An address by its kind, a name only if it can mean nothing else."""
    assert [is_loopback(text) for text in ("127.0.0.1", "127.8.0.1", "::1", "localhost")] == [True] * 4
    assert [is_loopback(text) for text in ("192.0.2.1", "localhost.example", "mail", "")] == [False] * 4
