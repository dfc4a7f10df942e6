"""Scraper: asks a site's exporters for the power of GPUs every few seconds, in a thread of its own, and hands in what they tell.

Each page is read in a thread too, so that one that hangs delays no other: it has its time, and is asked again when it has ended.
What is not told grows old by itself. A page that is lost or back, and a pool that is not whole or whole again, is logged once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from urllib.error import URLError
from urllib.request import Request, urlopen

from facility.bus.interface import Message
from facility.clock import Clock
from facility.site import Site
from facility.telemetry.prometheus import Gpu, messages, read, summed

log = logging.getLogger(__name__)

MOST_BYTES = 64 * 1024 * 1024
PIECE_BYTES = 64 * 1024
SLACK_S = 0.5
"""How much longer than the time that a page has we wait for the thread that reads it."""


class Scraper:
    """One scrape of a site. `hear` takes messages of our own tree in; `speed` is that of the clock, 1 but in rehearsals."""

    def __init__(self, site: Site, name: str, hear: Callable[[Message], None], clock: Clock, speed: float = 1.0) -> None:
        self._site, self._name, self._scrape = site, name, site.scrape[name]
        self._hear, self._clock, self._every_s = hear, clock, self._scrape.period_s / speed
        self._readers: dict[str, threading.Thread] = {}
        self._told: dict[str, tuple[Gpu, ...] | str] = {}
        self._said: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"scrape {name}", daemon=True)

    def start(self) -> None:
        """Begin, at once."""
        self._thread.start()

    def close(self) -> None:
        """Ask nobody any more; what still hangs ends with the process."""
        self._stop.set()
        self._thread.join(1.0)

    def once(self) -> None:
        """Ask every page, and hand in the sums of the pools that are whole."""
        self._told = {}
        for url in self._scrape.urls:
            if (reader := self._readers.get(url)) is None or not reader.is_alive():
                self._readers[url] = threading.Thread(target=self._read, args=(url, self._told), daemon=True)
                self._readers[url].start()
        until = time.monotonic() + self._scrape.timeout_s + SLACK_S
        for reader in self._readers.values():
            reader.join(max(until - time.monotonic(), 0.0))
        told = dict(self._told)
        for url in self._scrape.urls:
            found = told.get(url, f"no whole page within {self._scrape.timeout_s:g} s")
            self._say(url, found if isinstance(found, str) else "")
        gpus = [gpu for found in told.values() if not isinstance(found, str) for gpu in found]
        sums = summed(self._site, self._scrape, gpus)
        for one in sums:
            self._say(one.pool, "" if one.whole else f"{one}; their sum is not used")
        for message in () if self._stop.is_set() else messages(self._site, sums):
            self._hear(message)

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self.once()
            except Exception:
                log.exception("scrape %s failed; it goes on", self._name)
            self._stop.wait(max(self._every_s - (time.monotonic() - began), 0.0))

    def _read(self, url: str, told: dict[str, tuple[Gpu, ...] | str]) -> None:
        """Read one page into `told`, or why it cannot be read."""
        at_ms = round(self._clock.now().timestamp() * 1000)
        try:
            told[url] = read(fetch(url, self._scrape.timeout_s), self._scrape, at_ms)
        except (OSError, ValueError, HTTPException) as error:
            told[url] = f"{type(error).__name__}: {error}"[:200]

    def _say(self, what: str, trouble: str) -> None:
        before, self._said[what] = self._said.get(what, ""), trouble
        if trouble and not before:
            log.warning("scrape %s: %s: %s", self._name, what, trouble)
        elif before and not trouble:
            log.info("scrape %s: %s: well again", self._name, what)


def fetch(url: str, timeout_s: float) -> str:
    """Read a page of at most 64 MiB within `timeout_s`. Raises OSError, HTTPException, ValueError for what is no whole text."""
    until = time.monotonic() + timeout_s
    pieces, size = [], 0
    request = Request(url, headers={"Accept": "text/plain;version=0.0.4"})  # noqa: S310 - the site file allows http and https only
    with urlopen(request, timeout=timeout_s) as page:  # noqa: S310 - as above
        while piece := page.read1(PIECE_BYTES):
            pieces.append(piece)
            size += len(piece)
            if size > MOST_BYTES:
                raise URLError(f"more than {MOST_BYTES // 2**20} MiB")
            if time.monotonic() > until:
                raise TimeoutError(f"no whole page within {timeout_s:g} s")
    text = b"".join(pieces).decode()
    if text and not text.endswith("\n"):
        raise ValueError("the page is cut off")
    return text
