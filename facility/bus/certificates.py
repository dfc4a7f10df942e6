"""Certificates: when those of the site file end (RFC 5280, section 4.1.2.5), told in time for somebody to mend it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from facility.errors import Fault
from facility.site import Bus

SOON = timedelta(days=30)

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_UTC_TIME, _VERSION = 0x17, 0xA0


def ends(file: Path) -> datetime:
    """When the first of the certificates in a PEM file ends, UTC. Raises OSError, and ValueError where there is none.

    A file of CAs is worth what the one that is needed is worth; nobody knows which, so the first that ends counts.
    """
    found = _PEM.findall(file.read_text("utf-8", "replace"))
    if not found:
        raise ValueError("no certificate in it")
    return min(_not_after(ssl.PEM_cert_to_DER_cert(pem)) for pem in found)


def ending(bus: Bus, now: datetime) -> Iterator[Fault]:
    """Every certificate of the site file that has ended, ends within 30 days, or cannot be read."""
    whose = {"ca_file": "get the CA's new certificate", "cert_file": "have a new one signed for the same name"}
    for key, remedy in whose.items():
        if (name := getattr(bus, key)) is None:
            continue
        try:
            end = ends(Path(name))
        except OSError as error:
            yield Fault(f"bus.{key}", f"{name} cannot be read: {error.strerror}", "name a PEM file that we may read")
        except (ValueError, IndexError) as error:
            yield Fault(f"bus.{key}", f"{name} is no certificate: {error}", "name a PEM file")
        else:
            if end <= now + SOON:
                days = (abs(end - now)).days
                said = f"ended {days} days ago, on {end:%Y-%m-%d}" if end <= now else f"ends in {days} days, on {end:%Y-%m-%d}"
                yield Fault(f"bus.{key}", f"the certificate in {name} {said}", f"{remedy}, and start the service again")


def _not_after(der: bytes) -> datetime:
    """Certificate -> TBSCertificate -> [version], serial, algorithm, issuer, validity -> notBefore, notAfter."""
    _, at, _ = _element(der, 0)
    _, at, _ = _element(der, at)
    tag, _, end = _element(der, at)
    for _ in range(4 if tag == _VERSION else 3):
        at = end
        tag, _, end = _element(der, at)
    _, at, _ = _element(der, at)
    _, _, at = _element(der, at)
    tag, at, end = _element(der, at)
    text = der[at:end].decode()
    if tag == _UTC_TIME:
        text = ("19" if text >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Read the tag of a DER element, and where its content begins and ends."""
    tag, length, at = der[at], der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, at = int.from_bytes(der[at : at + size], "big"), at + size
    return tag, at, at + length
