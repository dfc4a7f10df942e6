"""Login: where the API server is, who we are to it, and whom we trust.

A pod finds all three in the folder of its service account; its token is renewed there by the kubelet before it ends, so that it is read again
every minute, and at once where the server no longer takes it (Kubernetes, Managing Service Accounts, bound service account tokens).
"""

from __future__ import annotations

import os
import ssl
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from facility.bus.secrets import first_line, read_private
from facility.errors import Fault, InputError

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""The folder of a pod's service account."""
KEPT_S: Final = 60.0
"""A token from a file is read again after so long."""


class Token:
    """What proves who we are: a text, or the first line of a file that somebody renews."""

    def __init__(self, text: str = "", file: Path | None = None) -> None:
        self._text, self._file = text, file
        self._read_s = float("-inf")
        if file is not None:
            self.read_again()

    def text(self) -> str:
        """The token as it was read last, within the last minute; empty where there is none."""
        if self._file is not None and time.monotonic() - self._read_s > KEPT_S:
            self.read_again()
        return self._text

    def read_again(self) -> None:
        """Read the file anew, where there is one. Raises InputError."""
        if self._file is None:
            return
        self._read_s = time.monotonic()
        try:
            self._text = first_line(self._file.read_bytes(), str(self._file))
        except OSError as error:
            raise InputError(Fault("token", f"{self._file} cannot be read: {error.strerror}", "name a file that we may read")) from error


@dataclass(frozen=True)
class Login:
    """An API server and how to speak to it; `context` is None without TLS."""

    url: str
    token: Token
    context: ssl.SSLContext | None = None


def at(url: str, token: Token, context: ssl.SSLContext | None) -> Login:
    """A login at an address. Raises InputError for one that is none, or where a token would travel in clear."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise InputError(Fault("--api", f"{url!r} is no address", "give https://host[:port], or http:// on this machine, as of kubectl proxy"))
    if parts.scheme == "http" and not _is_here(host):
        raise InputError(Fault("--api", f"{url} is neither encrypted nor on this machine", "give https://"))
    return Login(url.rstrip("/"), token, None if parts.scheme == "http" else context or trust(None))


def trust(ca_file: Path | None, ca: str | None = None) -> ssl.SSLContext:
    """Trust the CAs of a file or text of PEM, or the system's. Raises InputError."""
    try:
        context = ssl.create_default_context(cafile=ca_file, cadata=ca)
    except (OSError, ValueError) as error:
        raise InputError(Fault("the API server's CA", f"{ca_file or 'its data'} cannot be used: {error}", "give a PEM file")) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def in_cluster(folder: Path = ACCOUNT) -> Login:
    """The login of a pod. Raises InputError outside of one."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").exists():
        raise InputError(Fault("facility agent kubernetes", "this is no pod with a service account", "give --kubeconfig FILE or --api URL"))
    address = f"[{host}]" if ":" in host else host
    return at(f"https://{address}:{port}", Token(file=folder / "token"), trust(folder / "ca.crt"))


def by_options(api: str, token_file: Path | None, ca_file: Path | None) -> Login:
    """The login at `api`: its token from a file that only we may read, or from FACILITY_KUBERNETES_TOKEN, or none. Raises InputError."""
    if token_file is not None:
        read_private(token_file, "--token-file")
        token = Token(file=token_file)
    else:
        token = Token(os.environ.get("FACILITY_KUBERNETES_TOKEN", ""))
    return at(api, token, trust(ca_file) if ca_file is not None else None)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
