"""An API server over real HTTP: get, list in pages, watch with bookmarks, merge patches, post and delete, and the ways in which it says no.

- A watch from a version that is forgotten answers 200 and one ERROR event with the Status 410 Expired, as the watch cache of kube-apiserver does;
  a list whose `continue` is forgotten answers 410 (Kubernetes, API concepts).
- Bookmarks come only where they are asked for, at the server's discretion (there, about every minute; here sooner).
- 429 carries Retry-After (API priority and fairness); 401 is a Status too (Authenticating).
- It may be stopped and started again on its port, its objects kept as etcd keeps them.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.kubernetes.store import No, Object, Store, matches

KUEUE = "kueue.x-k8s.io"
KINDS = {
    "jobs": ("Job", "batch/v1"),
    "workloads": ("Workload", f"{KUEUE}/v1beta1"),
    "localqueues": ("LocalQueue", f"{KUEUE}/v1beta1"),
    "clusterqueues": ("ClusterQueue", f"{KUEUE}/v1beta1"),
}
PATH = re.compile(r"/apis/(?P<group>[^/]+)/(?P<version>[^/]+)(?:/namespaces/(?P<ns>[^/]+))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?")


class Trouble:
    """What the server does instead of what is asked: an answer of `code` to the next `times` requests that `fits`."""

    def __init__(self, code: int, times: int, fits: Callable[[str, str], bool], retry_after: str | None) -> None:
        self.code, self.times, self.fits, self.retry_after = code, times, fits, retry_after


class FakeApi:
    """The server. `requests` are method, path and body of each; `tokens` are taken, None: anybody is."""

    def __init__(self, *, kueue: bool = False, bookmark_s: float = 0.2) -> None:
        self.store = Store(KINDS)
        self.kueue, self.bookmark_s = kueue, bookmark_s
        self.tokens: set[str] | None = None
        self.latency_s = 0.0
        self.requests: list[tuple[str, str, Object]] = []
        self.watches = 0
        self._troubles: list[Trouble] = []
        self._streams: set[socket.socket] = set()
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        api = self

        class Handler(_Handler):
            server_api = api

        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler, bind_and_activate=False)
        self._server.allow_reuse_address, self._server.daemon_threads, self._server.block_on_close = True, True, False
        self._server.server_bind()
        self._server.server_activate()
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """The process ends: nobody listens, every connection is cut."""
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self.cut()

    def cut(self) -> None:
        """Every connection breaks, as where a load balancer restarts."""
        for stream in list(self._streams):
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)

    def trouble(self, code: int, times: int = 1, fits: Callable[[str, str], bool] = lambda *_: True, retry_after: str | None = None) -> Trouble:
        made = Trouble(code, times, fits, retry_after)
        self._troubles.append(made)
        return made

    def troubled(self, method: str, path: str) -> Trouble | None:
        for each in self._troubles:
            if each.times and each.fits(method, path):
                each.times -= 1
                return each
        return None

    def patches(self, name: str = "") -> list[Object]:
        """The patches that were asked for, of one object or all."""
        return [body for method, path, body in self.requests if method == "PATCH" and path.endswith(name)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_api: FakeApi
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server_api._streams.add(self.connection)

    def finish(self) -> None:
        self.server_api._streams.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        api = self.server_api
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        body = json.loads(raw) if raw else {}
        api.requests.append((self.command, parts.path, body))
        time.sleep(api.latency_s)
        try:
            if (trouble := api.troubled(self.command, self.path)) is not None:
                headers = {} if trouble.retry_after is None else {"Retry-After": trouble.retry_after}
                self._send(trouble.code, No(trouble.code, "Trouble", "something is amiss").status(), headers)
                return
            self._authenticate()
            self._serve(parts.path, asked, body)
        except No as no:
            self._send(no.code, no.status())

    def _authenticate(self) -> None:
        tokens = self.server_api.tokens
        if tokens is not None and self.headers.get("Authorization", "").removeprefix("Bearer ") not in tokens:
            raise No(401, "Unauthorized", "Unauthorized")

    def _serve(self, path: str, asked: dict[str, str], body: Object) -> None:
        api, store = self.server_api, self.server_api.store
        if path == f"/apis/{KUEUE}" and api.kueue:
            versions = [{"groupVersion": f"{KUEUE}/v1beta1", "version": "v1beta1"}]
            self._send(200, {"kind": "APIGroup", "apiVersion": "v1", "name": KUEUE, "versions": versions, "preferredVersion": versions[0]})
            return
        found = PATH.fullmatch(path)
        if found is None or found["plural"] not in KINDS or KINDS[found["plural"]][1] != f"{found['group']}/{found['version']}":
            raise No(404, "NotFound", "the server could not find the requested resource")
        if found["group"] == KUEUE and not api.kueue:
            raise No(404, "NotFound", "the server could not find the requested resource")
        plural, namespace, name = found["plural"], found["ns"] or "", found["name"]
        match self.command, name:
            case "GET", None if asked.get("watch") in {"1", "true"}:
                self._watch(plural, namespace, asked)
            case "GET", None:
                self._send(200, self._list(plural, namespace, asked))
            case "GET", _:
                self._send(200, store.get(plural, namespace, name))
            case "POST", None:
                self._send(201, store.create(plural, body))
            case "DELETE", str():
                self._send(200, store.delete(plural, namespace, name))
            case "PATCH", str():
                if self.headers.get("Content-Type") != "application/merge-patch+json":
                    raise No(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
                check(plural, body)
                self._send(200, store.merge(plural, namespace, name, body))
            case _:
                raise No(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _list(self, plural: str, namespace: str, asked: dict[str, str]) -> Object:
        store = self.server_api.store
        with store.changed:
            version, start = str(store.version), 0
            if token := asked.get("continue"):
                version, at = token.split(":")
                start = int(at)
                store.since(plural, int(version))
            chosen = [each for each in store.all(plural, namespace) if matches(asked.get("labelSelector", ""), each)]
        limit = int(asked.get("limit", "0")) or len(chosen) or 1
        page, left = chosen[start : start + limit], chosen[start + limit :]
        meta = {"resourceVersion": version} | ({"continue": f"{version}:{start + limit}", "remainingItemCount": len(left)} if left else {})
        kind, api_version = KINDS[plural]
        return {"kind": f"{kind}List", "apiVersion": api_version, "metadata": meta, "items": page}

    def _watch(self, plural: str, namespace: str, asked: dict[str, str]) -> None:
        api, store = self.server_api, self.server_api.store
        api.watches += 1
        version, selector = int(asked["resourceVersion"]), asked.get("labelSelector", "")
        ends, bookmark = time.monotonic() + float(asked.get("timeoutSeconds", "1800")), time.monotonic() + api.bookmark_s
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while time.monotonic() < ends and not api.stopping.is_set():
            with store.changed:
                if version == store.version:
                    store.changed.wait(0.05)
                try:
                    changes, newest = store.since(plural, version), store.version
                except No as no:
                    self._chunk({"type": "ERROR", "object": no.status()})
                    break
            for change in changes:
                told = change.after or change.before
                assert told is not None
                if namespace and told["metadata"].get("namespace") != namespace:
                    continue
                was, is_ = matches(selector, change.before), matches(selector, change.after)
                if was or is_:
                    self._chunk({"type": "MODIFIED" if was and is_ else "ADDED" if is_ else "DELETED", "object": told})
            version = newest
            if asked.get("allowWatchBookmarks") == "true" and time.monotonic() >= bookmark:
                bookmark = time.monotonic() + api.bookmark_s
                kind, api_version = KINDS[plural]
                meta = {"resourceVersion": str(version), "creationTimestamp": None}
                self._chunk({"type": "BOOKMARK", "object": {"kind": kind, "apiVersion": api_version, "metadata": meta}})
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, told: Object) -> None:
        line = json.dumps(told).encode() + b"\n"
        self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")

    def _send(self, code: int, told: Object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(told).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def check(plural: str, change: Object) -> None:
    """Refuse what the schema of a kind does not allow, and a job's pods, which cannot be changed."""
    spec = change.get("spec") or {}
    allowed = {"jobs": ("suspend", bool), "workloads": ("active", bool), "clusterqueues": ("stopPolicy", str)}.get(plural)
    if allowed is not None and not isinstance(spec.get(allowed[0], allowed[1]()), allowed[1]):
        raise No(422, "Invalid", f"spec.{allowed[0]}: Invalid value")
    if plural == "clusterqueues" and spec.get("stopPolicy", "None") not in {"None", "Hold", "HoldAndDrain"}:
        raise No(422, "Invalid", "spec.stopPolicy: Unsupported value")
    if plural == "jobs" and "template" in spec:
        raise No(422, "Invalid", "spec.template: field is immutable")
    notes = (change.get("metadata") or {}).get("annotations") or {}
    if not all(value is None or isinstance(value, str) for value in notes.values()):
        raise No(400, "BadRequest", "cannot unmarshal into Go struct field ObjectMeta.metadata.annotations of type string")
