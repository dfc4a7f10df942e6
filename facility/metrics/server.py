"""Server: /metrics, /healthz and /readyz over HTTP, in threads of their own, at most `MOST` of them.

One request a connection, which has `LONGEST_S` for all of it: who asks slowly or reads slowly is cut off then, and who comes when all threads are
busy is turned away. Where the address is in use it is tried again until it is free, so that a daemon never waits for it, and a spare that
takes over is found where the one before was.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from facility.daemon.faults import Faults
from facility.metrics.address import Address
from facility.metrics.page import Page
from facility.metrics.show import Show

log = logging.getLogger(__name__)

MOST = 64
LONGEST_S = 10.0
LOOK_S = 0.25
"""How often who has had his time is looked for."""
AGAIN_S = 1.0
"""How long an address that is in use is left alone."""
CLOSING_S = 1.0
PLAIN = "text/plain; charset=utf-8"
PATHS = "/metrics /healthz /readyz"


class Server:
    """Serves what `show` has and `page` says at `address`; `elapsed_s` is the stopwatch."""

    def __init__(self, address: Address, show: Show, page: Page, elapsed_s: Callable[[], float]) -> None:
        self._address, self._show, self._page, self._elapsed_s = address, show, page, elapsed_s
        self._over, self._bound = threading.Event(), threading.Event()
        self._http: _Http | None = None
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        if not self._address.is_loopback:
            log.warning("metrics at %s: whoever reaches this machine there reads them", self._address)
        self._thread.start()

    def close(self) -> None:
        """Serve nobody any more; who is being served ends with the process."""
        self._over.set()
        self._thread.join(CLOSING_S)

    @property
    def port(self) -> int | None:
        """The port that is listened on; None while there is none."""
        return self._http.server_address[1] if self._bound.is_set() and self._http is not None else None

    def _run(self) -> None:
        said = ""
        while not self._over.is_set():
            try:
                self._http = _Http(self._address, self._show, self._page, self._elapsed_s)
            except OSError as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("metrics at %s: %s; it is tried again until it can be had", self._address, error)
                self._over.wait(AGAIN_S)
                continue
            with self._http:
                self._bound.set()
                log.info("metrics at http://%s/metrics", Address(self._address.host, self._http.server_address[1]))
                while not self._over.is_set():
                    self._http.handle_request()
                    self._http.cut_off()
            return


class _Http(ThreadingMixIn, TCPServer):
    """A thread for each connection, bounded in number and time."""

    daemon_threads, block_on_close = True, False
    allow_reuse_address = True
    request_queue_size, timeout = MOST, LOOK_S
    server_address: tuple[str, int]

    def __init__(self, address: Address, show: Show, page: Page, elapsed_s: Callable[[], float]) -> None:
        self.show, self.page, self._elapsed_s = show, page, elapsed_s
        self.faults = Faults()
        self._since: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        super().__init__(found[0][4][:2], _Handler)  # type: ignore[arg-type]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Have one served, where there is a thread for it."""
        with self._lock:
            full = len(self._since) >= MOST
            if not full:
                self._since[request] = self._elapsed_s()
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """One is served, or turned away."""
        with self._lock:
            self._since.pop(request, None)
        super().shutdown_request(request)

    def cut_off(self) -> None:
        """Cut off who has had his time."""
        now_s = self._elapsed_s()
        with self._lock:
            late = [connection for connection, since_s in self._since.items() if now_s - since_s > LONGEST_S]
        for connection in late:
            with suppress(OSError):  # it is gone already
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the signature is the library's
        """Somebody went amid an answer, or was cut off."""
        log.debug("metrics: an answer to %s failed", client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _Http
    server_version, sys_version = "facility", ""
    timeout = LONGEST_S

    def do_GET(self) -> None:
        """Answer."""
        show = self.server.show
        match self.path.partition("?")[0]:
            case "/metrics":
                self._tell()
            case "/healthz":
                lives = show.lives
                self._say(_status(lives), PLAIN, b"alive\n" if lives else f"the loop stands still for {show.silent_s:.0f} s\n".encode())
            case "/readyz":
                ready = show.ready
                self._say(_status(ready.ready), "application/json", json.dumps(ready.as_fields()).encode() + b"\n")
            case _:
                self._say(HTTPStatus.NOT_FOUND, PLAIN, f"there are: {PATHS}\n".encode())

    do_HEAD = do_GET  # noqa: N815 - as above

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature is the library's
        """Log who asked, where somebody wants to know."""
        log.debug(format, *args)

    def _tell(self) -> None:
        try:
            text = self.server.page.text(self.headers.get("Accept", ""))
        except Exception as error:
            self.server.faults.note(error, "a page of metrics")
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, PLAIN, b"a fault of the service: see its log\n")
            return
        packed = "gzip" in self.headers.get("Accept-Encoding", "")
        self._say(HTTPStatus.OK, text.content_type, text.compressed if packed else text.plain, packed=packed)

    def _say(self, status: HTTPStatus, content_type: str, body: bytes, *, packed: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _status(well: bool) -> HTTPStatus:
    return HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
