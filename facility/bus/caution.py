"""Caution: what is amiss in how a site reaches its broker, though it may work today."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from facility.bus.broker import Broker, parse_broker_url
from facility.bus.certificates import ending
from facility.bus.secrets import read_private
from facility.errors import InputError
from facility.site import Bus


def cautions(bus: Bus, now: datetime) -> Iterator[str]:
    """Tell certificates that end, secrets that others may read or nobody can, passwords in the site file and in the clear."""
    yield from map(str, ending(bus, now))
    for key in ("key_file", "password_file", "operator_keys_file"):
        name = getattr(bus, key)
        try:
            if name is not None:
                read_private(Path(name), f"bus.{key}")
        except InputError as error:
            yield from map(str, error.faults)
    broker = parse_broker_url(bus.broker)
    if broker.password is not None:
        yield f"bus.broker: a password stands in the site file; put it in bus.password_file, or in the environment as {bus.password_env}"
    if not broker.tls and not _loopback(broker):
        yield f"bus.broker: whoever is on the way to {broker.place} can read and change everything; write mqtts:// and give bus.ca_file"


def _loopback(broker: Broker) -> bool:
    try:
        return ip_address(broker.host).is_loopback
    except ValueError:
        return broker.host == "localhost"
