"""Address: where metrics are served. A port alone is this machine's own, for power, prices and tenants' work are nobody else's business."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from facility.errors import Fault, InputError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Address:
    """A host and a port of ours; port 0 is any that is free."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine reaches it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, place: str = "--metrics") -> Address:
    """Read `PORT`, `HOST:PORT` or `[IPV6]:PORT`. Raises InputError.

    >>> str(parse_address("9464")), str(parse_address("[::1]:9464")), parse_address("0.0.0.0:9464").is_loopback
    ('127.0.0.1:9464', '[::1]:9464', False)
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    named = bool(bare) and (":" not in bare or host == f"[{bare}]") if colon else not host
    if not named or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise InputError(Fault(place, f"{text!r}", "give PORT or HOST:PORT, such as 9464, 0.0.0.0:9464 or [::1]:9464"))
    return Address(bare or LOOPBACK, int(port))
