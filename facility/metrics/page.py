"""Page: the newest figures as text, made once for everybody who asks.

One thread at a time makes it, so that however many ask, the loop shares the interpreter with one of them only; the others wait and get the same
bytes. It is made anew for new figures, and at least every `FRESH_S`, for ages grow whether or not the loop goes on.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from facility.metrics.family import Families
from facility.metrics.figures import Figures
from facility.metrics.power import power
from facility.metrics.watch import watch
from facility.metrics.work import work

FRESH_S = 1.0
FASTEST = 1
"""How hard to compress: a page repeats itself, and to find all of it takes longer than to send it."""


@dataclass(frozen=True)
class Text:
    """A page, as it is and compressed."""

    content_type: str
    plain: bytes
    compressed: bytes


class Page:
    """`newest` gives the newest figures, None while there are none; `elapsed_s` is the stopwatch, beside which the site's clock is `speed` times
    as fast.
    """

    def __init__(self, newest: Callable[[], Figures | None], elapsed_s: Callable[[], float], speed: float = 1.0) -> None:
        self._newest, self._elapsed_s, self._speed = newest, elapsed_s, speed
        self._process = ProcessCollector(registry=CollectorRegistry())
        self._making = threading.Lock()
        self._made: dict[str, Text] = {}
        self._made_of: tuple[Figures | None, float] = (None, -FRESH_S)

    def text(self, accept: str) -> Text:
        """Give the page in the format that the one who asks prefers: Prometheus' own, or OpenMetrics."""
        encode, content_type = choose_encoder(accept)
        with self._making:
            told, now_s = self._newest(), self._elapsed_s()
            if self._made_of[0] is not told or now_s - self._made_of[1] >= FRESH_S:
                self._made, self._made_of = {}, (told, now_s)
            if content_type not in self._made:
                plain: bytes = encode(Collected(self.metrics(told, now_s)))
                self._made[content_type] = Text(content_type, plain, gzip.compress(plain, FASTEST))
            return self._made[content_type]

    def metrics(self, told: Figures | None, now_s: float) -> Iterator[Metric]:
        """Everything that there is to tell."""
        if told is not None:
            families, age_s = Families(told.here.site.id), now_s - told.at_s
            yield from work(told, families)
            yield from power(told, families)
            yield from watch(told, families)
            yield families.one("figures_age_seconds", "How old all this is, by the machine's clock; it grows where the loop stands still.", age_s)
            concluded_s = told.counted.concluded_s
            cycle_s = None if concluded_s is None else self._speed * (now_s - concluded_s)
            yield families.one("cycle_age_seconds", "Time since the last cycle ended.", cycle_s)
        yield from self._process.collect()


class Collected:
    """Metrics as the library's encoders want them."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Give them."""
        return self._metrics
