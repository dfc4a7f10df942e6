"""Who gets in at the console: users, sessions, a proxy's word, and what no other page can do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import facility.console.access as room
from facility.clock import VirtualClock
from facility.console.access import ANYBODY, Person, Sessions, Throttle, Users, add_user
from facility.console.door import Door, Rules, is_loopback
from facility.errors import InputError
from tests.facility.console.test_acts import NOW

HERE = {"host": "127.0.0.1:8080"}


class Asked:
    """A door with a page behind it that says who came."""

    def __init__(self, rules: Rules) -> None:
        self.clock = VirtualClock(NOW)
        self.scopes: list[Any] = []
        self.door = Door(self._behind, "Demo", rules, self.clock.elapsed_s)

    async def _behind(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"the page"})

    def ask(
        self, path: str = "/", method: str = "GET", body: bytes = b"", *, kind: str = "http", client: str = "127.0.0.1", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask for a page; the status, the headers and the body. A socket's status is its close code, 0 where it is let in."""
        named = {**HERE, "accept": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
        scope = {
            "type": kind, "method": method, "path": path, "scheme": "http", "client": (client, 1), "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in named.items() if value],
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.door(scope, receive, send))
        if kind == "websocket":
            return (0 if sent[0]["type"] == "websocket.accept" else sent[0]["code"]), {}, b""
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], found, sent[1]["body"]

    def log_in(self, name: str, password: str, **more: str) -> tuple[int, dict[str, str], bytes]:
        return self.ask("/login", "POST", urlencode({"name": name, "password": password}).encode(), **more)

    def person(self) -> Person | None:
        found: Person | None = self.scopes[-1]["person"]
        return found


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(room, "COST", 2**4)  # what it costs is not what is tested
    file = tmp_path / "users"
    add_user(file, "otto", "operator", "a long password")
    add_user(file, "vera", "viewer", "another password")
    add_user(file, "paul", "operator", None)
    return file


@pytest.fixture
def asked(users: Path) -> Asked:
    return Asked(Rules(loopback=False, users=Users(users), lasts_s=100))


def cookie(headers: dict[str, str]) -> str:
    return headers["set-cookie"].split(";")[0]


def test_on_loopback_without_users_who_is_there_gets_in() -> None:
    asked = Asked(Rules(loopback=True))
    assert asked.ask()[0] == 200
    assert asked.person() == ANYBODY
    assert [asked.ask(host=host)[0] for host in ("localhost:8080", "[::1]:8080")] == [200, 200]
    assert [asked.ask(host=host)[0] for host in ("evil.example", "127.0.0.1.evil.example", "")] == [403, 403, 403]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999"])
def test_no_other_page_of_the_same_browser_can_act(origin: str) -> None:
    asked = Asked(Rules(loopback=True))
    assert asked.ask(kind="websocket", origin="http://127.0.0.1:8080")[0] == 0
    assert asked.ask(kind="websocket", origin=origin)[0] == 1008
    assert asked.ask("/x", "POST", origin=origin)[0] == 403


def test_every_answer_says_what_a_browser_may_do_with_it() -> None:
    for path in ("/", "/login"):
        _, headers, _ = Asked(Rules(loopback=True)).ask(path)
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")


def test_with_users_nobody_gets_in_without_a_login(asked: Asked) -> None:
    status, headers, _ = asked.ask()
    assert (status, headers["location"]) == (303, "/login")
    assert asked.ask("/_nicegui/x.js", accept="*/*")[0] == 401
    assert asked.ask(kind="websocket", origin="http://127.0.0.1:8080")[0] == 1008
    assert asked.scopes == []
    assert b'name="password"' in asked.ask("/login")[2]


def test_a_login_makes_a_session_that_no_script_and_no_other_site_has(asked: Asked) -> None:
    status, headers, _ = asked.log_in("otto", "a long password")
    assert (status, headers["location"]) == (303, "/")
    assert all(part in headers["set-cookie"] for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=100"))
    assert asked.ask(cookie=cookie(headers))[0] == 200
    assert asked.person() == Person("otto", "operator")
    assert asked.ask(kind="websocket", cookie=cookie(headers), origin="http://127.0.0.1:8080")[0] == 0


def test_sessions_end_by_themselves_by_a_logout_and_with_their_user(asked: Asked, users: Path) -> None:
    first, second, third = (cookie(asked.log_in("vera", "another password")[1]) for _ in range(3))
    asked.ask("/logout", "POST", cookie=first)
    assert [asked.ask(cookie=each)[0] for each in (first, second)] == [303, 200]
    still = asked.scopes[-1]["still"]
    assert still() == Person("vera", "viewer")
    add_user(users, "vera", "operator", "another password")
    assert still() == Person("vera", "operator")
    asked.clock.advance(101)
    assert still() is None
    assert asked.ask(cookie=third)[0] == 303
    fourth = cookie(asked.log_in("vera", "another password")[1])
    users.write_text("".join(line for line in users.read_text().splitlines(keepends=True) if "vera" not in line))
    assert asked.ask(cookie=fourth)[0] == 303


@pytest.mark.parametrize("made_up", ["facility-console=", "facility-console=x", "facility-console=é", "x", ";;=", "facility-console=%00"])
def test_a_cookie_that_is_made_up_opens_nothing(asked: Asked, made_up: str) -> None:
    assert asked.ask(cookie=made_up)[0] == 303


def test_wrong_passwords_are_refused_and_soon_not_even_looked_at(asked: Asked) -> None:
    assert [asked.log_in("otto", "wrong")[0] for _ in range(5)] == [401] * 5
    assert asked.log_in("otto", "a long password")[0] == 429
    assert asked.log_in("vera", "another password")[0] == 429  # from the same address
    assert asked.log_in("vera", "another password", client="10.0.0.9")[0] == 303
    assert asked.log_in("otto", "a long password", client="10.0.0.9")[0] == 429
    asked.clock.advance(301)
    assert asked.log_in("otto", "a long password")[0] == 303


def test_who_has_no_password_cannot_log_in(asked: Asked) -> None:
    assert [asked.log_in("paul", password)[0] for password in ("", "-", "None")] == [401] * 3


def test_a_proxys_word_is_believed_from_its_address_alone(users: Path) -> None:
    asked = Asked(Rules(loopback=False, users=Users(users), trust_header="X-Forwarded-User", trust_from=frozenset({"10.0.0.5"})))
    for name, person in (("paul", Person("paul", "operator")), ("vera", Person("vera", "viewer")), ("who", Person("who", "viewer"))):
        assert asked.ask(client="10.0.0.5", x_forwarded_user=name)[0] == 200
        assert asked.person() == person
    assert asked.ask(client="10.0.0.6", x_forwarded_user="paul")[0] == 401
    assert asked.ask(client="10.0.0.5", x_forwarded_user="")[0] == 401
    away = {"origin": "https://console.example", "x_forwarded_user": "paul"}
    assert asked.ask(kind="websocket", client="10.0.0.5", x_forwarded_host="console.example", **away)[0] == 0
    assert asked.ask(kind="websocket", client="10.0.0.5", x_forwarded_host="other.example", **away)[0] == 1008


def test_over_https_the_cookie_is_secure(users: Path) -> None:
    asked = Asked(Rules(loopback=False, users=Users(users), trust_from=frozenset({"10.0.0.5"})))
    assert "; Secure" in asked.log_in("otto", "a long password", client="10.0.0.5", x_forwarded_proto="https")[1]["set-cookie"]
    assert "; Secure" not in asked.log_in("otto", "a long password", client="10.0.0.6", x_forwarded_proto="https")[1]["set-cookie"]


def test_a_users_file_that_others_may_read_or_that_is_none_is_refused(users: Path) -> None:
    assert oct(users.stat().st_mode)[-3:] == "600"
    users.chmod(0o644)
    with pytest.raises(InputError, match="others may read"):
        Users(users)
    users.chmod(0o600)
    users.write_text("otto operator\nvera king - -\notto operator - -\notto operator - -\n")
    with pytest.raises(InputError) as refused:
        Users(users)
    assert [fault.place.rpartition(" (")[2] for fault in refused.value.faults] == ["line 1)", "line 2)", "line 4)"]
    with pytest.raises(InputError, match="cannot read"):
        Users(users / "nowhere")


@pytest.mark.parametrize(("name", "role", "password"), [("a b", "viewer", "long enough"), ("ann", "king", "long enough"), ("ann", "viewer", "short")])
def test_what_is_no_user_is_not_added(users: Path, name: str, role: str, password: str) -> None:
    before = users.read_bytes()
    with pytest.raises(InputError):
        add_user(users, name, role, password)
    assert users.read_bytes() == before


def test_sessions_and_failures_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VirtualClock(NOW)
    monkeypatch.setattr(Sessions, "MOST", 3)
    sessions = Sessions(10, clock.elapsed_s)
    tokens = [sessions.open(Person(str(i), "viewer")) for i in range(4)]
    assert [person.name if (person := sessions.person(token)) else None for token in tokens] == [None, "1", "2", "3"]
    monkeypatch.setattr(Throttle, "KEPT", 10)
    throttle = Throttle(clock.elapsed_s)
    for i in range(100):
        throttle.failed(f"name {i}")
    assert len(throttle._failures) == 10


def test_what_can_be_reached_from_elsewhere_is_known() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "console.example"))
