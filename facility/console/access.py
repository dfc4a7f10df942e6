"""Access: who may look and who may act.

    without users       only on loopback: whoever is at the machine may look, and acts under the name that he or she gives
    with users          a name and a password make a session that ends after a while; viewers look, operators act
    behind a proxy      the proxy tells the name in a header, which is believed from its address alone; the users file tells the role

The users file has a line for each: name, role, salt and hash (scrypt), `-` for who comes through the proxy only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from facility.bus.secrets import read_private
from facility.errors import Fault, InputError

Role = Literal["operator", "viewer"]
ROLES: Final = ("operator", "viewer")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._-]{0,63}")
SHORTEST: Final = 8

COST, BLOCK, LANES = 2**15, 8, 1
"""Scrypt's: 32 MiB and about 0.1 s for each password that is tried."""
SALT_BYTES: Final = 16


@dataclass(frozen=True)
class Person:
    """Who looks. Without a name nobody acts: on loopback without users it is given with each act."""

    name: str
    role: Role

    @property
    def may_act(self) -> bool:
        """Whether overrides are this person's to set."""
        return self.role == "operator"


ANYBODY: Final = Person("", "operator")
"""Who is at the machine itself, where there are no users."""


@dataclass(frozen=True)
class User:
    """A line of the users file."""

    role: Role
    salt: bytes
    key: bytes


class Users:
    """The users file, read again when it changes. Raises InputError for one that cannot be used."""

    def __init__(self, file: Path) -> None:
        self._file, self._stamp = file, (0, 0)
        self._users: Mapping[str, User] = {}
        self.read()

    def read(self) -> None:
        """Read it, where it changed."""
        try:
            state = self._file.stat()
        except OSError as error:
            raise InputError(Fault("--users", f"cannot read {self._file}: {error.strerror}", "make it: --add-user NAME --role operator")) from error
        if (stamp := (state.st_mtime_ns, state.st_size)) != self._stamp:
            self._users, self._stamp = read_users(self._file), stamp

    def role(self, name: str) -> Role | None:
        """The role of a name; None where there is no such user."""
        user = self._users.get(name)
        return None if user is None else user.role

    def check(self, name: str, password: str) -> Person | None:
        """Who gives this name and password; None where they do not fit. Takes as long for a name that is not there."""
        user = self._users.get(name)
        salt = user.salt if user is not None and user.salt else bytes(SALT_BYTES)
        fits = hmac.compare_digest(hashed(password, salt), user.key if user is not None else b"")
        return Person(name, user.role) if user is not None and user.key and fits else None


def hashed(password: str, salt: bytes) -> bytes:
    """Hash a password."""
    return hashlib.scrypt(password.encode(), salt=salt, n=COST, r=BLOCK, p=LANES, maxmem=64 * 1024 * 1024, dklen=32)


def read_users(file: Path) -> dict[str, User]:
    """Read a users file. Raises InputError, with every line that is wrong."""
    users: dict[str, User] = {}
    faults: list[Fault] = []
    for number, line in enumerate(read_private(file, "--users").decode(errors="replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        place = f"{file} (line {number})"
        try:
            name, role, salt, key = line.split()
            user = User(cast("Role", role), _bytes(salt), _bytes(key))
        except ValueError:
            name, role, user = "", "", None
        if user is None or role not in ROLES or not NAME.fullmatch(name) or name in users:
            faults.append(Fault(place, "is no user, or one that was named before", "write lines with --add-user NAME --role operator"))
        else:
            users[name] = user
    if faults:
        raise InputError(*faults)
    return users


def add_user(file: Path, name: str, role: str, password: str | None) -> None:
    """Add a user, or give one a new role and password; without a password only a proxy brings them. Raises InputError."""
    if role not in ROLES:
        raise InputError(Fault("--role", f"{role!r} is none", "say operator or viewer"))
    if not NAME.fullmatch(name):
        raise InputError(Fault("--add-user", f"{name!r} is no name", "letters, digits, and @ . _ - within"))
    if password is not None and len(password) < SHORTEST:
        raise InputError(Fault("password", f"shorter than {SHORTEST} signs", "take a longer one"))
    users = read_users(file) if file.exists() else {}
    salt = secrets.token_bytes(SALT_BYTES) if password is not None else b""
    users[name] = User(cast("Role", role), salt, hashed(password, salt) if password is not None else b"")
    text = "".join(f"{each} {user.role} {_text(user.salt)} {_text(user.key)}\n" for each, user in sorted(users.items()))
    new = file.with_name(f".{file.name}.new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(text)
        new.replace(file)
    except OSError as error:
        raise InputError(Fault("--users", f"cannot write {file}: {error.strerror}", "name a file that you may write")) from error


def _bytes(text: str) -> bytes:
    return b"" if text == "-" else base64.b64decode(text, validate=True)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode() if data else "-"


class Sessions:
    """Who is logged in, by a token that only the browser has; its hash is kept. They end `lasts_s` after the login."""

    MOST: Final = 10_000

    def __init__(self, lasts_s: float, elapsed_s: Callable[[], float]) -> None:
        self._lasts_s, self._elapsed_s = lasts_s, elapsed_s
        self._open: OrderedDict[bytes, tuple[Person, float]] = OrderedDict()

    def open(self, person: Person) -> str:
        """Begin a session; the token."""
        token = secrets.token_urlsafe(32)
        self._open[_digest(token)] = person, self._elapsed_s() + self._lasts_s
        while len(self._open) > self.MOST:
            self._open.popitem(last=False)
        return token

    def person(self, token: str | None) -> Person | None:
        """Whose session a token is; None for one that is over or never was."""
        if token is None:
            return None
        person, until = self._open.get(_digest(token), (None, 0.0))
        if person is not None and self._elapsed_s() >= until:
            self.close(token)
            return None
        return person

    def close(self, token: str) -> None:
        """End a session."""
        self._open.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


class Throttle:
    """How often somebody may try: of the failures of a name or an address within `SPAN_S`, so many and no more."""

    SPAN_S: Final = 300.0
    MOST: Final = 5
    KEPT: Final = 10_000

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        self._elapsed_s = elapsed_s
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, *keys: str) -> float:
        """For how long nobody may try under any of these keys, s; 0 where one may."""
        now = self._elapsed_s()
        return max((self._wait_s(self._failures[key], now) for key in keys if key in self._failures), default=0.0)

    def _wait_s(self, failures: deque[float], now: float) -> float:
        recent = [at for at in failures if now - at < self.SPAN_S]
        return self.SPAN_S - (now - recent[-self.MOST]) if len(recent) >= self.MOST else 0.0

    def failed(self, *keys: str) -> None:
        """Note a failure under each of the keys."""
        for key in keys:
            self._failures.setdefault(key, deque(maxlen=self.MOST)).append(self._elapsed_s())
            self._failures.move_to_end(key)
        while len(self._failures) > self.KEPT:
            self._failures.popitem(last=False)
