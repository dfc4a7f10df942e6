"""GPU power from DCGM's exporter: read from real pages over HTTP, summed by pool, and never a part for the whole."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.clock import ManualClock, SystemClock
from facility.config import load_site
from facility.daemon.loop import Daemon
from facility.daemon.neighbours import scraper
from facility.daemon.neighbours.scraper import Scraper
from facility.errors import InputError
from facility.journal.journal import Journal
from facility.process.work import scraping
from facility.site import Site
from facility.telemetry import Telemetry
from facility.telemetry.prometheus import messages, read, summed

NOW = datetime(2026, 7, 15, 10, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
KEY, OTHER = "h1/pool/h1-a/gpu_power_kw", "h2/pool/h2-a/gpu_power_kw"
HEAD = """\
# HELP DCGM_FI_DEV_SM_CLOCK SM clock frequency (in MHz).
# TYPE DCGM_FI_DEV_SM_CLOCK gauge
DCGM_FI_DEV_SM_CLOCK{gpu="0",UUID="GPU-0",Hostname="h1a-00"} 1410
# HELP DCGM_FI_DEV_POWER_USAGE Power draw (in W).
# TYPE DCGM_FI_DEV_POWER_USAGE gauge
"""


def line(node: str, gpu: int, watts: Any, stamp: str = "") -> str:
    return (
        f'DCGM_FI_DEV_POWER_USAGE{{gpu="{gpu}",UUID="GPU-{node}-{gpu}",pci_bus_id="00000000:07:00.0",device="nvidia{gpu}",'
        f'modelName="NVIDIA A100-SXM4-80GB",Hostname="{node}",container="",namespace="",pod="a \\"b\\" {{c}}"}} {watts}{stamp}\n'
    )


def node(name: str, watts: float, gpus: int = 8, stamp: str = "") -> str:
    return HEAD + "".join(line(name, gpu, watts, stamp) for gpu in range(gpus))


def site(*urls: str, **changes: Any) -> Site:
    """The demonstration site with 16 GPUs in pool h1-a, and 8 in h2-a, that are scraped."""
    scrape = {"urls": urls or ["http://127.0.0.1:9/"], "pools": {"h1-a": {"Hostname": "h1a-*"}, "h2-a": {"Hostname": "h2-*"}}}
    dcgm = json.dumps({"dcgm": scrape | {"period_s": 0.2, "timeout_s": 0.2} | changes})
    return load_site("site_configs/demo.yaml", ["contracts={}", "jobs={curve: pretrain-7b}", "sample_jobs=[]",
                     "pools.h1-a.gpus=16", "pools.h2-a.gpus=8", f"scrape={dcgm}"])  # fmt: skip


def sums(*pages: str, **changes: Any) -> dict[str, Any]:
    here = site(**changes)
    scrape = here.scrape["dcgm"]
    return {one.pool: one for one in summed(here, scrape, [gpu for page in pages for gpu in read(page, scrape, NOW_MS)])}


# --- pages and sums ---


def test_the_power_of_every_gpu_of_a_pool_is_summed() -> None:
    found = sums(node("h1a-00", 300.5), node("h1a-01", 100), node("h2-00", 50))
    assert found["h1-a"].power_kw == pytest.approx(8 * 0.3005 + 8 * 0.1)
    assert found["h2-a"].power_kw == pytest.approx(0.4)
    assert [one.whole for one in found.values()] == [True, True]
    assert {one.at_ms for one in found.values()} == {NOW_MS}


def test_a_part_of_a_pool_is_not_told_but_how_large_it_is() -> None:
    found = sums(node("h1a-00", 300), node("h1a-01", 100, gpus=7), line("h1a-01", 7, "NaN"), node("h2-00", 50, gpus=9))
    assert str(found["h1-a"]) == "15 of the 16 GPUs of h1-a told their power (93.8%)"
    assert [one.whole for one in found.values()] == [False, False]
    assert list(messages(site(), found.values())) == []


def test_a_gpu_that_is_told_twice_counts_once_and_the_newest_of_it() -> None:
    old, new = f" {NOW_MS - 9000}", f" {NOW_MS - 3000}"
    found = sums(node("h2-00", 70, stamp=new), node("h2-00", 50, stamp=old))["h2-a"]
    assert (found.told, found.power_kw, found.at_ms) == (8, pytest.approx(0.56), NOW_MS - 3000)


def test_a_sum_is_as_old_as_its_oldest_part_and_never_from_the_future() -> None:
    mixed = node("h1a-00", 100, stamp=f" {NOW_MS - 7000}") + node("h1a-01", 100, stamp=f" {NOW_MS + 60_000}")
    assert sums(mixed)["h1-a"].at_ms == NOW_MS - 7000
    assert sums(node("h2-00", 50, stamp=f" {NOW_MS + 60_000}"))["h2-a"].at_ms == NOW_MS


def test_labels_and_units_are_as_the_site_file_says() -> None:
    page = 'gpu_kilowatts{host="n1",slot="0",role="train"} 0.25\ngpu_kilowatts{host="n1",slot="1",role="spare"} 0.5\ngpu_kilowatts_max{host="n1"} 9\n'
    changes = {"metric": "gpu_kilowatts", "unit": "kW", "gpu": ["host", "slot"], "pools": {"h2-a": {"role": "train", "host": "n?"}}}
    assert (found := sums(page, **changes)["h2-a"]).told == 1
    assert found.power_kw == 0.25


@pytest.mark.parametrize("page", ["<html>\n", "", "DCGM_FI_DEV_POWER_USAGE_MAX 5\n", HEAD])
def test_a_page_without_the_metric_tells_no_gpu(page: str) -> None:
    assert sums(page)["h1-a"].told == 0


@pytest.mark.parametrize("broken", ['DCGM_FI_DEV_POWER_USAGE{gpu="0" 5\n', 'DCGM_FI_DEV_POWER_USAGE{gpu="0"} five\n'])
def test_lines_that_cannot_be_read_are_refused(broken: str) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        read(broken, site().scrape["dcgm"], NOW_MS)


def test_faults_of_the_site_file_are_told() -> None:
    cases = [
        ({"pools": {"h9": {}}}, "scrape.dcgm.pools.h9", "no `h9` in pools"),
        ({"unit": "degC"}, "scrape.dcgm.unit", "`degC`"),
        ({"timeout_s": 9}, "scrape.dcgm.timeout_s", "9"),
        ({"urls": ["file:///etc/passwd"]}, "scrape.dcgm.urls.0", "the text `file:///etc/passwd`"),
    ]  # fmt: skip
    for changes, place, found in cases:
        with pytest.raises(InputError) as raised:
            site(**changes)
        assert (True, True) in [(place in fault.place, found in fault.found) for fault in raised.value.faults]
    twice = json.dumps({name: {"urls": ["http://x/"], "pools": {"h1-a": {}}} for name in ("one", "two")})
    with pytest.raises(InputError, match="scrape `one` tells it too"):
        load_site("site_configs/demo.yaml", [f"scrape={twice}"])


# --- over HTTP ---


class Exporter:
    """A real HTTP server; `pages` says by path what it answers, or does."""

    def __init__(self) -> None:
        self.pages: dict[str, str | Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked = 0
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = exporter.pages.get(self.path)
                exporter.asked += 1
                if callable(page):
                    page(self)
                elif page is None:
                    self.send_error(404)
                else:
                    self.send_response(200)
                    self.send_header("Content-Type", "text/plain; version=0.0.4")
                    self.end_headers()
                    self.wfile.write(page.encode())

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who hangs up on a flood is no error
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{path}"


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    served = Exporter()
    yield served
    served.server.shutdown()
    served.server.server_close()


class House:
    """A scraper whose readings go where the daemon's go."""

    def __init__(self, *urls: str, **changes: Any) -> None:
        self.site, self.clock = site(*urls, **changes), ManualClock(NOW)
        self.telemetry, self.heard = Telemetry(self.site), list[Message]()
        self.scraper = Scraper(self.site, "dcgm", self.hear, self.clock)

    def hear(self, message: Message) -> None:
        self.heard.append(message)
        assert self.telemetry.accept(message, self.clock.now()) is None

    def kw(self, key: str) -> float | None:
        reading = self.telemetry.reading(key, self.clock.now())
        return None if reading is None else round(reading.value, 9)


def test_a_scrape_becomes_readings_of_the_daemon_and_a_dead_source_grows_stale(exporter: Exporter, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    exporter.pages = {"/a": node("h1a-00", 200), "/b": node("h1a-01", 100) + node("h2-00", 50)}
    house = House(exporter.url("/a"), exporter.url("/b"))
    house.scraper.once()
    assert (house.kw(KEY), house.kw(OTHER)) == (2.4, 0.4)
    del exporter.pages["/a"]
    for _ in range(3):
        house.clock.advance(6)
        house.scraper.once()
    assert (house.kw(KEY), house.kw(OTHER)) == (None, 0.4)
    assert KEY in house.telemetry.snapshot(house.clock.now()).stale
    exporter.pages["/a"] = node("h1a-00", 300)
    house.scraper.once()
    assert house.kw(KEY) == 3.2
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"scrape dcgm: {exporter.url('/a')}: HTTPError: HTTP Error 404: Not Found",
        "scrape dcgm: h1-a: 8 of the 16 GPUs of h1-a told their power (50.0%); their sum is not used",
        f"scrape dcgm: {exporter.url('/a')}: well again",
        "scrape dcgm: h1-a: well again",
    ]


def hangs(page: BaseHTTPRequestHandler) -> None:
    time.sleep(1.0)


def drips(page: BaseHTTPRequestHandler) -> None:
    page.send_response(200)
    page.end_headers()
    for letter in node("h1a-00", 200):
        page.wfile.write(letter.encode())
        time.sleep(0.05)


def cuts(page: BaseHTTPRequestHandler) -> None:
    page.send_response(200)
    page.send_header("Content-Length", "100000")
    page.end_headers()
    page.wfile.write((node("h1a-00", 200) + node("h1a-01", 200))[:-2].encode())  # the last GPU draws 20 W, it seems


def floods(page: BaseHTTPRequestHandler) -> None:
    page.send_response(200)
    page.end_headers()
    while True:
        page.wfile.write(b"#" * 1_000_000)


@pytest.mark.parametrize("trouble", [hangs, drips, cuts, floods, "DCGM_FI_DEV_POWER_USAGE{ 5\n", "\x00\xff"])
def test_a_page_in_trouble_takes_its_time_only_and_no_other_pages_reading(exporter: Exporter, trouble: Any) -> None:
    exporter.pages = {"/bad": trouble, "/good": node("h2-00", 50)}
    house = House(exporter.url("/bad"), exporter.url("/good"), "http://127.0.0.1:9/nobody")
    began = time.monotonic()
    house.scraper.once()
    assert time.monotonic() - began < 2.0
    assert (house.kw(KEY), house.kw(OTHER)) == (None, 0.4)


@pytest.mark.parametrize(
    ("trouble", "error"), [(hangs, TimeoutError), (drips, TimeoutError), (cuts, ValueError), (floods, OSError), ("\xff", None)]
)
def test_a_page_is_read_whole_and_in_time_or_not_at_all(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch, trouble: Any, error: type[Exception] | None
) -> None:
    monkeypatch.setattr(scraper, "MOST_BYTES", 3_000_000)
    exporter.pages = {"/": trouble}
    began = time.monotonic()
    with pytest.raises(error or ValueError, match=r"timed out|no whole page|cut off|more than 2 MiB"):
        scraper.fetch(exporter.url("/"), 0.3)
    assert time.monotonic() - began < 1.0


def test_the_thread_asks_again_every_period_and_ends_when_it_is_told(exporter: Exporter) -> None:
    exporter.pages = {"/a": node("h2-00", 50)}
    house = House(exporter.url("/a"))
    house.scraper.start()
    until = time.monotonic() + 5
    while len(house.heard) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    house.scraper.close()
    assert len(house.heard) >= 3
    assert not house.scraper._thread.is_alive()


def test_the_daemon_hears_its_exporters_while_it_runs(exporter: Exporter, tmp_path: Path) -> None:
    exporter.pages = {"/a": node("h2-00", 50)}
    here, clock = site(exporter.url("/a")), SystemClock()
    with Journal(tmp_path / "journal.sqlite", clock=clock) as journal:
        daemon = Daemon(here, MemoryBroker().connect(), journal, clock)
        with scraping(here, daemon, clock, 1.0):
            until = time.monotonic() + 5
            while (told := daemon.rooms.known._telemetry.reading(OTHER, clock.now())) is None and time.monotonic() < until:
                time.sleep(0.01)
        assert told is not None
        assert round(told.value, 9) == 0.4
        asked = exporter.asked
        time.sleep(0.5)
        assert exporter.asked <= asked + 1
        daemon.close()


def test_an_exception_of_who_hears_does_not_end_the_thread(exporter: Exporter, caplog: pytest.LogCaptureFixture) -> None:
    exporter.pages = {"/a": node("h2-00", 50)}
    heard = []

    def hear(message: Message) -> None:
        heard.append(message)
        raise RuntimeError("no")

    asking = Scraper(site(exporter.url("/a")), "dcgm", hear, ManualClock(NOW))
    asking.start()
    until = time.monotonic() + 5
    while len(heard) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    asking.close()
    assert len(heard) >= 2
    assert "it goes on" in caplog.text


def test_a_sum_older_than_the_pool_is_stale_at_once() -> None:
    house = House()
    stale = summed(house.site, house.site.scrape["dcgm"], read(node("h2-00", 50), house.site.scrape["dcgm"], NOW_MS))
    house.clock.advance(timedelta(minutes=5).total_seconds())
    for message in messages(house.site, stale):
        house.hear(message)
    assert house.kw(OTHER) is None


def test_a_pool_whose_meter_is_lost_draws_what_its_gpus_tell_and_its_hosts_where_that_is_less_than_its_caps() -> None:
    house = House()
    scrape = house.site.scrape["dcgm"]
    caps_only = house.telemetry.snapshot(NOW).doubts
    for seconds in range(4):
        house.clock.advance(5)
        at_ms = NOW_MS + 5000 * (seconds + 1)
        for message in messages(house.site, summed(house.site, scrape, read(node("h2-00", 100 + seconds), scrape, at_ms))):
            house.hear(message)
    both = house.telemetry.snapshot(house.clock.now()).doubts
    it_power = "h2/pool/h2-a/it_power_kw"
    assert caps_only[it_power].value == pytest.approx(8 * (300 + 120) / 1000)
    assert both[it_power].value == pytest.approx(8 * (103 + 120) / 1000)
    assert both[it_power].stands_in == "what its GPUs tell, and its hosts at work"
    assert OTHER not in both
    house.clock.advance(60)
    assert house.telemetry.snapshot(house.clock.now()).doubts[it_power].value == pytest.approx(8 * (300 + 120) / 1000)
