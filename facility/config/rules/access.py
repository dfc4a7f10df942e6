"""Rules of how the broker is reached."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from facility.bus.broker import parse_broker_url
from facility.config.rules.parts import Breach, Known, nearest
from facility.errors import InputError

OF: Final = {"agent": "pools", "gateway": "halls", "tenant": "tenants"}


SINGLE: Final = ("operator", "dashboard", "scheduler", "grid", "desk", "building")


def users(site: Known) -> Iterator[Breach]:
    """Users of things that are not there, or whose name is that of a role which is not theirs."""
    usual = _usual(site)
    for name in site.ids("bus", "users"):
        kind, _, of = (site.get("bus", "users", name) or "").partition("/")
        known = [*site.ids(OF[kind]), *(["site"] if kind == "gateway" else [])] if kind in OF else []
        if kind in OF and of not in known:
            yield ("bus", "users", name), f"no `{of}` in {OF[kind]}", nearest(of, known)
        elif name in usual and name != f"{kind}-{of}".rstrip("-"):
            yield ("bus", "users", name), f"`{name}` is the usual name of another role's user", "give each user a name of its own"


def access(site: Known) -> Iterator[Breach]:
    """Files and passwords that the address has no use for, a key without a certificate, signatures that nobody can check."""
    address = site.get("bus", "broker")
    if address is None:
        return
    try:
        broker = parse_broker_url(address)
    except InputError as error:
        fault = error.faults[0]
        yield ("bus", "broker"), fault.found, fault.remedy
        return
    if broker.username in _usual(site):
        yield ("bus", "broker"), f"`{broker.username}` is the usual name of another role's user", "give the service a name of its own"
    if not broker.tls:
        for key in ("ca_file", "cert_file", "key_file"):
            if site.get("bus", key) is not None:
                yield ("bus", key), "certificates are given, but no TLS is asked for", "write mqtts:// in `broker`, or leave it out"
    if site.get("bus", "key_file") is not None and site.get("bus", "cert_file") is None:
        yield ("bus", "key_file"), "a key without its certificate", "name that in cert_file"
    if site.get("bus", "password_file") is not None and (broker.username is None or broker.password is not None):
        found = "the address names no user" if broker.username is None else "the address has a password already"
        yield ("bus", "password_file"), found, "write mqtts://user@host in `broker`, without a password"
    if (broker.username or "daemon") in site.ids("bus", "users"):
        yield ("bus", "users", broker.username or "daemon"), "the service's own name", "give each user a name of its own"
    if site.get("bus", "signatures") == "required" and site.get("bus", "operator_keys_file") is None:
        yield ("bus", "signatures"), "required, but nobody's key is known", "name a file in operator_keys_file"


def _usual(site: Known) -> set[str]:
    """The names that users have whom the site file does not name."""
    return {*SINGLE, "gateway-site", *(f"{kind}-{of}" for kind, part in OF.items() for of in site.ids(part))}
