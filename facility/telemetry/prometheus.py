"""Prometheus: what GPUs say of their own power, scraped from exporters such as DCGM's, summed by pool.

    gpu_power_kw of a pool = sum over its GPUs of the metric         told only where every GPU of the pool is among them

A part of a pool is no smaller pool: where GPUs are missing the sum is not used, and how many were told is said instead. A sum is as
old as its oldest part: the instant of the scrape, or the sample's own where a page gives one, as a server's federation does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import isfinite

from prometheus_client.parser import text_string_to_metric_families

from facility.bus.interface import Message
from facility.bus.messages import Sample, encode
from facility.bus.topics import Topics
from facility.site import Site
from facility.site.scrape import Scrape
from facility.telemetry.units import conversion

POINT = "gpu_power_kw"
MOST_LINES = 200_000
"""Lines of one metric on one page; a site of 100,000 GPUs is told by more than one."""


@dataclass(frozen=True)
class Gpu:
    """The power of one GPU, by its name, at an instant (ms since 1970)."""

    name: tuple[str, ...]
    pool: str
    power_kw: float
    at_ms: int


@dataclass(frozen=True)
class Sum:
    """The power of the GPUs of a pool that were told, `told` of `gpus`, at the oldest of their instants."""

    pool: str
    power_kw: float
    told: int
    gpus: int
    at_ms: int

    @property
    def whole(self) -> bool:
        """Whether it is the power of the pool."""
        return self.told == self.gpus

    def __str__(self) -> str:
        return f"{self.told:,} of the {self.gpus:,} GPUs of {self.pool} told their power ({self.told / self.gpus:.1%})"


def read(text: str, scrape: Scrape, at_ms: int) -> tuple[Gpu, ...]:
    """Read the GPUs of a page that was asked for at `at_ms`. Raises ValueError for what is not the text format.

    A GPU that fits no pool is left out; so is a value that is no number. Only the metric's own lines are parsed.
    """
    into = conversion(scrape.unit, "kW")
    assert into is not None  # the site file's reader has refused what is no power
    begins = (f"{scrape.metric}{{", f"{scrape.metric} ")
    lines = [line for line in text.splitlines() if line.startswith(begins)]
    if len(lines) > MOST_LINES:
        raise ValueError(f"more than {MOST_LINES:,} lines of {scrape.metric}")
    found = []
    for family in text_string_to_metric_families("\n".join((*lines, ""))):
        for sample in family.samples:
            pool = _pool(sample.labels, scrape.pools)
            if pool is None or not isfinite(sample.value):
                continue
            name = tuple(sample.labels.get(label, "") for label in scrape.gpu)
            told_ms = at_ms if sample.timestamp is None else min(at_ms, round(float(sample.timestamp) * 1000))
            found.append(Gpu(name, pool, into(sample.value), told_ms))
    return tuple(found)


def summed(site: Site, scrape: Scrape, gpus: Iterable[Gpu]) -> tuple[Sum, ...]:
    """Sum the power by pool; of a GPU that is told more than once the newest counts."""
    newest: dict[tuple[str, ...], Gpu] = {}
    for gpu in gpus:
        if gpu.name not in newest or gpu.at_ms >= newest[gpu.name].at_ms:
            newest[gpu.name] = gpu
    by_pool: dict[str, list[Gpu]] = {pool: [] for pool in scrape.pools}
    for gpu in newest.values():
        by_pool[gpu.pool].append(gpu)
    return tuple(
        Sum(pool, sum(gpu.power_kw for gpu in told), len(told), site.pools[pool].gpus, min((gpu.at_ms for gpu in told), default=0))
        for pool, told in by_pool.items()
    )


def messages(site: Site, sums: Iterable[Sum]) -> Iterator[Message]:
    """Tell the sums of whole pools as readings in our own tree."""
    topics = Topics(site.bus.root, site.id)
    for one in sums:
        if one.whole:
            yield Message(topics.tele(site.pools[one.pool].hall, "pool", one.pool, POINT), encode(Sample(one.power_kw, one.at_ms)))


def _pool(labels: Mapping[str, str], pools: Mapping[str, Mapping[str, str]]) -> str | None:
    """Find the first pool whose patterns all fit."""
    for pool, patterns in pools.items():
        if all(fnmatchcase(labels.get(label, ""), pattern) for label, pattern in patterns.items()):
            return pool
    return None
