"""The API server: objects read, watched and patched over HTTP, and every way in which it says no as a type.

| answer                                  | becomes    | and then                                                             |
|-----------------------------------------|------------|----------------------------------------------------------------------|
| 404                                     | `Missing`  | it is gone, or the server does not have the kind                     |
| 409                                     | `Conflict` | somebody else wrote it in the meantime: read it again, decide again  |
| 410, as an answer or within a watch     | `Gone`     | the server's memory is shorter than ours: list again                 |
| 401                                     |            | the token is read again, once; then `Away`                           |
| 408, 429, 5xx, no answer                | `Away`     | try again, after `Retry-After` where it says so                      |
| any other                               | `Refused`  | it is said, and not asked again soon                                 |

Source: Kubernetes, API concepts (efficient detection of changes, resource versions), API priority and fairness (429 and Retry-After),
RFC 7396 (JSON merge patch).
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import httpx

from facility.agents.kubernetes.kinds import Key, Kind, Object, key
from facility.agents.kubernetes.login import Login
from facility.errors import InputError

PAGE: Final = 500
WATCH_S: Final = 300
"""How long a watch lasts before it is begun anew where it ended."""
TIMES_S: Final = httpx.Timeout(10.0, connect=5.0)
KEEPS_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
"""A watch may be silent for long, and must notice a server that is no more."""
LONGEST_WAIT_S: Final = 60.0

What: TypeAlias = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


class Refused(Exception):
    """The server says no, and will say so again."""


class Missing(Refused):
    """There is no such object, or no such kind."""


class Conflict(Refused):
    """The object is another than the one that was read."""


class Gone(Refused):
    """The server no longer knows what happened since."""


class Away(Exception):
    """No answer, or one that asks for patience: `wait_s` seconds, where it says how many."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class Event(NamedTuple):
    """One line of a watch. A bookmark has no more than a resource version."""

    what: What
    object: Object


class Api:
    """One server; may be used by several threads."""

    def __init__(self, login: Login) -> None:
        self._token = login.token
        transport = httpx.HTTPTransport(verify=login.context or True, socket_options=KEEPS_ALIVE)
        self._client = httpx.Client(base_url=login.url, transport=transport, timeout=TIMES_S, trust_env=False)

    def close(self) -> None:
        """End what is going on."""
        self._client.close()

    def get(self, path: str) -> Object:
        """Read what stands at a path."""
        return self._answer("GET", path)

    def list(self, kind: Kind, namespace: str = "", selector: str = "") -> tuple[list[Object], str]:
        """Read a collection, page by page; its objects and the resource version from which to watch."""
        asked = {"limit": str(PAGE)} | ({"labelSelector": selector} if selector else {})
        found: list[Object] = []
        while True:
            page = self._answer("GET", kind.path(namespace), params=asked)
            found += page.get("items") or ()
            meta = page.get("metadata") or {}
            if not meta.get("continue"):
                return found, str(meta.get("resourceVersion", ""))
            asked = asked | {"continue": str(meta["continue"])}

    def watch(self, kind: Kind, namespace: str, version: str, selector: str = "") -> Iterator[Event | None]:
        """Follow a collection from a resource version on, until the server ends it. None: the server has begun to tell."""
        asked = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_S)}
        asked |= {"labelSelector": selector} if selector else {}
        patient = httpx.Timeout(10.0, connect=5.0, read=WATCH_S + 30.0)
        with self._streamed(kind.path(namespace), asked, patient) as answer:
            yield None
            for line in answer.iter_lines():
                if line:
                    yield _event(line)

    def patch(self, kind: Kind, where: Key, change: Mapping[str, Any], version: str) -> Object:
        """Change an object that is still the one of that resource version; as it is now. Raises Conflict where it is another."""
        meta = {**change.get("metadata", {}), "resourceVersion": version}
        body = json.dumps({**change, "metadata": meta}).encode()
        return self._answer("PATCH", kind.path(*where), content=body, headers={"Content-Type": "application/merge-patch+json"})

    def kueue_version(self, known: tuple[str, ...], group: str) -> str | None:
        """The first of the known versions of a group that the server has; None where it has none."""
        try:
            told = self.get(f"/apis/{group}")
        except Missing:
            return None
        served = {each.get("version") for each in told.get("versions") or ()}
        return next((version for version in known if version in served), None)

    def _answer(self, method: str, path: str, **more: Any) -> Object:
        with _patience():
            token = self._token.text()
            answer = self._client.request(method, path, **_as(token, more))
            if answer.status_code == httpx.codes.UNAUTHORIZED and (token := self._another(token)):
                answer = self._client.request(method, path, **_as(token, more))
        _check(answer)
        try:
            told = answer.json()
        except ValueError as error:
            raise Away(f"{path}: no JSON") from error
        if not isinstance(told, dict):
            raise Away(f"{path}: no object")
        return told

    @contextmanager
    def _streamed(self, path: str, asked: Mapping[str, str], patient: httpx.Timeout) -> Iterator[httpx.Response]:
        with _patience():
            token = self._token.text()
            for _ in range(2):
                with self._client.stream("GET", path, **_as(token, {"params": asked, "timeout": patient})) as answer:
                    if answer.status_code == httpx.codes.UNAUTHORIZED and (another := self._another(token)):
                        token = another
                        continue
                    if answer.is_error:
                        answer.read()
                    _check(answer)
                    yield answer
                    return
            raise Away("401: the token is refused")

    def _another(self, refused: str) -> str:
        """The token that stands in its file by now; empty where it is the refused one."""
        self._token.read_again()
        token = self._token.text()
        return "" if token == refused else token


def _as(token: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked, by whom."""
    who = {"Authorization": f"Bearer {token}"} if token else {}
    return {**more, "headers": {"Accept": "application/json", **who, **more.get("headers", {})}}


@contextmanager
def _patience() -> Iterator[None]:
    """What a network does becomes `Away`, and so does a token that cannot be read for the moment."""
    try:
        yield
    except InputError as error:
        raise Away(str(error)) from error
    except (httpx.TransportError, httpx.StreamError, httpx.DecodingError) as error:
        raise Away(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from error


def _check(answer: httpx.Response) -> None:
    """Raise what the server says, where it is no."""
    if answer.is_success:
        return
    status, said = answer.status_code, f"{answer.status_code}: {_message(answer)}"
    if status in {401, 408, 429} or status >= 500:
        raise Away(said, _wait_s(answer.headers.get("Retry-After")))
    raise {404: Missing, 409: Conflict, 410: Gone}.get(status, Refused)(said)


def _message(answer: httpx.Response) -> str:
    """What the server's Status says, for people."""
    try:
        told = answer.json()
    except ValueError:
        return answer.reason_phrase
    return str(told.get("message", answer.reason_phrase))[:300] if isinstance(told, dict) else answer.reason_phrase


def _wait_s(told: str | None) -> float | None:
    """The seconds of a Retry-After; API servers write no dates there."""
    return min(float(told), LONGEST_WAIT_S) if told is not None and told.isdigit() else None


def _event(line: str) -> Event:
    """Read a line of a watch. Raises Gone or Away for one that is an error."""
    try:
        told = json.loads(line)
        what, found = told["type"], told["object"]
    except (ValueError, KeyError, TypeError) as error:
        raise Away("a line of a watch is no event") from error
    if what == "ERROR":
        said = f"{found.get('code')}: {found.get('message', '')}"
        raise Gone(said) if found.get("code") == httpx.codes.GONE else Away(said)
    if what != "BOOKMARK":
        key(found)
    return Event(what, found)
