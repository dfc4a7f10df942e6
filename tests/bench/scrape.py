"""Scrape: what a page of metrics of a very large site costs, from the loop's copy to the last byte over HTTP.

    python -m tests.bench.scrape [--pools 1000] [--loop 200]

A daemon in this process with that many pools, each on a feeder of its own, twenty to a hall; every sensor has told a reading, fallback caps are in
force and agents have reported them. Told are how many series there are, how long the loop is held up to hand its figures over, how long one page
takes from the request to its last byte where it has to be made, plain and compressed, and where it was made for somebody else a moment before;
and, at a site of `--loop` pools, how long its loop takes to come round, alone and while `SCRAPERS` ask again and again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

import msgspec

from facility.bus.interface import Message
from facility.bus.memory import MemoryBroker
from facility.clock import VirtualClock
from facility.daemon.loop import Daemon
from facility.decide import Undecided
from facility.journal.journal import Journal
from facility.metrics.address import Address
from facility.metrics.page import Page
from facility.metrics.server import Server
from facility.metrics.show import Show
from facility.site import Site
from tests.facility.test_daemon import NOW, SITE
from tests.processes import until

A_HALL = 20
TIMES = 9
SCRAPERS = 50
ROUNDS, PAUSE_S = 100, 0.02


@dataclass(frozen=True)
class Measured:
    """Medians, s; `bytes` of a page as it is, `computing_s` what it takes of a processor to make, send and read it, `best_s` the
    shortest that it took where the machine has other things to do.
    """

    series: int
    bytes: int
    best_s: float
    handed_over_s: float
    plain_s: float
    computing_s: float
    compressed_s: float
    again_s: float


def site(pools: int) -> Site:
    """As small as a site of so many pools can be: each has a feeder of its own."""
    halls = [f"h{i}" for i in range(-(-pools // A_HALL))]
    names = [f"p{i}" for i in range(pools)]
    main = {"main": {"rating_kw": 10.0 * pools}}
    own = {f"f-{name}": {"rating_kw": 5, "parent": "main"} for name in names}
    told = SITE.model_dump(mode="json") | {
        "grid": {"import_limit_kw": 10.0 * pools},
        "feeders": main | own,
        "halls": {hall: {"feeder": "main"} for hall in halls},
        "pools": {name: {"hall": halls[i // A_HALL], "feeder": f"f-{name}", "gpu_model": "g", "gpus": 10} for i, name in enumerate(names)},
        "contracts": {},
    }
    return Site.model_validate(told)


class Large:
    """The daemon of a site, its figures, and the server that tells them."""

    def __init__(self, site: Site, path: Path) -> None:
        self.site, self.clock = site, VirtualClock(NOW)
        broker = MemoryBroker(self.clock.now)
        self._voice, bus = broker.connect(), broker.connect()
        self.journal = Journal(path, clock=self.clock)
        self.daemon = Daemon(site, bus, self.journal, self.clock, planner=lambda _asked: Undecided("it is only asked how it is"))
        self.daemon.subscribe()
        self.daemon.start()
        self._bus, self.show = bus, Show(bus, self.clock, "daemon")
        self.page = Page(lambda: self.show.newest, self.clock.elapsed_s)
        self.server = Server(Address("127.0.0.1", 0), self.show, self.page, time.monotonic)

    def begin(self) -> None:
        """Hear every sensor, fall back, hear every agent, and serve."""
        self.daemon.cycle()
        for _ in range(6):
            self.clock.advance(1.0)
            self._tell()
            self.attend()
        self._report()
        self.attend()
        self.server.start()
        assert until(lambda: self.server.port is not None)

    def close(self) -> None:
        self.server.close()
        self.journal.close()

    def attend(self) -> None:
        while (message := self._bus.receive(0.0)) is not None:
            self._bus.inbox.put(message)
            self.daemon.attend(0.0)
        self.daemon.attend(0.0)

    def hand_over(self) -> float:
        """Let a second pass and the loop leave its figures; how long that took, s."""
        self.clock.advance(1.0)
        self.attend()
        began = time.perf_counter()
        self.show.look(self.daemon)
        return time.perf_counter() - began

    def ask(self, **headers: str) -> tuple[float, bytes]:
        """Ask for a page: how long it took, s, and what it says."""
        began = time.perf_counter()
        with closing(HTTPConnection("127.0.0.1", self.server.port or 0, timeout=30)) as connection:
            connection.request("GET", "/metrics", headers={name.replace("_", "-"): value for name, value in headers.items()})
            body = connection.getresponse().read()
        return time.perf_counter() - began, body

    def rounds(self) -> list[float]:
        """How long the loop took each time it came round, s; a twentieth of a second passes from one to the next."""
        took_s = []
        for i in range(ROUNDS):
            self.clock.advance(0.05)
            if i % 20 == 0:
                self._tell()
                self.attend()
            began = time.perf_counter()
            self.daemon.attend(0.0)
            self.show.look(self.daemon)
            took_s.append(time.perf_counter() - began)
            time.sleep(PAUSE_S)
        return sorted(took_s)

    @contextmanager
    def scraped(self) -> Iterator[None]:
        """`SCRAPERS` ask again and again."""
        over = threading.Event()

        def scrape() -> None:
            while not over.is_set():
                self.ask()

        scrapers = [threading.Thread(target=scrape) for _ in range(SCRAPERS)]
        for scraper in scrapers:
            scraper.start()
        yield
        over.set()
        for scraper in scrapers:
            scraper.join()

    def _tell(self) -> None:
        root, at_ms = f"facility/v1/{self.site.id}", int(self.clock.now().timestamp() * 1000)
        for hall in self.site.halls:
            here = {f"pool/{name}/it_power_kw": 1.5 + 0.01 * (at_ms // 1000 % 7) for name, pool in self.site.pools.items() if pool.hall == hall}
            self._say(f"{root}/tele/{hall}/batch/gateway", {"timestamp": at_ms, "values": here})
        feeders = list(self.site.feeders)
        for i in range(0, len(feeders), 200):
            there = {f"feeder/{name}/power_kw": 1.5 + 0.01 * (at_ms // 1000 % 7) for name in feeders[i : i + 200] if name != "main"}
            self._say(f"{root}/tele/site/batch/gateway-{i}", {"timestamp": at_ms, "values": there})

    def _report(self) -> None:
        """Every agent reports."""
        at_ms = int(self.clock.now().timestamp() * 1000)
        for name, pool in self.site.pools.items():
            topic = f"facility/v1/{self.site.id}/cap/{pool.hall}/{name}/reported"
            self._say(topic, {"timestamp": at_ms, "enforced_cap_w": 100, "draw_kw": 1.5})

    def _say(self, topic: str, payload: dict[str, object]) -> None:
        self._voice.publish(Message(topic, msgspec.json.encode(payload), qos=1))


@contextmanager
def large(pools: int) -> Iterator[Large]:
    with tempfile.TemporaryDirectory() as folder, closing(Large(site(pools), Path(folder) / "journal.sqlite")) as made:
        made.begin()
        yield made


def measured(made: Large, times: int = TIMES) -> Measured:
    handed_over_s = [made.hand_over() for _ in range(times)]
    _, page = made.ask()

    def anew(**headers: str) -> tuple[float, float]:
        made.hand_over()
        began = time.process_time()
        took_s, _ = made.ask(**headers)
        return took_s, time.process_time() - began

    plain = [anew() for _ in range(times)]
    again_s = [made.ask()[0] for _ in range(times)]
    compressed = [anew(Accept_Encoding="gzip") for _ in range(times)]
    series = sum(not line.startswith(b"#") for line in page.splitlines())
    every = (handed_over_s, [it[0] for it in plain], [it[1] for it in plain], [it[0] for it in compressed], again_s)
    return Measured(series, len(page), min(took_s for took_s, _ in plain), *(median(each) for each in every))


def main() -> int:
    parser = argparse.ArgumentParser(description="what a page of metrics of a very large site costs")
    parser.add_argument("--pools", type=int, default=1000)
    parser.add_argument("--loop", type=int, default=200)
    asked = parser.parse_args()
    with large(asked.pools) as made:
        told = measured(made)
    with large(asked.loop) as made:
        alone_s = made.rounds()
        with made.scraped():
            amid_s = made.rounds()
    print(f"{told.series:,} series, {told.bytes / 1e6:.1f} MB; medians of {TIMES}:")
    print(f"the loop hands its figures over in {1000 * told.handed_over_s:.1f} ms, once a second at most")
    print(f"a page is made and read in {told.plain_s:.3f} s, at best {told.best_s:.3f} s, {told.computing_s:.3f} s of them computing")
    print(f"compressed in {told.compressed_s:.3f} s; one that was made already in {told.again_s:.3f} s")
    for how, took_s in (("alone", alone_s), (f"amid {SCRAPERS} scrapers", amid_s)):
        ms = [1000 * took_s[int(share * (ROUNDS - 1))] for share in (0.5, 0.99, 1.0)]
        print(f"the loop comes round {how} in {ms[0]:.1f} ms, 99 % in {ms[1]:.1f} ms, at most {ms[2]:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
