"""Service: requests to one management controller, until they are really answered.

    401           its session has ended: log in anew, once
    429, 503      it is busy: wait as long as it asks for (`Retry-After`), at most `WAIT_S`, and ask again
    202           it has made a task of it: ask the task's monitor until that is done
    412           somebody else changed the resource: read it again and send what was to be sent, with its new ETag

Requests to one controller go one after the other, for few of them bear more. One that cannot be reached is left alone for `DOWN_S`.
Source: DMTF DSP0266, sessions, conditional requests, asynchronous operations.
"""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import suppress
from typing import Any, Final

import httpx

from facility.agents.gpu.device import Lost, Refused
from facility.agents.gpu.redfish.nodes import Node
from facility.errors import Fault, InputError

ROOT: Final = "/redfish/v1"
SESSIONS: Final = f"{ROOT}/SessionService/Sessions"
TIMEOUT_S: Final = 10.0
TRIES: Final = 4
WAIT_S, TASK_S, DOWN_S = 10.0, 40.0, 5.0
"""The longest wait that is granted, how long a task may take, and how long a controller that cannot be reached is not asked again, s."""
RUNNING: Final = frozenset(("New", "Starting", "Running", "Pending", "Service", "Stopping"))
Json = dict[str, Any]


class Service:
    """One controller. Raises InputError for certificates that cannot be used; Refused or Lost for whatever it answers."""

    def __init__(self, node: Node) -> None:
        try:
            trust = ssl.create_default_context(cafile=node.ca_file)
        except OSError as error:
            raise InputError(Fault(f"nodes.{node.name}.ca_file", f"{node.ca_file}: {error}", "name a PEM file that exists")) from error
        self._node, self._client = node, httpx.Client(base_url=node.url, verify=trust, timeout=TIMEOUT_S)
        self._lock, self._token, self._session = threading.Lock(), "", ""
        self._down_until_s = 0.0

    def get(self, path: str) -> Json:
        """Read a resource; its ETag stands in `@odata.etag`, wherever the controller told it."""
        with self._lock:
            return self._read(path)

    def patch(self, path: str, body: Json) -> None:
        """Change a resource and wait until that is done."""
        with self._lock:
            for left in reversed(range(TRIES)):
                etag = self._read(path).get("@odata.etag")
                answer = self._send("PATCH", path, body, {"If-Match": str(etag)} if etag else {})
                if answer.status_code == httpx.codes.PRECONDITION_FAILED and left:
                    continue
                _check(answer, path)
                if answer.status_code == httpx.codes.ACCEPTED:
                    self._await(answer)
                return

    def close(self) -> None:
        """Log out."""
        if self._session:
            with suppress(httpx.HTTPError):
                self._client.delete(self._session, headers={"X-Auth-Token": self._token}, timeout=1.0)
        self._client.close()

    def _read(self, path: str) -> Json:
        answer = self._send("GET", path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise Lost(f"{path} is not there any more")
        _check(answer, path)
        found = _json(answer, path)
        if "etag" in answer.headers:
            found["@odata.etag"] = answer.headers["etag"]
        return found

    def _send(self, method: str, path: str, body: Json | None = None, headers: dict[str, str] | None = None) -> httpx.Response:
        """Send, log in where needed, and wait while it is busy."""
        if time.monotonic() < self._down_until_s:
            raise Refused("its management controller does not answer")
        logged_in = False
        for tried in range(TRIES):
            if not self._token:
                self._log_in()
                logged_in = True
            answer = self._once(method, path, body, {**(headers or {}), "X-Auth-Token": self._token})
            if answer.status_code == httpx.codes.UNAUTHORIZED and not logged_in:
                self._token = ""
            elif answer.status_code in {httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE} and tried < TRIES - 1:
                time.sleep(_wait_s(answer, 0.5 * 2.0**tried))
            else:
                break
        return answer

    def _once(self, method: str, path: str, body: Json | None, headers: dict[str, str]) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body, headers=headers)
        except (httpx.HTTPError, ValueError) as error:
            self._down_until_s, self._token = time.monotonic() + DOWN_S, ""
            raise Refused(f"its management controller does not answer: {type(error).__name__} {error}") from error

    def _log_in(self) -> None:
        answer = self._once("POST", SESSIONS, {"UserName": self._node.user, "Password": self._node.password}, {})
        token = answer.headers.get("X-Auth-Token", "")
        if not answer.is_success or not token:
            raise Refused(f"its management controller lets nobody in as {self._node.user}: {answer.status_code}")
        self._token, self._session = token, answer.headers.get("Location", "")

    def _await(self, answer: httpx.Response) -> None:
        """Wait for a task's end."""
        monitor, until_s = answer.headers.get("Location", ""), time.monotonic() + TASK_S
        while monitor and time.monotonic() < until_s:
            time.sleep(_wait_s(answer, 1.0))
            answer = self._send("GET", monitor)
            if answer.status_code == httpx.codes.NOT_FOUND:  # it is done, and forgotten: what is read back tells
                return
            _check(answer, monitor)
            state = _json(answer, monitor).get("TaskState") if answer.content else None
            if answer.status_code != httpx.codes.ACCEPTED and state not in RUNNING:
                if state in {"Exception", "Killed", "Cancelled", "Interrupted"}:
                    raise Refused(f"its management controller ended the task as {state}")
                return
        raise Refused(f"its management controller did not do it within {TASK_S:.0f} s")


def _wait_s(answer: httpx.Response, usual_s: float) -> float:
    """How long it asks us to wait, s; a date instead of seconds is not reckoned with."""
    told = answer.headers.get("Retry-After", "")
    return min(float(told) if told.isdigit() else usual_s, WAIT_S)


def _json(answer: httpx.Response, path: str) -> Json:
    try:
        found = answer.json()
    except ValueError as error:
        raise Refused(f"{path} answers no JSON") from error
    if not isinstance(found, dict):
        raise Refused(f"{path} answers no object")
    return found


def _check(answer: httpx.Response, path: str) -> None:
    """Refuse with what it says (DSP0266, error responses)."""
    if answer.is_success:
        return
    said = ""
    with suppress(ValueError, AttributeError, TypeError):
        error = answer.json()["error"]
        told = [part.get("Message", "") for part in error.get("@Message.ExtendedInfo", ())]
        said = " ".join(filter(None, told or [error.get("message", "")]))
    raise Refused(f"{path}: {answer.status_code} {said}".strip())
