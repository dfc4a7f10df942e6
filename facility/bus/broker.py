"""Where the broker is, who we are to it, and whom we trust."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from facility.bus.secrets import first_line, read_private
from facility.errors import Fault, InputError


class Access(Protocol):
    """What says where a broker is, who we are to it and whom we trust: `bus` of a site file (`facility.site.Bus`), or an agent's options."""

    @property
    def broker(self) -> str:
        """Its address."""

    @property
    def ca_file(self) -> str | None:
        """PEM file of the CAs that may have signed its certificate; None: those of the system."""

    @property
    def cert_file(self) -> str | None:
        """PEM file of our own certificate."""

    @property
    def key_file(self) -> str | None:
        """PEM file of our own key; None where it stands in `cert_file`."""

    @property
    def password_file(self) -> str | None:
        """File of the password of the user that `broker` names."""

    @property
    def password_env(self) -> str:
        """Variable of the environment that holds the password of another user."""


@dataclass(frozen=True)
class Broker:
    """Where a broker is, who we are to it, and the PEM files of TLS."""

    host: str
    port: int
    tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = field(default=None, repr=False)
    cert_file: Path | None = field(default=None, repr=False)
    key_file: Path | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.host}:{self.port}"


def parse_broker_url(url: str) -> Broker:
    """Read `mqtt[s]://[user[:password]@]host[:port]`; ports default to 1883 and, with TLS, 8883. Raises InputError.

    >>> parse_broker_url("mqtts://ops:secret@bus.example")
    Broker(host='bus.example', port=8883, tls=True, username='ops')
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError:
        raise _bad_url(url, "is not an address") from None
    if parts.scheme not in {"mqtt", "mqtts"}:
        raise _bad_url(url, "does not begin with mqtt:// or mqtts://")
    if not host or any(sign.isspace() for sign in url) or port == 0:
        raise _bad_url(url, "has no usable host or port")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise _bad_url(url, "goes on after the port")
    if parts.password is not None and not parts.username:
        raise _bad_url(url, "has a password without a user")
    tls = parts.scheme == "mqtts"
    username, password = (unquote(part) if part else None for part in (parts.username, parts.password))
    if username is not None and not username.isprintable():
        raise _bad_url(url, "has a user with signs that cannot be printed")
    return Broker(host, port or (8883 if tls else 1883), tls, username, password)


def _bad_url(url: str, found: str) -> InputError:
    shown = url if "@" not in url else "(the address)"  # it may hold a password
    return InputError(Fault("broker", f"{shown!r} {found}", "write mqtt://[user[:password]@]host[:port], or mqtts:// for TLS"))


def reach(bus: Access, address: str | None = None) -> Broker:
    """How to reach a site's broker, or another one at `address`. Raises InputError.

    Certificates go wherever TLS does. The password of `bus.password_file` is for the site's own user on its own broker and goes
    nowhere else; that of the environment is for whatever user the address names without one.
    """
    own = parse_broker_url(bus.broker)
    broker = own if address is None else parse_broker_url(address)
    if broker.tls:
        broker = replace(broker, ca_file=_path(bus.ca_file), cert_file=_path(bus.cert_file), key_file=_path(bus.key_file))
    if broker.username is None or broker.password is not None:
        return broker
    password = os.environ.get(bus.password_env)
    if bus.password_file is not None and (broker.host, broker.port, broker.username) == (own.host, own.port, own.username):
        remedy = f"run as the service does, or be yourself: --broker {urlsplit(bus.broker).scheme}://YOU@{own.place}"
        password = first_line(read_private(Path(bus.password_file), "bus.password_file", remedy), "bus.password_file")
    return replace(broker, password=password)


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name)


def tls_context(broker: Broker) -> ssl.SSLContext:
    """Trust the system's CAs, or the one in `ca_file`, and show `cert_file` as our own. Raises InputError."""
    if secret := broker.key_file or broker.cert_file:
        read_private(secret, "bus.key_file")
    try:
        context = ssl.create_default_context(cafile=broker.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if broker.cert_file is not None:
            context.load_cert_chain(broker.cert_file, broker.key_file, password=_no_passphrase)
    except OSError as error:
        files = ", ".join(str(file) for file in (broker.ca_file, broker.cert_file, broker.key_file) if file is not None)
        raise InputError(Fault("broker", f"cannot use the certificates {files}: {error}", "name PEM files that exist")) from error
    return context


def _no_passphrase() -> str:
    """Keep a service from waiting for somebody to type one."""
    raise InputError(Fault("bus.key_file", "a key with a passphrase", "give one without, for nobody but the service to read"))
