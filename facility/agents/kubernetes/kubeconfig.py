"""Kubeconfig: the file in which kubectl keeps where clusters are and who one is to them.

Source: Kubernetes, Organizing Cluster Access Using kubeconfig Files. What would start a program (`exec`) or was taken out of Kubernetes
(`auth-provider`, passwords) is refused: a service has a token or a certificate of its own.
"""

from __future__ import annotations

import base64
import binascii
import ssl
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml

from facility.agents.kubernetes.login import Login, Token, at, trust
from facility.errors import Fault, InputError

REFUSED: Final = {
    "exec": "a program that makes tokens",
    "auth-provider": "a plugin that makes tokens",
    "username": "a password",
    "insecure-skip-tls-verify": "a server that nobody can tell from another",
    "proxy-url": "a proxy",
    "tls-server-name": "another name for its certificate",
}
"""What is not understood, and what that is."""


def read_kubeconfig(file: Path, context: str | None = None) -> Login:
    """The login of a context, the current one where none is named. Raises InputError."""
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(Fault("--kubeconfig", f"{file} cannot be read: {error.strerror}", "name a file that we may read")) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _bad(file, f"is no YAML: {error}", "write it with kubectl config") from error
    if not isinstance(told, dict):
        raise _bad(file, "is no kubeconfig", "write it with kubectl config")
    name = context or told.get("current-context") or ""
    chosen = _named(file, told, "contexts", "context", name)
    cluster = _named(file, told, "clusters", "cluster", str(chosen.get("cluster", "")))
    user = _named(file, told, "users", "user", str(chosen.get("user", "")))
    for part in (cluster, user):
        for key, what in REFUSED.items():
            if part.get(key):
                raise _bad(file, f"{key}: {what}, which is not understood", "use the token or the certificate of a service account")
    trusted = trust(_path(file, cluster, "certificate-authority"), _text(file, cluster, "certificate-authority-data"))
    _show(file, user, trusted)
    tokens = _path(file, user, "tokenFile")
    token = Token(file=tokens) if tokens is not None else Token(str(user.get("token", "")))
    return at(str(cluster.get("server", "")), token, trusted)


def _named(file: Path, told: dict[str, Any], key: str, part: str, name: str) -> dict[str, Any]:
    """The part of that name; those of a kubeconfig stand in lists."""
    entries = [each for each in told.get(key) or () if isinstance(each, dict)]
    for each in entries:
        if each.get("name") == name and isinstance(each.get(part), dict):
            return dict(each[part])
    known = ", ".join(str(each.get("name")) for each in entries) or "none"
    raise _bad(file, f"no {part} {name!r} in {key}", f"those there: {known}")


def _path(file: Path, part: dict[str, Any], key: str) -> Path | None:
    """A file that is named from the kubeconfig's folder, or absolutely."""
    return file.parent / str(part[key]) if part.get(key) else None


def _text(file: Path, part: dict[str, Any], key: str) -> str | None:
    if not part.get(key):
        return None
    try:
        return base64.b64decode(str(part[key]), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _bad(file, f"{key} is no text in base64", "write it with kubectl config") from None


def _show(file: Path, user: dict[str, Any], context: ssl.SSLContext) -> None:
    """Show our certificate where there is one; data goes through a file of our own, which the library needs, and which is gone at once."""
    cert, key = _path(file, user, "client-certificate"), _path(file, user, "client-key")
    texts = _text(file, user, "client-certificate-data"), _text(file, user, "client-key-data")
    try:
        if texts[0] is not None and texts[1] is not None:
            with tempfile.TemporaryDirectory() as folder:
                both = Path(folder) / "client.pem"
                both.touch(0o600)
                both.write_text("\n".join(text for text in texts if text), encoding="utf-8")
                context.load_cert_chain(both)
        elif cert is not None:
            context.load_cert_chain(cert, key)
    except OSError as error:
        raise _bad(file, f"its client certificate cannot be used: {error}", "name PEM files that exist") from error




def _bad(file: Path, found: str, remedy: str) -> InputError:
    return InputError(Fault("--kubeconfig", f"{file} {found}" if found.startswith("is ") else f"{file}: {found}", remedy))
