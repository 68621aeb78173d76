"""Addresses read and write alike, and know who can reach them."""

import pytest

from spanmill.model import Address


@pytest.mark.parametrize(
    ("host", "port", "written"),
    [
        ("127.0.0.1", 4317, "127.0.0.1:4317"),
        ("localhost", 0, "localhost:0"),
        ("::1", 4317, "[::1]:4317"),
        ("0.0.0.0", 65535, "0.0.0.0:65535"),  # noqa: S104  parsed, not bound
    ],
)
def test_round_trip(host: str, port: int, written: str) -> None:
    """An address reads into host and port, and writes back the same."""
    address = Address.parse(written)

    assert Address(host, port) == address
    assert written == str(address)


@pytest.mark.parametrize(
    "written",
    ["4317", ":4317", "host", "host:", "host:65536", "host:-1", "::1:4317", "[h]:1", 4317],
)
def test_no_address(written: object) -> None:
    """What is no host and port is refused with an example of one."""
    with pytest.raises(ValueError, match=r"such as 127\.0\.0\.1:4317"):
        Address.parse(written)


@pytest.mark.parametrize(
    ("loopback", "written"),
    [
        (True, "127.0.0.1:1"),
        (True, "127.8.8.8:1"),
        (True, "[::1]:1"),
        (True, "localhost:1"),
        (False, "0.0.0.0:1"),
        (False, "[::]:1"),
        (False, "gateway.example:1"),
    ],
)
def test_loopback(loopback: object, written: str) -> None:
    """Only addresses that stay on this machine count as loopback."""
    assert loopback == Address.parse(written).is_loopback
