"""The door: every request and every socket passes here; who is not known gets no further than the login.

    headers   nothing from elsewhere (CSP), in no frame, no type guessed, no address told on
    Host      on loopback only loopback's names, so that no name of somebody else's can be made to mean this machine
    Origin    a socket, or a form, must come from our own page: no other page in the same browser can act
    cookie    HttpOnly, SameSite=Strict, Secure where the way to us is

NiceGUI builds its pages by scripts in the page, so the CSP must allow those; it lets nothing in that is not ours.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facility.console.access import ANYBODY, Person, Sessions, Throttle, Users
from facility.console.page.login import login_page

COOKIE: Final = "facility-console"
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
MOST_FORM_BYTES: Final = 4096
AT_ONCE: Final = 2
"""Passwords that are tried at once; each takes 32 MiB."""
HEADERS: Final = (
    (
        b"content-security-policy",
        (
            b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
            b"font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        ),
    ),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)


@dataclass(frozen=True)
class Rules:
    """Who is let in: from loopback alone, users, or whom a proxy at one of some addresses names in a header."""

    loopback: bool
    users: Users | None = None
    trust_header: str | None = None
    trust_from: frozenset[str] = frozenset()
    lasts_s: float = 12 * 3600.0


class Door:
    """An ASGI application before another. Each scope that passes has `person`, and `still`: who it is now, None once that is over."""

    def __init__(self, app: ASGIApp, site: str, rules: Rules, elapsed_s: Callable[[], float]) -> None:
        self._app, self._site, self._rules = app, site, rules
        self._sessions, self._throttle = Sessions(rules.lasts_s, elapsed_s), Throttle(elapsed_s)
        self._trying = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in, or not."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        guarded = _with_headers(send)
        socket = scope["type"] == "websocket"
        writes = socket or scope["method"] not in {"GET", "HEAD"}
        if (self._rules.loopback and not self._rules.trust_header and _name(headers.get("host", "")) not in LOOPBACK) or (
            writes and not self._same_origin(scope, headers)
        ):
            await _refuse(scope, guarded, 403, "This page is served to its own address only.")
            return
        if scope["path"] == "/login" and not socket and self._rules.users is not None:
            await self._login(scope, headers, receive, guarded)
            return
        if scope["path"] == "/logout" and not socket and writes:
            self._sessions.close(_token(headers) or "")
            await _answer(guarded, 303, b"", [(b"location", b"/login"), (b"set-cookie", _cookie("", 0, secure=False))])
            return
        person = self._who(scope, headers)
        if person is None:
            asks = not socket and not writes and "text/html" in headers.get("accept", "")
            if asks and self._rules.users is not None and not self._rules.trust_header:
                await _answer(guarded, 303, b"", [(b"location", b"/login")])
            else:
                await _refuse(scope, guarded, 401, "Nobody is logged in.")
            return
        scope["person"], scope["still"] = person, lambda: self._who(scope, headers)
        await self._app(scope, receive, guarded if not socket else send)

    def _who(self, scope: Scope, headers: Headers) -> Person | None:
        users, rules = self._rules.users, self._rules
        if users is not None:
            users.read()
        if rules.trust_header is not None and self._from_proxy(scope):
            name = headers.get(rules.trust_header, "").strip()
            return Person(name, (users.role(name) if users is not None else None) or "viewer") if name else None
        if users is None:
            return ANYBODY if rules.loopback and rules.trust_header is None else None
        person = self._sessions.person(_token(headers))
        role = None if person is None else users.role(person.name)
        return None if person is None or role is None else Person(person.name, role)

    async def _login(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _page(send, 200, login_page(self._site))
            return
        form = parse_qs((await _body(receive)).decode(errors="replace"))
        name, password = (form.get(field, [""])[0] for field in ("name", "password"))
        keys = (f"name {name[:64]}", f"from {_client(scope)}")
        wait_s = self._throttle.wait_s(*keys)
        if wait_s:
            await _page(send, 429, login_page(self._site, f"Too many attempts. Try again in {wait_s / 60:.0f} min."))
            return
        assert self._rules.users is not None
        async with self._trying:
            person = await asyncio.to_thread(self._rules.users.check, name[:64], password[:1024])
        if person is None:
            self._throttle.failed(*keys)
            await _page(send, 401, login_page(self._site, "Name and password do not fit."))
            return
        secure = scope["scheme"] == "https" or (self._from_proxy(scope) and headers.get("x-forwarded-proto") == "https")
        cookie = _cookie(self._sessions.open(person), self._rules.lasts_s, secure=secure)
        await _answer(send, 303, b"", [(b"location", b"/"), (b"set-cookie", cookie)])

    def _same_origin(self, scope: Scope, headers: Headers) -> bool:
        """Whether what acts comes from our page: a browser says so, and what is no browser has no cookie of anybody's."""
        origin = headers.get("origin")
        if origin is None:
            return True
        hosts = {headers.get("host", "")}
        if self._from_proxy(scope):
            hosts.add(headers.get("x-forwarded-host", ""))
        return urlsplit(origin).netloc in hosts

    def _from_proxy(self, scope: Scope) -> bool:
        return _client(scope) in self._rules.trust_from


def is_loopback(host: str) -> bool:
    """Whether an address that is listened on can be reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _client(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else ""


def _name(host: str) -> str:
    return (urlsplit(f"//{host}").hostname or "") if host else ""


def _token(headers: Headers) -> str | None:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and morsel.value else None


def _cookie(token: str, lasts_s: float, *, secure: bool) -> bytes:
    return f"{COOKIE}={token}; Path=/; Max-Age={lasts_s:.0f}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}".encode()


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more and len(body) <= MOST_FORM_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body[:MOST_FORM_BYTES]


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
        await send(message)

    return sending


async def _answer(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"cache-control", b"no-store")]})
    await send({"type": "http.response.body", "body": body})


async def _page(send: Send, status: int, html: str) -> None:
    await _answer(send, status, html.encode(), [(b"content-type", b"text/html; charset=utf-8")])


async def _refuse(scope: Scope, send: Any, status: int, words: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": words})
    else:
        await _answer(send, status, words.encode(), [(b"content-type", b"text/plain; charset=utf-8")])
