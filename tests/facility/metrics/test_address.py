from __future__ import annotations

import pytest

from facility.errors import InputError
from facility.metrics.address import Address, parse_address


def test_a_port_alone_is_this_machines_own() -> None:
    assert parse_address("9464") == Address("127.0.0.1", 9464)
    assert parse_address("9464").is_loopback


@pytest.mark.parametrize(("text", "host", "own"), [("localhost:1", "localhost", True), ("[::1]:1", "::1", True), ("10.0.0.3:1", "10.0.0.3", False)])
def test_a_host_is_taken_as_it_is(text: str, host: str, own: bool) -> None:
    assert parse_address(text) == Address(host, 1)
    assert parse_address(text).is_loopback is own
    assert parse_address(str(parse_address(text))) == parse_address(text)


@pytest.mark.parametrize("text", ["", ":", ":9464", "host:", "host", "::1:9464", "host:65536", "host:-1", "host:9464/metrics", "[::1]", "host:٣"])
def test_what_is_no_address_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(InputError, match=r"--metrics: .*give PORT or HOST:PORT"):
        parse_address(text)
