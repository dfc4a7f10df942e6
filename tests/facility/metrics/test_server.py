"""The server beside a daemon in memory, asked over real sockets: it holds no lock of the daemon's, and nobody who asks holds it up."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from facility.clock import ManualClock
from facility.metrics import server as room
from facility.metrics.address import Address
from facility.metrics.page import Page
from facility.metrics.server import Server
from facility.metrics.serving import serving
from facility.metrics.show import Show
from tests.facility.test_daemon import NOW, House
from tests.processes import free_port, until


class Served(House):
    """A house whose daemon is asked over HTTP; real seconds pass."""

    def open(self) -> None:
        super().open()
        self.show = Show(self.bus, self.clock, "daemon")
        page = Page(lambda: self.show.newest, self.clock.elapsed_s)
        self.server = Server(Address("127.0.0.1", 0), self.show, page, self.clock.elapsed_s)
        self.server.start()
        assert until(lambda: self.server.port is not None)

    def look(self) -> None:
        """The loop comes round, as it does a second later."""
        self.daemon.upkeep.guard_s = -1.0
        self.show._looked_s = -1.0
        self.settle()
        self.show.look(self.daemon)

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
        assert self.server.port is not None
        with closing(HTTPConnection("127.0.0.1", self.server.port, timeout=5)) as connection:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer, answer.read()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port or 0), 5)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path / "journal.sqlite")
    made.daemon.start()
    yield made
    made.server.close()
    made.kill()


@pytest.fixture
def ready(served: Served) -> Served:
    served.daemon.cycle()
    served.look()
    return served


def test_metrics_are_given_as_they_are_asked_for(ready: Served) -> None:
    answer, plain = ready.ask("/metrics?from=prometheus")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert int(answer.headers["Content-Length"]) == len(plain)
    answer, packed = ready.ask("/metrics", Accept_Encoding="gzip")
    assert (answer.headers["Content-Encoding"], gzip.decompress(packed)) == ("gzip", plain)
    answer, open_ = ready.ask("/metrics", Accept="application/openmetrics-text; version=1.0.0; q=0.8")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert open_.endswith(b"# EOF\n")
    answer, nothing = ready.ask("/metrics", "HEAD")
    assert (answer.status, nothing) == (200, b"")


def test_other_paths_and_methods_are_told_what_there_is(ready: Served) -> None:
    answer, body = ready.ask("/")
    assert (answer.status, body) == (404, b"there are: /metrics /healthz /readyz\n")
    assert ready.ask("/metrics", "POST")[0].status == 501


def test_it_lives_as_long_as_the_loop_comes_by(ready: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ready.ask("/healthz")[0].status == 200
    began = time.monotonic()
    monkeypatch.setattr(ready.clock, "elapsed_s", lambda: began + 11.0)
    answer, body = ready.ask("/healthz")
    assert (answer.status, body) == (503, b"the loop stands still for 11 s\n")
    answer, body = ready.ask("/readyz")
    assert (answer.status, json.loads(body)["missing"]) == (503, "the loop stands still for 11 s")


def test_it_is_ready_once_it_is_connected_and_a_cycle_is_over(served: Served) -> None:
    def told() -> tuple[int, dict[str, object]]:
        answer, body = served.ask("/readyz")
        return answer.status, json.loads(body)

    assert told()[0] == 503
    assert told()[1]["missing"] == "it begins"
    served.look()
    assert told()[0] == 503
    assert told()[1]["missing"] == "the first cycle is not over"
    served.daemon.cycle()
    served.look()
    status, body = told()
    assert (status, body["ready"], body["mode"], body["cycles"], body["connected"]) == (200, True, "NORMAL", 1, True)
    assert "verified" in str(body["reason"])
    served.broker.stop()
    served.look()
    status, body = told()
    assert (status, body["missing"], body["connected"]) == (503, "the broker does not answer", False)
    assert body["mode"] == "NORMAL"


def test_whoever_asks_is_answered_while_the_daemons_lock_is_held(ready: Served) -> None:
    asked = []

    def ask() -> None:
        asked.extend(ready.ask(path)[0].status for path in ("/metrics", "/readyz", "/healthz"))

    with ready.daemon._lock:
        other = threading.Thread(target=ask)
        other.start()
        other.join(5)
    assert asked == [200, 200, 200]


def test_who_comes_when_all_threads_are_busy_is_turned_away_and_who_has_had_his_time_is_cut_off(
    ready: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST", 3)
    monkeypatch.setattr(room, "LONGEST_S", 1.0)
    with ExitStack() as stack:
        silent = [stack.enter_context(closing(ready.connect())) for _ in range(3)]
        assert until(lambda: len(ready.server._http._since) == 3)
        with closing(ready.connect()) as late, suppress(ConnectionResetError):
            assert late.recv(1) == b""
        for connection in silent:
            assert connection.recv(1) == b""
    assert until(lambda: not ready.server._http._since)
    assert ready.ask("/metrics")[0].status == 200


def test_who_sends_a_byte_now_and_then_gets_no_more_time_than_others(ready: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LONGEST_S", 1.0)
    began = time.monotonic()
    with closing(ready.connect()) as slow, suppress(OSError):
        while time.monotonic() - began < 5:
            slow.sendall(b"G")
            slow.settimeout(0.1)
            with suppress(TimeoutError):
                assert slow.recv(1) == b""
                break
    assert 0.9 < time.monotonic() - began < 4


def test_no_more_threads_are_left_than_there_were(ready: Served) -> None:
    before = threading.active_count()
    for _ in range(30):
        with closing(ready.connect()) as gone:
            gone.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    assert until(lambda: threading.active_count() <= before)


def test_nonsense_is_answered_with_what_is_wrong(ready: Served) -> None:
    with closing(ready.connect()) as connection:
        connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in connection.recv(4096)
    assert ready.ask("/healthz")[0].status == 200


def test_a_page_that_cannot_be_made_is_an_answer_and_is_logged_once(
    ready: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room.Page, "metrics", None)
    answers = [ready.ask("/metrics") for _ in range(3)]
    assert {(answer.status, body) for answer, body in answers} == {(500, b"a fault of the service: see its log\n")}
    assert caplog.text.count("a fault in a page of metrics") == 1
    assert ready.ask("/healthz")[0].status == 200


def test_an_address_in_use_is_tried_until_it_is_free(ready: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "AGAIN_S", 0.05)
    port = free_port()
    taken = socket.create_server(("127.0.0.1", port))
    page = Page(lambda: None, ready.clock.elapsed_s)
    with closing(Server(Address("127.0.0.1", port), ready.show, page, ready.clock.elapsed_s)) as late:
        late.start()
        assert until(lambda: "it is tried again" in caplog.text)
        time.sleep(0.3)
        assert late.port is None
        assert caplog.text.count("it is tried again") == 1
        taken.close()
        assert until(lambda: late.port == port)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 1)


def test_an_address_that_others_reach_is_said_aloud(ready: Served, caplog: pytest.LogCaptureFixture) -> None:
    with serving(Address("0.0.0.0", 0), ready.bus, ManualClock(NOW), "daemon", 1.0):
        assert "whoever reaches this machine there reads them" in caplog.text


def test_nothing_is_served_where_nobody_asked_for_it(ready: Served) -> None:
    before = threading.active_count()
    with serving(None, ready.bus, ManualClock(NOW), "daemon", 1.0) as look:
        look(ready.daemon)
        assert threading.active_count() == before
