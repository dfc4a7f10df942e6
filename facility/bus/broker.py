"""Where the broker is, who we are to it, and whom we trust."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from facility.errors import Fault, InputError


@dataclass(frozen=True)
class Broker:
    """Where a broker is and who we are to it."""

    host: str
    port: int
    tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)


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
    return Broker(host, port or (8883 if tls else 1883), tls, username, password)


def _bad_url(url: str, found: str) -> InputError:
    shown = url if "@" not in url else "(the address)"  # it may hold a password
    return InputError(Fault("broker", f"{shown!r} {found}", "write mqtt://[user:password@]host[:port], or mqtts:// for TLS"))


def tls_context(ca_file: Path | None = None, cert_file: Path | None = None, key_file: Path | None = None) -> ssl.SSLContext:
    """Trust the system's CAs, or the one in `ca_file`, and show `cert_file` as our own. Raises InputError."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file)
    except OSError as error:
        files = ", ".join(str(file) for file in (ca_file, cert_file, key_file) if file is not None)
        raise InputError(Fault("broker", f"cannot use the certificates {files}: {error}", "name PEM files that exist")) from error
    return context
